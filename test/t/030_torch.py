"""Predicts with PyTorch from the rows of sessionlen.weights and model_versions.

Reads one JSON document a line on standard input (see 030_torch.pl) and prints the model's
name and the largest relative difference from what the server predicted.
"""
import json
import math
import sys

import torch
from torch import nn


class Net(nn.Module):
    """Module names are the weights' names, so that a state dict loads as it is."""

    def __init__(self, cell, shapes, layers):
        super().__init__()
        self.embedding = nn.ModuleDict()
        for name, shape in shapes.items():
            if name.startswith("embedding."):
                self.embedding[name[len("embedding."):-len(".weight")]] = nn.Embedding(*shape)
        gates = {"lstm": 4, "gru": 3}[cell]
        rows, width = shapes["rnn.weight_ih_l0"]
        self.rnn = {"lstm": nn.LSTM, "gru": nn.GRU}[cell](
            width, rows // gates, num_layers=layers, batch_first=True)
        self.head = nn.Linear(rows // gates, shapes["head.weight"][0])

    def forward(self, numbers, codes, carry):
        x = torch.cat([numbers] + [self.embedding[name](code) for name, code in codes], dim=-1)
        # without a state every row is a sequence of its own
        x = x.unsqueeze(0) if carry else x.unsqueeze(1)
        return self.head(self.rnn(x)[0]).reshape(len(numbers), -1)


def state_dict(weights):
    parts = {}
    for name, chunk, shape, data in weights:
        parts.setdefault((name, tuple(shape)), []).extend(data)
    return {name: torch.tensor(data).reshape(shape) for (name, shape), data in parts.items()}


def features(inputs, vocabularies, rows):
    """Numeric features [rows x width] and codes by embedding."""
    numbers = [[] for _ in rows]
    codes = []
    for column in inputs:
        values = [row[column["column"]] for row in rows]
        if column["role"] == "observed":
            values = [None] + values[:-1]
        kind = column["as"]
        if kind in ("code", "one_hot", "embedding"):
            entries = vocabularies[column["column"]]
            if column["fold"]:
                values = [v and v.strip().lower() for v in values]
            values = [entries.index(v) + 1 if v in entries else 0 for v in values]
        if kind == "embedding":
            codes.append((column["column"], torch.tensor(values)))
            continue
        for row, v in zip(numbers, values):
            if kind == "one_hot":
                row.extend(float(v == code + 1) for code in range(len(entries)))
                continue
            known = v is not None
            if known and kind == "log1p":
                v = math.copysign(math.log1p(abs(v)), v)
            row.append((v - column["mean"]) / column["scale"] if known else 0.0)
            if column["indicator"]:
                row.append(float(not known))
    return torch.tensor(numbers, dtype=torch.float32).reshape(len(rows), -1), codes


def prediction(out, options, scale):
    if options["loss"] == "quantile":
        steps = torch.cat([out[:, :1], nn.functional.softplus(out[:, 1:])], dim=1)
        out = steps.cumsum(1)[:, options["quantiles"].index(0.5)]
    else:
        out = out[:, 0]
    out = out.double() * scale["scale"] + scale["mean"]
    return torch.expm1(out) if scale["log1p"] else out


def largest_difference(model):
    options = model["options"]
    weights = state_dict(model["weights"])
    net = Net(options["architecture"], {n: tuple(w.shape) for n, w in weights.items()},
              len(options["hidden_dim"]))
    net.load_state_dict(weights)
    worst = 0.0
    with torch.no_grad():
        for sequence in model["sequences"]:
            numbers, codes = features(model["inputs"], model["vocabularies"], sequence["rows"])
            out = net(numbers, codes, options["sequence_length"] > 1)
            ours = torch.tensor(sequence["predictions"], dtype=torch.float64)
            theirs = prediction(out, options, model["target_scale"])
            worst = max(worst, ((ours - theirs).abs() / theirs.abs()).max().item())
    return worst


torch.set_num_threads(1)
for line in sys.stdin:
    document = json.loads(line)
    print(document["model"], largest_difference(document))
