#!/usr/bin/python3
"""Writes word2vec.txt: steps of skip-gram and CBOW, written out pair by pair in numpy.

    /usr/bin/python3 test/data/make_word2vec_fixtures.py > test/data/word2vec.txt

Windows and negative items are drawn here and handed to both sides.  Everything is in double.
A negative item may come twice, and may be the middle item, which is then left out.
"""
import numpy as np

ITEMS, DIM, NEGATIVE, LENGTH, WINDOW, RATE = 9, 7, 4, 12, 3, 0.2
random = np.random.default_rng(7)


def show(name, values):
    values = np.asarray(values).reshape(-1)
    print(name, len(values))
    print(" ".join("%.9g" % v for v in values))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def outputs(middle, negatives):
    """The items on the other side of every pair, with what each pair is to be."""
    return [(middle, 1)] + [(n, 0) for n in negatives if n != middle]


def skip_gram(x, y, around, middle, negatives, rate):
    """All pairs of a window see the vectors as they were before it."""
    old_x, old_y, loss = x.copy(), y.copy(), 0
    for item in around:
        for other, wanted in outputs(middle, negatives):
            p = sigmoid(old_x[item] @ old_y[other])
            loss -= np.log(p if wanted else 1 - p)
            x[item] += rate * (wanted - p) * old_y[other]
            y[other] += rate * (wanted - p) * old_x[item]
    return loss


def cbow(x, y, around, middle, negatives, rate):
    """Each item of the window takes the gradient of the mean, whole."""
    mean, old_y, loss = x[around].mean(axis=0), y.copy(), 0
    step = np.zeros(DIM)
    for other, wanted in outputs(middle, negatives):
        p = sigmoid(mean @ old_y[other])
        loss -= np.log(p if wanted else 1 - p)
        step += rate * (wanted - p) * old_y[other]
        y[other] += rate * (wanted - p) * mean
    for item in around:
        x[item] += step
    return loss


sequence = random.integers(0, ITEMS, LENGTH)
reach = random.integers(1, WINDOW + 1, LENGTH)
negatives = random.integers(0, ITEMS, (LENGTH, NEGATIVE))
assert any(len(set(n)) < NEGATIVE for n in negatives)
assert any(s in n for s, n in zip(sequence, negatives))
first_x = random.normal(0, 0.5, (ITEMS, DIM)).astype(np.float32).astype(np.float64)
first_y = random.normal(0, 0.5, (ITEMS, DIM)).astype(np.float32).astype(np.float64)
show("shape", [ITEMS, DIM, NEGATIVE, LENGTH, WINDOW])
show("rate", [RATE])
show("sequence", sequence)
show("reach", reach)
show("negatives", negatives)
show("x", first_x)
show("y", first_y)
for name, step in (("skip_gram", skip_gram), ("cbow", cbow)):
    x, y, loss = first_x.copy(), first_y.copy(), 0
    for i in range(LENGTH):
        places = range(max(0, i - reach[i]), min(LENGTH, i + reach[i] + 1))
        around = [sequence[j] for j in places if j != i]
        loss += step(x, y, around, sequence[i], negatives[i], RATE)
    show(name + ".x", x)
    show(name + ".y", y)
    show(name + ".loss", [loss])
