#!/usr/bin/python3
"""Writes encoder_decoder.txt: in PyTorch, encoder-decoders with LSTM and GRU, in one
direction and in both, over sequences of unequal length whose last rows are to be
predicted, and the network of four inputs: outputs, gradients and ten steps of Adam (for
embeddings SparseAdam).

    /usr/bin/python3 test/data/make_encoder_decoder_fixtures.py > test/data/encoder_decoder.txt

Rows are written time-major without padding, longest sequence first.
"""
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, pad
from torch.nn.utils.rnn import pack_sequence

torch.manual_seed(7)
torch.set_num_threads(1)
LENGTHS = [7, 6, 5, 5, 3, 2, 1]
PAST = [3, 0, 5, 4, 1, 2, 0]
KNOWN, OBSERVED, TARGET = 2, 1, 2  # the past target and its indicator
ITEMS, ITEM_DIM, CONTEXTS, CONTEXT_DIM = 9, 3, 4, 2
HIDDEN = [6, 4]
PAST_STEPS = 6
RATE = 1e-2


def show(name, tensor):
    values = tensor.detach().reshape(-1).tolist()
    print(name, len(values))
    print(" ".join("%.9g" % v for v in values))


class Batch:
    """Sequences as lists of rows, and where each row stands in packed order."""

    def __init__(self):
        self.x = [torch.randn(n, KNOWN + OBSERVED + TARGET) for n in LENGTHS]
        for x in self.x:
            x[:, -2] = (x[:, -2] > 0).float()
            x[:, -1] = 0
        self.item = [torch.randint(0, ITEMS, (n,)) for n in LENGTHS]
        self.context = [torch.randint(0, CONTEXTS, (n,)) for n in LENGTHS]
        self.y = [torch.randint(0, 2, (n,)).float() for n in LENGTHS]
        self.order = [
            (b, t) for t in range(max(LENGTHS)) for b in range(len(LENGTHS)) if t < LENGTHS[b]
        ]

    def packed(self, rows):
        return torch.stack([rows[b][t] for b, t in self.order])


BATCH = Batch()
FUTURE = [(b, t) for b, t in BATCH.order if t >= PAST[b]]
TARGETS = torch.stack([BATCH.y[b][t] for b, t in FUTURE])


class Inputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.item = nn.Embedding(ITEMS, ITEM_DIM, sparse=True)
        self.context = nn.Embedding(CONTEXTS, CONTEXT_DIM, sparse=True)

    def all(self, b, rows):
        return torch.cat(
            [BATCH.x[b][rows], self.item(BATCH.item[b][rows]), self.context(BATCH.context[b][rows])],
            1,
        )

    def known(self, b, rows):
        return torch.cat([BATCH.x[b][rows, :KNOWN], self.item(BATCH.item[b][rows])], 1)

    def observed(self, b, rows):
        return torch.cat(
            [BATCH.x[b][rows, KNOWN : KNOWN + OBSERVED], self.context(BATCH.context[b][rows])], 1
        )

    def names(self):
        yield "embedding.item.weight", self.item.weight
        yield "embedding.context.weight", self.context.weight


ALL = KNOWN + OBSERVED + TARGET + ITEM_DIM + CONTEXT_DIM


def run(rnn, sequences, state=None):
    """Packed, so that lengths may differ in any order."""
    out, last = rnn(pack_sequence(sequences, enforce_sorted=False), state)
    return nn.utils.rnn.pad_packed_sequence(out)[0], last


class EncoderDecoder(nn.Module):
    """One nn.LSTM or nn.GRU a layer, since widths differ; the names are those of a stack."""

    def __init__(self, kind, both):
        super().__init__()
        cell = getattr(nn, kind.upper())
        self.kind, self.both = kind, both
        self.inputs = Inputs()
        self.encoder, self.decoder, self.bridge = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        width, narrow = ALL, KNOWN + ITEM_DIM
        for hidden in HIDDEN:
            state = hidden * (2 if kind == "lstm" else 1)
            self.encoder.append(cell(width, hidden, bidirectional=both))
            self.decoder.append(cell(narrow, hidden))
            if both:
                self.bridge.append(nn.Linear(2 * state, state))
            width, narrow = hidden * (2 if both else 1), hidden
        self.head = nn.Linear(HIDDEN[-1], 1)

    def names(self):
        yield from self.inputs.names()
        for part in ("encoder", "decoder"):
            for i, layer in enumerate(getattr(self, part)):
                for key, weight in layer.named_parameters():
                    yield part + "." + key.replace("_l0", "_l%d" % i), weight
        for i, layer in enumerate(self.bridge):
            for key, weight in layer.named_parameters():
                yield "bridge.l%d.%s" % (i, key), weight
        for key, weight in self.head.named_parameters():
            yield "head." + key, weight

    def states(self):
        """Each layer's [all sequences x state], h then c, zeros without a past."""
        some = [b for b in range(len(LENGTHS)) if PAST[b] > 0]
        rows = [self.inputs.all(b, slice(0, PAST[b])) for b in some]
        result = []
        for i, layer in enumerate(self.encoder):
            out, last = run(layer, rows)
            last = last if self.kind == "lstm" else (last,)
            # for each direction, h and c side by side
            state = torch.cat([torch.cat([v[d] for v in last], 1) for d in range(len(last[0]))], 1)
            if self.both:
                state = self.bridge[i](state)
            whole = torch.zeros(len(LENGTHS), state.shape[1])
            result.append(whole.index_copy(0, torch.tensor(some), state))
            rows = [out[: PAST[b], j] for j, b in enumerate(some)]
        return result

    def forward(self):
        states = self.states()
        some = [b for b in range(len(LENGTHS)) if PAST[b] < LENGTHS[b]]
        rows = [self.inputs.known(b, slice(PAST[b], LENGTHS[b])) for b in some]
        for layer, state in zip(self.decoder, states):
            first = state[some][None].split(layer.hidden_size, 2)
            first = tuple(v.contiguous() for v in first)
            out, _ = run(layer, rows, first if self.kind == "lstm" else first[0])
            rows = [out[: LENGTHS[b] - PAST[b], j] for j, b in enumerate(some)]
        place = {b: j for j, b in enumerate(some)}
        return torch.stack([self.head(rows[place[b]][t - PAST[b]])[0] for b, t in FUTURE])


class FourInputs(nn.Module):
    """Three LSTMs over the past and a dense layer over the row to predict."""

    def __init__(self):
        super().__init__()
        lstm, last = HIDDEN
        self.inputs = Inputs()
        self.observed = nn.LSTM(OBSERVED + CONTEXT_DIM, lstm)
        self.known = nn.LSTM(KNOWN + ITEM_DIM, lstm)
        self.skips = nn.LSTM(1, lstm)
        self.last = nn.Linear(KNOWN + ITEM_DIM, lstm)
        self.joint = nn.Linear(4 * lstm, last)
        self.head = nn.Linear(last, 1)

    def names(self):
        yield from self.inputs.names()
        for part in ("observed", "known", "skips", "last", "joint", "head"):
            for key, weight in getattr(self, part).named_parameters():
                yield part + "." + key, weight

    def summary(self, b):
        parts = []
        for rnn, columns in ((self.observed, self.inputs.observed), (self.known, self.inputs.known)):
            if PAST[b] > 0:
                parts.append(rnn(columns(b, slice(0, PAST[b])))[0][-1])
            else:
                parts.append(torch.zeros(rnn.hidden_size))
        skips = 1 - BATCH.x[b][: PAST[b], KNOWN + OBSERVED]
        skips = pad(skips, (PAST_STEPS - len(skips), 0), value=9)
        parts.append(self.skips(skips[:, None])[0][-1])
        return torch.cat(parts)

    def forward(self):
        summaries = [self.summary(b) for b in range(len(LENGTHS))]
        rows = []
        for b, t in FUTURE:
            last = torch.relu(self.last(self.inputs.known(b, slice(t, t + 1))[0]))
            joint = torch.relu(self.joint(torch.cat([summaries[b], last])))
            rows.append(self.head(joint)[0])
        return torch.stack(rows)


def case(name, net):
    for _, weight in net.names():
        nn.init.uniform_(weight, -0.6, 0.6)
    for key, weight in net.names():
        show("%s.start.%s" % (name, key), weight)
    tables = list(net.inputs.parameters())
    others = [w for key, w in net.names() if not key.startswith("embedding.")]
    adam = torch.optim.Adam(others, lr=RATE)
    sparse = torch.optim.SparseAdam(tables, lr=RATE)
    losses = []
    for step in range(11):
        adam.zero_grad()
        sparse.zero_grad()
        out = net()
        loss = binary_cross_entropy_with_logits(out, TARGETS)
        losses.append(loss.item())
        if step == 10:
            break
        loss.backward()
        if step == 0:
            show(name + ".out", out)
            for key, weight in net.names():
                show("%s.grad.%s" % (name, key), weight.grad.to_dense())
        adam.step()
        sparse.step()
    show(name + ".losses", torch.tensor(losses))
    for key, weight in net.names():
        show("%s.end.%s" % (name, key), weight)


show("x", BATCH.packed(BATCH.x))
show("item", BATCH.packed(BATCH.item))
show("context", BATCH.packed(BATCH.context))
show("y", BATCH.packed(BATCH.y))
for kind in ("gru", "lstm"):
    for both in (False, True):
        case("%s%s" % (kind, ".both" if both else ""), EncoderDecoder(kind, both))
case("four", FourInputs())
