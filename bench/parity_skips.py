#!/usr/bin/python3
"""Encoder-decoders that predict skips, train() beside PyTorch: the same sessions, features,
split, network, loss, batch size, optimiser, clipping and schedule, each side with its own
random first weights and its own order of sessions.  The mean average accuracy (MAA) of the
test sessions, a mean over the seeds, must agree within half a point.

    bench/parity_skips.py                            all settings, five seeds
    bench/parity_skips.py --only gru-both            one of them
    bench/parity_skips.py --sessions 3000 --seeds 2  smaller

A setting's name is its cell; with "both" it has the item, and past skips as a column and as
a token; with "two-way" the encoder reads the past in both directions.

Needs a running server with the extension, reached by psql's own settings (PGHOST,
PGDATABASE, ...), build/skips (made by `make build/skips`) and python3-torch.  Works in a
schema parity_skips of its own, which is dropped at the end, as is its model.  Exit status 1:
some setting differs by more than half a point.
"""
import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time

from parity_training import TOP, psql  # ends here where there is no PyTorch

import numpy as np
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

SCHEMA = MODEL = "parity_skips"
SOURCE = f"{SCHEMA}.listened"
KNOWN = ["energy", "valence", "acousticness", "danceability", "context_type"]
TEST, RATE, CLIP, BATCH, ITEM_DIM = 0.2, 0.004, 1.0, 128, 8
ITEM_SKIP, ITEM_UNKNOWN, ITEM_FIRST = 2, 3, 4  # codes of an item column


# ---- the database ------------------------------------------------------------------


def load(sessions, seed):
    psql(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE; CREATE SCHEMA {SCHEMA}")
    subprocess.run(["psql", "-X", "-q", "-v", f"options=--sessions {sessions} --seed {seed}",
                    "-f", f"{TOP}/doc/examples/load_skips.sql"], check=True, cwd=TOP,
                   env={**os.environ, "PGOPTIONS": f"-c search_path={SCHEMA}"},
                   stdout=subprocess.DEVNULL)
    psql(f"""CREATE TABLE {SOURCE} AS
        SELECT session_id, session_position, skip_2, track_id, {','.join(KNOWN)},
               hist_user_behavior_reason_end AS reason_end
          FROM {SCHEMA}.plays JOIN {SCHEMA}.tracks USING (track_id)""")
    psql(f"VACUUM ANALYZE {SOURCE}")


def drop():
    psql(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
    psql(f"SELECT sessionlen.drop_model(model) FROM sessionlen.models WHERE model = '{MODEL}'")


def train_ours(setting, seed, args):
    """Test MAA, what evaluate() says of the baseline and seconds of the loop."""
    options = json.dumps({
        "architecture": "encoder_decoder", "cell": setting.cell, "init": "torch",
        "bidirectional": setting.two_way, "past_skips": "both" if setting.items else "column",
        "hidden_dim": args.hidden, "batch_size": BATCH, "epochs": args.epochs, "seed": seed,
        "dropout": 0, "learning_rate": RATE, "clip_norm": CLIP, "schedule": "linear",
        "columns": {"context_type": "one_hot",
                    **({"track_id": {"embedding": ITEM_DIM}} if setting.items else {})},
        "verbose": False, "split": {"by": "user", "validation": 0, "test": TEST}})
    item = "'track_id'" if setting.items else "NULL"
    seconds = psql(f"""SELECT seconds FROM sessionlen.train('{MODEL}', '{SOURCE}', 'skip_2',
        'session_id', 'session_position', task => 'skip', item => {item},
        known => '{{{','.join(KNOWN)}}}', observed => '{{reason_end}}', options => '{options}')""")
    score = dict(line.split("\t") for line in psql(f"""SELECT predictor, average_accuracy
        FROM sessionlen.evaluate('{MODEL}') WHERE average_accuracy IS NOT NULL""").splitlines())
    return float(score["model"]), float(score["last skip state"]), float(seconds)


# ---- the data, prepared as the stored model says ----------------------------------------


def stored(what):
    return psql(f"""SELECT {what} FROM sessionlen.model_versions v JOIN sessionlen.models m
        ON v.model = m.model AND v.version = m.deployed WHERE m.model = '{MODEL}'""")


class Data:
    """Sessions padded to the longest: what stands in their first halves and in the rest."""

    def __init__(self):
        names = KNOWN + ["reason_end", "track_id"]
        table = [line.split("\t") for line in psql(f"""SELECT session_id,
                sessionlen.split_part(session_id, 0, {TEST}, 0), skip_2::int, {','.join(names)}
            FROM {SOURCE} ORDER BY session_id COLLATE "C", session_position""").splitlines()]
        start = [i for i in range(len(table)) if i == 0 or table[i][0] != table[i - 1][0]]
        length = np.diff(start + [len(table)])
        past = length // 2
        self.past, self.future = torch.tensor(past), torch.tensor(length - past)
        self.test = torch.tensor([table[i][1] == "test" for i in start])
        column = dict(zip(names, list(zip(*table))[3:]))
        rows = self.features(column)
        rows["y"] = np.array([float(row[2]) for row in table])
        if "item" in rows:
            rows["token"] = np.where(rows["y"] == 1, ITEM_SKIP, rows["item"])
        self.encoder = {name: self.padded(rows[name], start, past) for name in rows}
        self.decoder = {name: self.padded(rows[name], start + past, length - past)
                        for name in rows}
        train = np.repeat(~self.test.numpy(), length)
        half = np.concatenate([np.arange(n) >= p for n, p in zip(length, past)])
        rate = rows["y"][train & half].mean()
        self.bias = math.log(rate / (1 - rate))

    @staticmethod
    def padded(rows, first, count):
        result = np.zeros((len(first), max(count)) + rows.shape[1:], rows.dtype)
        for i, (at, n) in enumerate(zip(first, count)):
            result[i, :n] = rows[at:at + n]
        result = torch.tensor(result)
        return result.float() if result.is_floating_point() else result

    def features(self, column):
        entries = {name: json.loads(text) for name, text in (
            line.split("\t") for line in psql(f"""SELECT w.column_name, to_json(w.entries)
                FROM sessionlen.vocabularies w JOIN sessionlen.models m
                  ON w.model = m.model AND w.version = m.deployed
               WHERE m.model = '{MODEL}'""").splitlines())}
        x, rows, self.items = [], {}, 0
        for given in json.loads(stored("inputs")):
            name, role = given["column"], given["role"]
            if role == "target":  # enters as itself, and as 0 where it is hidden
                continue
            values = column[name]
            if given["as"] == "standardize":
                assert not given["indicator"]
                x.append((np.array(values, dtype=np.float64) - given["mean"]) / given["scale"])
                continue
            code_of = {entry: i + 1 for i, entry in enumerate(entries[name])}
            code = np.array([code_of.get(value, 0) for value in values])
            if given["as"] == "one_hot":
                x += [(code == i).astype(np.float64) for i in range(1, len(code_of) + 1)]
            elif role == "item":
                rows["item"] = np.where(code > 0, code - 1 + ITEM_FIRST, ITEM_UNKNOWN)
                self.items = len(code_of) + ITEM_FIRST
            else:
                rows[name] = code
                self.reasons = len(code_of) + 1, given["dim"]
        rows["x"] = np.stack(x, 1)
        return rows


# ---- PyTorch -------------------------------------------------------------------------


class EncoderDecoder(nn.Module):
    def __init__(self, data, setting, hidden):
        super().__init__()
        self.setting = setting
        cell = nn.LSTM if setting.cell == "lstm" else nn.GRU
        known = data.decoder["x"].shape[2] + (ITEM_DIM if setting.items else 0)
        state = hidden * (2 if setting.cell == "lstm" else 1)
        # train() changes the vectors of a step's items and no others: sparse gradients
        self.item = nn.Embedding(data.items, ITEM_DIM, sparse=True) if setting.items else None
        self.reason = nn.Embedding(*data.reasons, sparse=True)
        self.encoder = cell(known + data.reasons[1] + 2, hidden, bidirectional=setting.two_way,
                            batch_first=True)
        self.bridge = nn.Linear(2 * state, state) if setting.two_way else None
        self.decoder = cell(known, hidden, batch_first=True)
        self.head = nn.Linear(hidden, 1)
        nn.init.constant_(self.head.bias, data.bias)

    def known(self, side, at, item):
        parts = [side["x"][at]] + ([self.item(side[item][at])] if self.item else [])
        return torch.cat(parts, 2)

    def forward(self, data, at):
        past, future, skipped = data.encoder, data.decoder, data.encoder["y"][at].unsqueeze(2)
        rows = torch.cat([self.known(past, at, "token"), self.reason(past["reason_end"][at]),
                          skipped, torch.zeros_like(skipped)], 2)
        _, last = self.encoder(pack_padded_sequence(rows, data.past[at], True, False))
        if self.bridge:
            lstm = self.setting.cell == "lstm"
            both = torch.cat([part[d] for d in (0, 1) for part in (last if lstm else (last,))], 1)
            last = self.bridge(both).unsqueeze(0)
            if lstm:
                last = tuple(part.contiguous() for part in last.chunk(2, 2))
        rows = pack_padded_sequence(self.known(future, at, "item"), data.future[at], True, False)
        out, _ = pad_packed_sequence(self.decoder(rows, last)[0], True)
        return self.head(out).squeeze(2)


def mask(data, at, steps):
    return torch.arange(steps) < data.future[at].unsqueeze(1)


def clip(parameters):
    """torch.nn.utils.clip_grad_norm_ for sparse gradients too."""
    values = []
    for parameter in parameters:
        if parameter.grad.is_sparse:
            parameter.grad = parameter.grad.coalesce()
        values.append(parameter.grad._values() if parameter.grad.is_sparse else parameter.grad)
    norm = torch.norm(torch.stack([value.norm() for value in values]))
    for value in values if norm > CLIP else ():
        value.mul_(CLIP / (norm + 1e-6))


def train_torch(data, setting, seed, args):
    """Test MAA and seconds of the loop."""
    torch.manual_seed(seed)
    net = EncoderDecoder(data, setting, args.hidden)
    tables = [table.weight for table in (net.item, net.reason) if table]
    rest = [p for p in net.parameters() if all(p is not table for table in tables)]
    optimizers = [torch.optim.Adam(rest, lr=RATE), torch.optim.SparseAdam(tables, lr=RATE)]
    sessions = torch.nonzero(~data.test).squeeze(1)
    steps = args.epochs * math.ceil(len(sessions) / BATCH)
    done, begin = 0, time.perf_counter()
    for _ in range(args.epochs):
        for at in sessions[torch.randperm(len(sessions))].split(BATCH):
            for optimizer in optimizers:
                optimizer.param_groups[0]["lr"] = RATE * (1 - done / steps)
                optimizer.zero_grad()
            done += 1
            out = net(data, at)
            future = mask(data, at, out.shape[1])
            y = data.decoder["y"][at, :out.shape[1]]
            binary_cross_entropy_with_logits(out[future], y[future]).backward()
            clip(tables + rest)
            for optimizer in optimizers:
                optimizer.step()
    seconds = time.perf_counter() - begin
    return maa(net, data), seconds


def maa(net, data):
    """The challenge's: of each session the sum of A(i) L(i) over its positions i, divided
    by their number; L(i) is 1 where the answer is right, A(i) the mean of L up to i."""
    at = torch.nonzero(data.test).squeeze(1)
    with torch.no_grad():
        out = net(data, at)
    right = ((out > 0) == (data.decoder["y"][at, :out.shape[1]] > 0.5)).double()
    right *= mask(data, at, out.shape[1])
    so_far = right.cumsum(1) / torch.arange(1, out.shape[1] + 1)
    return float(((so_far * right).sum(1) / data.future[at]).mean())


# ---- the comparison -----------------------------------------------------------------


class Setting:
    def __init__(self, cell, *more):
        self.cell, self.items, self.two_way = cell, "both" in more, "two-way" in more
        self.name = "-".join((cell,) + more)


def compare(setting, data, args):
    """Prints one setting's runs; data is read by a first model, and the first with items."""
    ours = [train_ours(setting, seed, args) for seed in args.seed_list]
    if data is None or (setting.items and not data.items):
        data = Data()
    theirs = [train_torch(data, setting, seed, args) for seed in args.seed_list]
    means = [statistics.mean(run[0] for run in runs) for runs in (ours, theirs)]
    within = abs(means[0] - means[1]) <= 0.005
    print(f"{setting.name}: last skip state {100 * ours[0][1]:.2f}")
    for name, runs, mean in ("ours", ours, means[0]), ("PyTorch", theirs, means[1]):
        print(f"  {name:8s} " + " ".join(f"{100 * run[0]:6.2f}" for run in runs) +
              f"  mean {100 * mean:6.2f}  seconds {statistics.median(run[-1] for run in runs):.2f}")
    print(f"  difference {100 * (means[0] - means[1]):+.2f} points" + ("" if within else "  !"),
          flush=True)
    return data, within


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=8000)
    parser.add_argument("--log", type=int, default=1, help="seed of the log (1)")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--hidden", type=int, default=32)
    parser.add_argument("--seeds", type=int, default=5, help="seeds 1 to this (5)")
    parser.add_argument("--only", default="", help="settings whose name begins so")
    args = parser.parse_args()
    args.seed_list = range(1, args.seeds + 1)
    settings = [Setting("gru"), Setting("lstm"), Setting("gru", "both"),
                Setting("lstm", "two-way")]
    torch.set_num_threads(1)

    blas, kernel = psql("SELECT blas, blas_kernel FROM sessionlen.build_info()").strip().split("\t")
    print(f"{blas} ({kernel}), PyTorch {torch.__version__} on one thread, {os.cpu_count()} "
          f"processors, load {os.getloadavg()[0]:.1f}; test MAA in points")
    drop()
    load(args.sessions, args.log)
    data, agree = None, True
    for setting in settings:
        if setting.name.startswith(args.only):
            data, within = compare(setting, data, args)
            agree &= within
    drop()
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
