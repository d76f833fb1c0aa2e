#!/usr/bin/python3
"""Writes recurrent.txt: torch.nn.LSTM and GRU on packed sequences of unequal length, their
outputs, final states and gradients; and ten optimiser steps of a whole network (embedding,
two recurrent layers of different width, dense head) with every optimiser, which updates
only the rows of the embedding that a step looked up.

    /usr/bin/python3 test/data/make_recurrent_fixtures.py > test/data/recurrent.txt
"""
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

torch.manual_seed(42)
torch.set_num_threads(1)
INPUTS, HIDDEN, STEPS = 5, 6, 10
LENGTHS = [6, 4, 4, 1]
ROWS = sum(LENGTHS)


def show(name, tensor):
    values = tensor.detach().reshape(-1).tolist()
    print(name, len(values))
    print(" ".join("%.9g" % v for v in values))


def packed(cols):
    """Random rows in packed order, and the sizes of the steps."""
    padded = torch.randn(max(LENGTHS), len(LENGTHS), cols)
    return pack_padded_sequence(padded, torch.tensor(LENGTHS))


def layer_case(kind, layers, bidirectional):
    name = "%s.%d%s" % (kind, layers, ".both" if bidirectional else "")
    rnn = getattr(nn, kind.upper())(INPUTS, HIDDEN, layers, bidirectional=bidirectional)
    directions = 2 if bidirectional else 1
    start = packed(INPUTS)
    x = start.data.clone().requires_grad_()
    shape = (layers * directions, len(LENGTHS), HIDDEN)
    state = [torch.randn(shape) for _ in range(2 if kind == "lstm" else 1)]
    for weight in rnn.parameters():
        nn.init.uniform_(weight, -0.6, 0.6)
    out, last = rnn(
        PackedSequence(x, start.batch_sizes),
        tuple(state) if kind == "lstm" else state[0],
    )
    last = last if kind == "lstm" else (last,)
    above = torch.randn(out.data.shape)
    (out.data * above).sum().backward()
    show(name + ".x", x)
    show(name + ".above", above)
    show(name + ".out", out.data)
    show(name + ".dx", x.grad)
    for letter, first, final in zip("hc", state, last):
        show("%s.%s0" % (name, letter), first)
        show("%s.%sn" % (name, letter), final)
    for key, weight in rnn.named_parameters():
        show("%s.rnn.%s" % (name, key), weight)
        show("%s.grad.rnn.%s" % (name, key), weight.grad)


class Network(nn.Module):
    """Names as a stored model has them: embedding.<column>, rnn.*_l<i>, head."""

    def __init__(self, kind):
        super().__init__()
        cell = getattr(nn, kind.upper())
        self.embedding = nn.Embedding(12, 3)
        self.rnn = nn.ModuleList([cell(INPUTS + 3, 6), cell(6, 4)])
        self.head = nn.Linear(4, 1)

    def names(self):
        yield "embedding.country.weight", self.embedding.weight
        for i, layer in enumerate(self.rnn):
            for key, weight in layer.named_parameters():
                yield "rnn." + key.replace("_l0", "_l%d" % i), weight
        yield "head.weight", self.head.weight
        yield "head.bias", self.head.bias

    def forward(self, x, codes, sizes):
        data = torch.cat([x, self.embedding(codes)], 1)
        for layer in self.rnn:
            data = layer(PackedSequence(data, sizes))[0].data
        return self.head(data)[:, 0]


OPTIMISERS = {
    "adam": (torch.optim.Adam, {}),
    "adamw": (torch.optim.AdamW, {}),
    # see make_optim_fixtures.py
    "nadam": (torch.optim.NAdam, {"foreach": True}),
    "rmsprop": (torch.optim.RMSprop, {}),
    "adagrad": (torch.optim.Adagrad, {}),
    "sgd": (torch.optim.SGD, {"lr": 1e-2}),
}
# The embedding's, where PyTorch has one for sparse gradients
SPARSE = {
    "adamw": (torch.optim.SparseAdam, {}),
    "adam": (torch.optim.SparseAdam, {}),
    "adagrad": (torch.optim.Adagrad, {}),
    "sgd": (torch.optim.SGD, {"lr": 1e-2}),
}


class Rows:
    """Any optimiser on the rows of a table that were looked up: the others, and what the
    optimiser keeps of them, are put back after its step."""

    def __init__(self, make, arguments, table):
        self.opt, self.table = make([table], **arguments), table

    def step(self, codes):
        before = self.table.detach().clone()
        moments = {
            key: value.clone()
            for key, value in self.opt.state[self.table].items()
            if torch.is_tensor(value) and value.shape == before.shape
        }
        self.opt.step()
        others = torch.ones(len(before), dtype=bool)
        others[codes] = False
        with torch.no_grad():
            self.table[others] = before[others]
        for key, value in self.opt.state[self.table].items():
            if torch.is_tensor(value) and value.shape == before.shape:
                value[others] = moments[key][others] if key in moments else 0


def network_case(kind, loss):
    name = kind + ".net"
    batch = packed(INPUTS)
    # some of the codes in every step, and code 11 never
    codes = torch.randint(0, 11, (STEPS + 1, ROWS))
    target = torch.randn(ROWS)
    net = Network(kind)
    start = {key: weight.detach().clone() for key, weight in net.names()}
    show(name + ".x", batch.data)
    show(name + ".codes", codes)
    show(name + ".target", target)
    for key, weight in start.items():
        show("%s.start.%s" % (name, key), weight)
    table = net.embedding.weight
    for optimiser, (make, arguments) in OPTIMISERS.items():
        with torch.no_grad():
            for key, weight in net.names():
                weight.copy_(start[key])
        net.embedding.sparse = optimiser in SPARSE
        opt = make([w for w in net.parameters() if w is not table], **arguments)
        if net.embedding.sparse:
            sparse = SPARSE[optimiser][0]([table], **SPARSE[optimiser][1])
        else:
            sparse = Rows(make, arguments, table)
        losses = []
        for step in range(STEPS):
            net.zero_grad()
            value = loss(net(batch.data, codes[step], batch.batch_sizes), target)
            value.backward()
            opt.step()
            if net.embedding.sparse:
                if optimiser == "adamw":  # its decay, of the rows looked up
                    with torch.no_grad():
                        table[codes[step].unique()] *= 1 - 1e-3 * 1e-2
                sparse.step()
            else:
                sparse.step(codes[step])
            losses.append(value.item())
        losses.append(loss(net(batch.data, codes[-1], batch.batch_sizes), target).item())
        show("%s.%s.losses" % (name, optimiser), torch.tensor(losses))
        for key, weight in net.names():
            show("%s.%s.%s" % (name, optimiser, key), weight)


for kind in ("lstm", "gru"):
    for layers in (1, 2):
        for bidirectional in (False, True):
            layer_case(kind, layers, bidirectional)
network_case("lstm", nn.L1Loss())
network_case("gru", nn.MSELoss())
