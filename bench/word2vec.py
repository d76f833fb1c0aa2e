#!/usr/bin/python3
"""word2vec() beside gensim: tokens a second on one processor, and how many of an item's
nearest neighbours are of its own planted group.

    PGDATABASE=test bench/word2vec.py [--items N] [--sequences N] [--epochs N]

Needs the extension in that database, numpy, and for the second side python3-gensim.
Sessions of 10 to 20 items are drawn from groups of 100 items, popular ones more often, and
one item in ten from anywhere.  Both sides get the same rows and options; gensim has one
worker.  The processor's time is given, which is less disturbed by other work.
"""
import argparse
import json
import os
import subprocess
import time

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import numpy as np

GROUP = 100


def psql(script, data=""):
    command = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1"]
    return subprocess.run(command, input=script + "\n" + data, text=True, check=True, stdout=subprocess.PIPE).stdout.strip()


def corpus(items, sequences, seed):
    """A list of arrays of item numbers; item i is of group i // GROUP."""
    random = np.random.default_rng(seed)
    groups = items // GROUP
    weight = 1 / (np.arange(GROUP) + 5)
    cumulated = np.cumsum(weight / weight.sum())
    lengths = random.integers(10, 21, sequences)
    total = int(lengths.sum())
    group = np.repeat(random.integers(0, groups, sequences), lengths)
    token = group * GROUP + np.searchsorted(cumulated, random.random(total)).clip(max=GROUP - 1)
    stray = random.random(total) < 0.1
    token[stray] = random.integers(0, groups * GROUP, int(stray.sum()))
    return np.split(token, np.cumsum(lengths)[:-1])


def purity(names, vectors, sample=2000, n=10):
    """Share of the n nearest neighbours that are of the item's own group."""
    names = np.array([int(x) for x in names])
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    chosen = np.random.default_rng(0).choice(len(names), min(sample, len(names)), replace=False)
    near = unit[chosen] @ unit.T
    near[np.arange(len(chosen)), chosen] = -2
    best = np.argpartition(-near, n, axis=1)[:, :n]
    return float((names[best] // GROUP == names[chosen][:, None] // GROUP).mean())


CPU = "(string_to_array(pg_read_file('/proc/self/stat'), ' '))[14]::int"


def ours(method, epochs):
    """The backend's processor time is the whole statement's; training gets its share of it."""
    options = json.dumps({"method": method, "epochs": epochs, "verbose": False, "seed": 1})
    name = f"bench_{method}"
    row = psql(
        f"SELECT {CPU} AS begin, clock_timestamp() AS wall \\gset\n"
        f"SELECT tokens * {epochs} AS tokens, seconds, items FROM "
        f"sessionlen.word2vec('{name}', 'bench_items', 'item', 's', 'p', '{options}') \\gset\n"
        f"SELECT {CPU} AS trained, extract(epoch FROM clock_timestamp() - :'wall'::timestamptz) AS whole \\gset\n"
        f"SELECT item AS first FROM sessionlen.embedding_items WHERE name = '{name}' AND rank = 0 \\gset\n"
        f"SELECT count(*) AS warm FROM sessionlen.similar_items('{name}', :'first') \\gset\n"
        f"SELECT {CPU} AS searching \\gset\n"
        f"SELECT count(*) AS many FROM generate_series(1, 20) i, LATERAL (SELECT * FROM sessionlen.similar_items('{name}', :'first', 10 + i % 2)) s \\gset\n"
        f"SELECT :tokens, :items, (:trained - :begin) / 100.0 * :seconds / :whole, :whole, ({CPU} - :searching) / 2.0"
    ).split("|")
    rows = psql(f"SELECT item, array_to_json(vector) FROM sessionlen.embedding_items WHERE name = '{name}';")
    names, vectors = zip(*(line.split("|") for line in rows.splitlines()))
    speed = float(row[0]) / float(row[2])
    print(
        f"{method:9} sessionlen {speed:9.0f} tokens/s, "
        f"neighbours {purity(names, np.array([json.loads(v) for v in vectors], dtype=np.float32)):.4f}, "
        f"{row[1]} items; {row[0]} tokens in {float(row[2]):.1f} s, similar_items() {float(row[4]):.0f} ms",
        flush=True,
    )
    return speed


def theirs(method, epochs, sentences):
    import gensim
    from gensim.models import Word2Vec

    print(f"VERSION\tgensim\t{gensim.__version__}")

    model = Word2Vec(sg=int(method == "skip_gram"), vector_size=100, window=10, negative=5, min_count=5, workers=1, seed=1)
    model.build_vocab(sentences)
    begin = time.process_time()
    model.train(sentences, total_examples=len(sentences), epochs=epochs)
    seconds = time.process_time() - begin
    speed = model.corpus_total_words * epochs / seconds
    print(f"{method:9} gensim     {speed:9.0f} tokens/s, neighbours {purity(model.wv.index_to_key, model.wv.vectors):.4f}", flush=True)
    return speed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=100000)
    parser.add_argument("--sequences", type=int, default=150000)
    parser.add_argument("--epochs", type=int, default=5)
    args = parser.parse_args()
    sessions = corpus(args.items, args.sequences, 1)

    psql("SET client_min_messages = warning; DROP TABLE IF EXISTS bench_items; CREATE TABLE bench_items (s int, p int, item text);")
    psql("COPY bench_items FROM STDIN;", "".join(f"{s}\t{p}\t{item}\n" for s, session in enumerate(sessions) for p, item in enumerate(session)))
    psql("ANALYZE bench_items;")
    sentences = [[str(item) for item in session] for session in sessions]
    for method in ("skip_gram", "cbow"):
        speed = ours(method, args.epochs)
        try:
            other = theirs(method, args.epochs, sentences)
            print(f"{method:9} ratio {speed / other:.2f}")
            for side, rate in (("ours", speed), ("gensim", other)):
                print(f"RESULT\tword2vec(), {method}, a million tokens\t{side}\t{1e6 / rate:.6f}", flush=True)
        except ImportError:
            print("gensim is not installed (apt install python3-gensim)")


main()
