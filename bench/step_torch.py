#!/usr/bin/python3
"""Time of one training step (forward, MAE loss, backward, Adam) in PyTorch, for the shapes
that bench/step.c measures.  Prints every number of threads and the best.

    bench/step_torch.py                          the shapes of the table
    bench/step_torch.py lstm 400x20x9-250
"""
import os
import re
import statistics
import sys
import time

import torch
from torch import nn

TABLE = [
    ("lstm", "400x1x9-250"),
    ("lstm", "400x20x9-250"),
    ("gru", "400x20x9-250"),
    ("lstm", "64x50x9-64"),
    ("lstm", "32x20x9-32"),
    ("lstm", "256x20x64-128-128"),
    ("lstm", "256x20x100-512"),
    ("lstm", "1x20x9-64"),
    ("lstm", "1x1x9-64"),
    ("gru-decoder", "256x20x64-128"),
    ("gru-decoder", "256x20x64-512"),
    ("lstm-decoder", "256x20x64-128"),
    ("lstm-decoder", "256x20x64-512"),
]


class Net(nn.Module):
    def __init__(self, cell, features, hidden):
        super().__init__()
        self.rnn = nn.ModuleList()
        for width in hidden:
            self.rnn.append(getattr(nn, cell.upper())(features, width))
            features = width
        self.head = nn.Linear(features, 1)

    def forward(self, x):
        for rnn in self.rnn:
            x = rnn(x)[0]
        return self.head(x)


class EncoderDecoder(nn.Module):
    """An encoder over the first half of the steps, a decoder over the rest."""

    def __init__(self, cell, features, hidden):
        super().__init__()
        self.encoder = nn.ModuleList()
        self.decoder = nn.ModuleList()
        for width in hidden:
            self.encoder.append(getattr(nn, cell.upper())(features, width))
            self.decoder.append(getattr(nn, cell.upper())(features, width))
            features = width
        self.head = nn.Linear(features, 1)

    def forward(self, x):
        half = len(x) // 2
        past, future = x[:half], x[half:]
        for encoder, decoder in zip(self.encoder, self.decoder):
            past, state = encoder(past)
            future = decoder(future, state)[0]
        return self.head(future)


def measure(work, seconds):
    """Median wall-clock and processor time in ms."""
    work()
    work()
    wall, cpu = [], []
    start = time.perf_counter()
    while time.perf_counter() - start < seconds or len(wall) < 5:
        before, cpu_before = time.perf_counter(), time.process_time()
        work()
        cpu.append(time.process_time() - cpu_before)
        wall.append(time.perf_counter() - before)
    return 1e3 * statistics.median(wall), 1e3 * statistics.median(cpu)


def report(cell, shape, seconds=1):
    dims, *hidden = shape.split("-")
    batch, steps, features = map(int, re.split("x", dims))
    decodes = cell.endswith("-decoder")
    kind = EncoderDecoder if decodes else Net
    net = kind(cell.split("-")[0], features, list(map(int, hidden)))
    x = torch.rand(steps, batch, features) - 0.5
    target = torch.rand(steps - steps // 2 if decodes else steps, batch, 1)
    loss = nn.L1Loss()
    adam = torch.optim.Adam(net.parameters())

    def step():
        adam.zero_grad()
        loss(net(x), target).backward()
        adam.step()

    def infer():
        with torch.inference_mode():
            net(x)

    results = {}
    for threads in sorted({1, 2, os.cpu_count()}):
        torch.set_num_threads(threads)
        results[threads] = (measure(step, seconds), measure(infer, seconds / 4))
    for threads, (ms, forward) in results.items():
        print(
            "%-12s %-18s %2d threads %9.3f ms/step (cpu %9.3f), forward only %9.4f ms (cpu %9.4f)"
            % ((cell, shape, threads) + ms + forward)
        )
    best = min(ms for (ms, _), _ in results.values())
    print("%-12s %-18s best %9.3f ms/step" % (cell, shape, best), flush=True)


def main():
    print("PyTorch", torch.__version__)
    if len(sys.argv) > 2:
        report(sys.argv[1], sys.argv[2], float((sys.argv + ["1"])[3]))
    else:
        for cell, shape in TABLE:
            report(cell, shape)


main()
