#!/usr/bin/python3
"""Whole training runs, train() beside PyTorch: the same rows, features, network, batches in
the same order, optimiser, clipping, schedule and carried state, each side with its own
random first weights.  The mean error over the seeds must agree within 1 %.

    bench/parity_training.py                           all settings, five seeds
    bench/parity_training.py --only gru-torch-32       one of them
    bench/parity_training.py --users 100 --seeds 2     smaller

Needs a running server with the extension, reached by psql's own settings (PGHOST,
PGDATABASE, ...), build/listening (made by `make build/listening`) and python3-torch.
Works in a schema parity_training of its own, which is dropped at the end, as are its
models.  Exit status 1: some setting differs by more than 1 %.
"""
import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time

try:
    import numpy as np
    import torch
    from torch import nn
    from torch.nn.utils.rnn import PackedSequence
except ImportError as missing:
    print(f"skipped: {missing} (Debian: apt install python3-torch)")
    sys.exit(0)

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SCHEMA = "parity_training"
SOURCE = f"{SCHEMA}.sessions"
MODEL = "parity_training"
TEST = 0.2
PERCENTILE = 99.5
RATE, CLIP, BATCH_ALONE, BATCH = 0.003, 1.0, 400, 64
COLUMNS = {"previous_session_length": "log1p", "average_session_length": "log1p",
           "absence": "log1p", "gender": "one_hot", "country": {"embedding": 4}}
KNOWN = ["previous_session_length", "average_session_length", "absence", "age"]
STATIC = ["gender", "country"]


# ---- the database ------------------------------------------------------------------


def psql(sql, stdin=None):
    """Output of a statement, one line a row, columns separated by tabs."""
    run = subprocess.run(["psql", "-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1",
                          "-c", sql], stdin=stdin, capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(run.stderr)
    return run.stdout


def load(users):
    """Sessions of an invented log; their lengths are in the generator's table truth."""
    psql(f"""DROP SCHEMA IF EXISTS {SCHEMA} CASCADE;
        CREATE SCHEMA {SCHEMA};
        CREATE TABLE {SCHEMA}.truth (user_id text, session_number bigint,
            session_start timestamptz, session_length float8, ideal float8, ideal_low float8,
            ideal_high float8);
        CREATE TABLE {SCHEMA}.users (user_id text, gender text, age int, country text,
            registered date)""")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([f"{TOP}/build/listening", "--users", str(users),
                        "--truth", f"{folder}/truth", "--profiles", f"{folder}/users"],
                       check=True, stderr=subprocess.DEVNULL)
        for table in "truth", "users":
            with open(f"{folder}/{table}") as file:
                psql(f"COPY {SCHEMA}.{table} FROM STDIN", file)
    psql(f"""CREATE TABLE {SOURCE} AS
        SELECT t.user_id, session_start, session_length, u.gender, u.age, u.country,
               coalesce(lag(session_length) OVER w, 0) AS previous_session_length,
               coalesce(avg(session_length) OVER past, 0) AS average_session_length,
               extract(epoch FROM session_start - lag(session_start) OVER w)::float8
                   - lag(session_length) OVER w AS absence
          FROM {SCHEMA}.truth t JOIN {SCHEMA}.users u USING (user_id)
        WINDOW w AS (PARTITION BY user_id ORDER BY session_start),
               past AS (PARTITION BY user_id ORDER BY session_start
                        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)""")
    psql(f"VACUUM ANALYZE {SOURCE}")


def drop():
    psql(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
    psql(f"SELECT sessionlen.drop_model(model) FROM sessionlen.models WHERE model = '{MODEL}'")


def options(setting, seed, args):
    return {"architecture": setting.cell, "init": setting.init, "hidden_dim": args.hidden,
            "sequence_length": setting.steps, "batch_size": setting.batch,
            "epochs": args.epochs, "shuffle": False, "seed": seed, "dropout": 0,
            "learning_rate": RATE, "clip_norm": CLIP, "schedule": "linear",
            "upper_percentile": PERCENTILE, "columns": COLUMNS, "verbose": False,
            "split": {"by": "user_tail", "validation": 0, "test": TEST}}


def train_ours(setting, seed, args):
    """Test MAE in seconds; time of the loop and of the statement; training rows."""
    given = json.dumps(options(setting, seed, args))
    begin = time.perf_counter()
    seconds, version = psql(f"""SELECT seconds, version FROM sessionlen.train('{MODEL}',
        '{SOURCE}', 'session_length', 'user_id', 'session_start', known => '{{{','.join(KNOWN)}}}',
        static => '{{{','.join(STATIC)}}}', options => '{given}')""").split()
    statement = time.perf_counter() - begin
    mae = float(psql(f"SELECT mae FROM sessionlen.evaluate('{MODEL}') WHERE predictor = 'model'"))
    rows = psql(f"""SELECT row_count FROM sessionlen.training_log
                     WHERE model = '{MODEL}' AND version = {version} AND epoch = 1""")
    return mae, float(seconds), statement, int(rows)


# ---- the data, prepared as the stored model says ----------------------------------------


class Data:
    """Rows by user in time order; users in the order of their first rows."""

    def __init__(self):
        columns = KNOWN + STATIC
        lines = psql(f"""SELECT user_id, sessionlen.split_part(user_id, 0, {TEST}, 0),
                session_length, {','.join(columns)}
            FROM {SOURCE} ORDER BY session_start""").rstrip("\n").split("\n")
        table = [line.split("\t") for line in lines]
        users = {}
        for at, row in enumerate(table):
            users.setdefault(row[0], []).append(at)
        order = [at for rows in users.values() for at in rows]
        self.time_order = np.argsort(order, kind="stable")
        self.start = np.cumsum([0] + [len(rows) for rows in users.values()])
        table = [table[at] for at in order]

        part = np.array([row[1] == "test" for row in table])
        for first, end in zip(self.start, self.start[1:]):  # early rows of all users train
            part[first:first + math.ceil((end - first) / 2)] = False
        self.test = part
        self.raw = np.array([row[2] for row in table], dtype=np.float32).astype(np.float64)
        limit = np.float32(np.percentile(self.raw[~part], PERCENTILE))
        self.weight = (~part & (self.raw <= limit)).astype(np.float32)
        self.features(dict(zip(columns, list(zip(*table))[3:])))

    def features(self, column):
        version = f"""FROM sessionlen.models m JOIN sessionlen.model_versions v
            ON v.model = m.model AND v.version = m.deployed WHERE m.model = '{MODEL}'"""
        inputs, target = map(json.loads,
                             psql(f"SELECT v.inputs, v.target_scale {version}").split("\t"))
        self.mean, self.scale = target["mean"], target["scale"]
        assert not target["log1p"]
        vocabulary = {name: json.loads(entries) for name, entries in (
            line.split("\t") for line in psql(f"""SELECT w.column_name, to_json(w.entries)
                FROM sessionlen.vocabularies w JOIN sessionlen.models m
                ON w.model = m.model AND w.version = m.deployed
                WHERE m.model = '{MODEL}'""").splitlines())}
        x, codes, self.embedding = [], [], []
        for given in inputs:
            values, name = column[given["column"]], given["column"]
            if given["as"] in ("one_hot", "embedding"):
                code_of = {entry: i + 1 for i, entry in enumerate(vocabulary[name])}
                code = np.array([code_of.get(value, 0) for value in values])
                if given["as"] == "embedding":
                    codes.append(code)
                    self.embedding.append((len(code_of) + 1, given["dim"]))
                else:
                    x += [code == i for i in range(1, len(code_of) + 1)]
                continue
            number = np.array([value or "nan" for value in values], dtype=np.float64)
            if given["as"] == "log1p":
                number = np.sign(number) * np.log1p(abs(number))
            x.append(np.nan_to_num((number - given["mean"]) / given["scale"]))
            if given["indicator"]:
                x.append(np.isnan(number))
        self.x = torch.tensor(np.stack(x, 1), dtype=torch.float32)
        self.codes = [torch.tensor(code) for code in codes]
        self.y = torch.tensor((self.raw - self.mean) / self.scale, dtype=torch.float32)
        self.median = float(np.median(self.y.numpy()[self.weight > 0]))


class Step:
    """One batch: packed rows, the lanes they belong to, which of these start afresh."""

    def __init__(self, data, chunks):
        chunks.sort(key=lambda chunk: -chunk[2])  # stable: equal ones stay in lane order
        longest = chunks[0][2]
        sizes = [sum(length > t for _, _, length, _ in chunks) for t in range(longest)]
        rows = torch.tensor([first + t for t in range(longest)
                             for _, first, _, _ in chunks[:sizes[t]]])
        self.lanes = torch.tensor([lane for lane, _, _, _ in chunks])
        self.fresh = torch.tensor([[float(not fresh)] for _, _, _, fresh in chunks])
        self.x, self.codes = data.x[rows], [code[rows] for code in data.codes]
        self.sizes = torch.tensor(sizes)
        self.y, self.weight = data.y[rows], torch.tensor(data.weight)[rows]
        self.total = float(self.weight.sum())
        self.rows = rows


def steps_of(data, units, lanes, length):
    """Batches as src/train/trainer.c takes them: every lane walks through one unit in
    chunks of length rows; where a unit ends, the next one in the queue takes the lane."""
    steps, queue, lane = [], iter(units), [(0, 0)] * min(lanes, len(units))
    while True:
        chunks = []
        for i, (at, end) in enumerate(lane):
            fresh = at == end
            if fresh:
                at, end = next(queue, (0, 0))
            taken = min(length, end - at)
            if taken > 0:
                chunks.append((i, at, taken, fresh))
            lane[i] = (at + taken, end)
        if not chunks:
            return steps
        steps.append(Step(data, chunks))


def training_units(data, length):
    if length == 1:
        return [(row, row + 1) for row in data.time_order if data.weight[row] > 0]
    units = []
    for first, end in zip(data.start, data.start[1:]):
        while end > first and data.weight[end - 1] == 0:
            end -= 1
        if end > first:
            units.append((first, end))
    return units


# ---- PyTorch -------------------------------------------------------------------------


class Net(nn.Module):
    def __init__(self, data, setting, hidden):
        super().__init__()
        width = data.x.shape[1] + sum(dim for _, dim in data.embedding)
        self.embedding = nn.ModuleList(nn.Embedding(*shape) for shape in data.embedding)
        self.rnn = (nn.LSTM if setting.cell == "lstm" else nn.GRU)(width, hidden)
        self.head = nn.Linear(hidden, 1)
        if setting.init == "keras":
            self.as_keras(width, hidden)
        nn.init.constant_(self.head.bias, data.median)

    def as_keras(self, width, hidden):
        """Glorot over the matrix of all gates, orthogonal, zeros, forget gate 1."""
        for embedding in self.embedding:
            nn.init.uniform_(embedding.weight, -0.05, 0.05)
        gates = self.rnn.weight_hh_l0.shape[0]
        limit = math.sqrt(6 / (width + gates))
        nn.init.uniform_(self.rnn.weight_ih_l0, -limit, limit)
        nn.init.orthogonal_(self.rnn.weight_hh_l0)
        nn.init.zeros_(self.rnn.bias_ih_l0)
        nn.init.zeros_(self.rnn.bias_hh_l0)
        if isinstance(self.rnn, nn.LSTM):
            with torch.no_grad():
                self.rnn.bias_ih_l0[hidden:2 * hidden] = 1
        nn.init.xavier_uniform_(self.head.weight)

    def forward(self, x, codes, sizes, state):
        parts = [x] + [embedding(code) for embedding, code in zip(self.embedding, codes)]
        y, state = self.rnn(PackedSequence(torch.cat(parts, 1), sizes), state)
        return self.head(y.data).squeeze(1), state


class State:
    """What every lane carries on: h, and c of an LSTM."""

    def __init__(self, setting, lanes, hidden):
        self.kept = [torch.zeros(lanes, hidden) for _ in range(1 + (setting.cell == "lstm"))]

    def of(self, step):
        picked = [(part[step.lanes] * step.fresh).unsqueeze(0) for part in self.kept]
        return tuple(picked) if len(picked) > 1 else picked[0]

    def keep(self, step, state):
        for part, new in zip(self.kept, state if isinstance(state, tuple) else (state,)):
            part[step.lanes] = new[0].detach()


def train_torch(data, setting, steps, seed, args):
    """Test MAE in seconds and time of the loop."""
    torch.manual_seed(seed)
    net = Net(data, setting, args.hidden)
    optimizer = torch.optim.Adam(net.parameters(), lr=RATE)
    carried, done = setting.steps > 1, 0
    begin = time.perf_counter()
    for _ in range(args.epochs):
        state = State(setting, setting.batch, args.hidden)
        for step in steps:
            optimizer.param_groups[0]["lr"] = RATE * (1 - done / (args.epochs * len(steps)))
            done += 1
            out, new = net(step.x, step.codes, step.sizes, state.of(step) if carried else None)
            if carried:
                state.keep(step, new)
            if step.total == 0:
                continue
            optimizer.zero_grad()
            (((out - step.y).abs() * step.weight).sum() / step.total).backward()
            nn.utils.clip_grad_norm_(net.parameters(), CLIP)
            optimizer.step()
    seconds = time.perf_counter() - begin
    return test_error(net, data, setting), seconds


def test_error(net, data, setting):
    """Every row predicted from the rows of its user before it, or from itself alone."""
    if setting.steps == 1:
        units = [(row, row + 1) for row in range(len(data.raw))]
    else:
        units = list(zip(data.start, data.start[1:]))
    prediction = np.zeros(len(data.raw))
    with torch.no_grad():
        for step in steps_of(data, units, len(units), len(data.raw)):
            out, _ = net(step.x, step.codes, step.sizes, None)
            prediction[step.rows] = out.double() * data.scale + data.mean
    return abs(prediction - data.raw)[data.test].mean()


# ---- the comparison -----------------------------------------------------------------


class Setting:
    def __init__(self, cell, init, steps):
        self.cell, self.init, self.steps = cell, init, steps
        self.batch = BATCH_ALONE if steps == 1 else BATCH
        self.name = f"{cell}-{init}-{steps}"


def compare(setting, data, args):
    """Prints one setting's runs; data is read once a first model is there."""
    ours = [train_ours(setting, seed, args) for seed in args.seed_list]
    data = data or Data()
    steps = steps_of(data, training_units(data, setting.steps), setting.batch, setting.steps)
    rows = sum(step.total for step in steps)
    if rows != ours[0][3]:
        sys.exit(f"{setting.name}: train() saw {ours[0][3]} rows an epoch, PyTorch {rows:.0f}")
    theirs, seconds = [], {}
    for seed in args.seed_list:
        threads = args.threads if seed == args.seeds else 1
        torch.set_num_threads(threads)
        mae, spent = train_torch(data, setting, steps, seed, args)
        theirs.append(mae)
        seconds.setdefault(threads, []).append(spent)
    means = [statistics.mean(run[0] for run in ours), statistics.mean(theirs)]
    ratio = means[0] / means[1]
    print(f"{setting.name}: {len(steps)} steps of {setting.batch} x {setting.steps}, "
          f"{rows:.0f} rows an epoch")
    print("  ours     " + " ".join(f"{run[0]:8.1f}" for run in ours) + f"  mean {means[0]:8.1f}")
    print("  PyTorch  " + " ".join(f"{mae:8.1f}" for mae in theirs) +
          f"  mean {means[1]:8.1f}  ratio {ratio:.4f}" + ("" if abs(ratio - 1) <= 0.01 else "  !"))
    print(f"  seconds  ours {statistics.median(run[1] for run in ours):.2f} "
          f"(statement {statistics.median(run[2] for run in ours):.2f})" +
          "".join(f", PyTorch {statistics.median(times):.2f} on {threads} thread(s)"
                  for threads, times in seconds.items()), flush=True)
    return data, abs(ratio - 1) <= 0.01


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=600)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--hidden", type=int, default=32)
    parser.add_argument("--seeds", type=int, default=5, help="seeds 1 to this")
    parser.add_argument("--only", default="", help="settings whose name begins so")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count()),
                        help="of PyTorch for the last seed; the others have one (2)")
    args = parser.parse_args()
    args.seed_list = range(1, args.seeds + 1)
    settings = [Setting(cell, init, steps) for steps in (1, 32) for cell in ("lstm", "gru")
                for init in ("torch", "keras")]

    blas, kernel = psql("SELECT blas, blas_kernel FROM sessionlen.build_info()").strip().split("\t")
    print(f"{blas} ({kernel}), PyTorch {torch.__version__}, {os.cpu_count()} processors, load "
          f"{os.getloadavg()[0]:.1f}; test MAE in seconds")
    drop()
    load(args.users)
    data, agree = None, True
    for setting in settings:
        if setting.name.startswith(args.only):
            data, within = compare(setting, data, args)
            agree &= within
    drop()
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
