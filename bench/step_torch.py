#!/usr/bin/python3
"""Time of one training step (forward, MAE loss, backward, Adam) in PyTorch, for the shapes
that bench/step.c measures.  Prints every number of threads and the best.

    bench/step_torch.py                          the shapes of the table
    bench/step_torch.py lstm 400x20x9-250 ...
    bench/step_torch.py epoch 600000             an epoch of that many rows, one by one

PyTorch's own threads are not those of its BLAS, in which GRUs spend their time and which
starts as many as there are processors: where OpenBLAS is the BLAS, its number is set too,
and one and all are tried for either.
"""
import ctypes
import os
import re
import statistics
import sys
import time

import torch
from torch import nn

TABLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "shapes")


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


def openblas():
    """OpenBLAS's function that sets its number of threads, where it is in this process."""
    with open("/proc/self/maps", encoding="utf8") as maps:
        for line in maps:
            if "libopenblas" in line:
                return ctypes.CDLL(line.split()[-1]).openblas_set_num_threads
    return lambda threads: None


def settings():
    """Numbers of threads: PyTorch's and its BLAS's, whose idle ones may be in the way."""
    several = sorted({1, os.cpu_count()})
    return [(threads, blas) for threads in several for blas in several]


def set_threads(threads, blas):
    torch.set_num_threads(threads)
    openblas()(blas)


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

    for threads, blas in settings():
        set_threads(threads, blas)
        ms, cpu = measure(step, seconds)
        forward, forward_cpu = measure(infer, seconds / 4)
        note = f"{threads} threads" + (f", BLAS {blas}" if blas != threads else "")
        print(
            f"{cell:12} {shape:18} PyTorch {ms:9.3f} ms/step (cpu {cpu:9.3f}), "
            f"forward only {forward:9.4f} ms (cpu {forward_cpu:9.4f}); {note}"
        )
        print(f"RESULT\tstep {cell} {shape}\tPyTorch\t{ms / 1e3:.9f}\t{note}", flush=True)


def epoch(rows, batch=400, features=9, hidden=250):
    """Rows in random order, each a sequence of one."""
    net = Net("lstm", features, [hidden])
    x, y = torch.rand(rows, features), torch.rand(rows, 1)
    loss = nn.L1Loss()
    adam = torch.optim.Adam(net.parameters())

    def train(order):
        start = time.perf_counter()
        for chosen in order.split(batch):
            adam.zero_grad()
            loss(net(x[chosen][None]), y[chosen][None]).backward()
            adam.step()
        return time.perf_counter() - start

    def trial(setting):
        set_threads(*setting)
        train(torch.arange(10 * batch))
        return train(torch.arange(100 * batch))

    best = min(settings(), key=trial)
    set_threads(*best)
    seconds = train(torch.randperm(rows))
    print(f"PyTorch, an epoch of {rows:,} rows: {seconds:.2f} s, {best[0]} threads")
    print(f"RESULT\tepoch of {rows:,} rows, LSTM {batch}x1x{features}-{hidden}\tPyTorch\t{seconds:.6f}\t{best[0]} threads", flush=True)
    print(f"RESULT\tthe statement, 3 epochs of {rows:,} rows\tPyTorch\t{3 * seconds:.6f}\tfrom an array", flush=True)


def main():
    print(f"VERSION\tPyTorch\t{torch.__version__}")
    words = sys.argv[1:]
    if not words:
        with open(TABLE, encoding="utf8") as table:
            words = table.read().split()
    for what, size in zip(words[::2], words[1::2]):
        if what == "epoch":
            epoch(int(size))
        else:
            report(what, size)


main()
