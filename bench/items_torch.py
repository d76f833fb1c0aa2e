#!/usr/bin/python3
"""The step of bench/items.c in PyTorch on one thread: embedding and head with sparse
gradients (SparseAdam), a GRU (Adam), softmax over shared negatives.

    bench/items_torch.py [items [hidden [negatives [batch [steps]]]]]
"""
import resource
import statistics
import sys
import time

import torch
from torch import nn

torch.set_num_threads(1)
torch.manual_seed(1)
ITEMS, HIDDEN, NEGATIVES, BATCH, STEPS = [
    int(sys.argv[i + 1]) if len(sys.argv) > i + 1 else value
    for i, value in enumerate([100000, 512, 1024, 256, 20])
]
embedding = nn.Embedding(ITEMS + 4, HIDDEN, sparse=True)
head = nn.Embedding(ITEMS, HIDDEN, sparse=True)
bias = nn.Embedding(ITEMS, 1, sparse=True)
rnn = nn.GRU(HIDDEN, HIDDEN)
tables = torch.optim.SparseAdam([embedding.weight, head.weight, bias.weight])
dense = torch.optim.Adam(rnn.parameters())
correction = torch.log(torch.tensor(NEGATIVES / ITEMS))


def some(shape):
    used = min(ITEMS, 10000)
    return (torch.rand(shape) ** 3 * used).long() * (ITEMS // used)


def step():
    code, item = some((STEPS, BATCH)) + 4, some(STEPS * BATCH)
    negative = torch.randint(0, ITEMS, (NEGATIVES,))
    tables.zero_grad()
    dense.zero_grad()
    h = rnn(embedding(code))[0].reshape(-1, HIDDEN)
    own = (h * head(item)).sum(1) + bias(item)[:, 0]
    drawn = h @ head(negative).T + bias(negative)[:, 0] - correction
    drawn = drawn.masked_fill(item[:, None] == negative, -torch.inf)
    all_scores = torch.cat([own[:, None], drawn], 1)
    (torch.logsumexp(all_scores, 1) - own).mean().backward()
    tables.step()
    dense.step()


step()
took = []
for _ in range(5):
    before = time.process_time()
    step()
    took.append(time.process_time() - before)
seconds = statistics.median(took)
print(
    "%8d items, hidden %d, %d negatives, %d x %d rows: %8.1f ms of processor a step, %.0f "
    "rows/s; %.0f MB at the most (PyTorch %s, 1 thread)"
    % (
        ITEMS,
        HIDDEN,
        NEGATIVES,
        BATCH,
        STEPS,
        1e3 * seconds,
        BATCH * STEPS / seconds,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
        torch.__version__,
    )
)
