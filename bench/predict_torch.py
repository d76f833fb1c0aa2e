#!/usr/bin/python3
"""Time of an LSTM's predictions for every row of sequences of 20 rows of 9 numbers, from an
array to an array, in PyTorch: what bench/predict.sql does with predict_table().

    bench/predict_torch.py [SEQUENCES]

Batches of the size and the number of threads that suit it best, found with some thousand
sequences, are then used for all.
"""
import os
import sys
import time

import torch
from torch import nn

STEPS, FEATURES = 20, 9


def predict(rnn, head, x, batch):
    out = torch.empty(x.shape[0], STEPS)
    with torch.inference_mode():
        for start in range(0, x.shape[0], batch):
            out[start : start + batch] = head(rnn(x[start : start + batch])[0])[:, :, 0]
    return out


def seconds(*args):
    start = time.perf_counter()
    predict(*args)
    return time.perf_counter() - start


def main():
    sequences = int((sys.argv + ["50000"])[1])
    print(f"VERSION\tPyTorch\t{torch.__version__}")
    x = torch.rand(sequences, STEPS, FEATURES)
    for hidden in (64, 250):
        rnn, head = nn.LSTM(FEATURES, hidden, batch_first=True), nn.Linear(hidden, 1)
        settings = {}
        for threads in sorted({1, 2, os.cpu_count()}):
            torch.set_num_threads(threads)
            predict(rnn, head, x[:256], 256)
            for batch in (64, 256, 512, 1024, 2048, 4096):
                took = seconds(rnn, head, x[:4096], batch)
                settings[threads, batch] = took
                print(f"PyTorch, hidden {hidden}, {threads} threads, {batch} sequences at a time: {took / min(4096, sequences) / STEPS * 1e6:.2f} µs a row", flush=True)
        threads, batch = min(settings, key=settings.get)
        torch.set_num_threads(threads)
        took = min(seconds(rnn, head, x, batch) for _ in range(2))
        rows = sequences * STEPS
        print(f"PyTorch, hidden {hidden}, {threads} threads, {batch} sequences at a time: {took:.2f} s for {rows} rows", flush=True)
        print(f"RESULT\tpredict_table(), {rows:,} rows, hidden {hidden}\tPyTorch\t{took:.6f}\t{threads} threads, batch {batch}")


main()
