#!/usr/bin/python3
"""Writes items.txt: losses over items (cross-entropy, sampled softmax, BPR-max, TOP1-max) with
the gradients of hidden states and head, by PyTorch's autograd in double precision.

    /usr/bin/python3 test/data/make_item_fixtures.py > test/data/items.txt
"""
import torch

torch.manual_seed(7)
torch.set_default_dtype(torch.float64)
ROWS, HIDDEN, ITEMS, NEGATIVES, REGULARIZATION = 13, 6, 30, 17, 0.5


def show(name, tensor):
    values = tensor.detach().reshape(-1).tolist()
    print(name, len(values))
    print(" ".join("%.9g" % v for v in values))


def exact(scores, own, drawn, masked, correction):
    return torch.logsumexp(scores, 1) - own


def sampled_softmax(scores, own, drawn, masked, correction):
    drawn = (drawn - correction).masked_fill(masked, -torch.inf)
    return torch.logsumexp(torch.cat([own[:, None], drawn], 1), 1) - own


def bpr_max(scores, own, drawn, masked, correction):
    s = torch.softmax(drawn.masked_fill(masked, -torch.inf), 1)
    fit = torch.log((s * torch.sigmoid(own[:, None] - drawn)).sum(1))
    return -fit + REGULARIZATION * (s * drawn**2).sum(1)


def top1_max(scores, own, drawn, masked, correction):
    s = torch.softmax(drawn.masked_fill(masked, -torch.inf), 1)
    terms = torch.sigmoid(drawn - own[:, None]) + torch.sigmoid(drawn**2)
    return (s * terms).sum(1)


# rounded to what the file holds
h = (torch.randn(ROWS, HIDDEN) * 1.5).float().double().requires_grad_()
weight = torch.randn(ITEMS, HIDDEN).float().double().requires_grad_()
bias = torch.randn(ITEMS).float().double().requires_grad_()
item = torch.randint(0, ITEMS, (ROWS,))
item[4] = -1
row_weight = torch.rand(ROWS).float().double()
row_weight[7] = 0
negative = torch.randint(0, ITEMS, (NEGATIVES,))
negative[3] = item[0]  # a hit
negative[9] = negative[8]  # drawn twice
count = torch.randint(1, 1000, (ITEMS,)).double()
q = count**0.75 / (count**0.75).sum()
for name, value in [
    ("h", h),
    ("weight", weight),
    ("bias", bias),
    ("item", item),
    ("row_weight", row_weight),
    ("negative", negative),
    ("count", count),
    ("log_q", q.log()),
]:
    show(name, value)
counts = (item >= 0) & (row_weight > 0)
target = item.clamp(min=0)
for name, loss in [
    ("cross_entropy", exact),
    ("sampled_softmax", sampled_softmax),
    ("bpr_max", bpr_max),
    ("top1_max", top1_max),
]:
    h.grad = weight.grad = bias.grad = None
    scores = h @ weight.T + bias
    own = scores.gather(1, target[:, None])[:, 0]
    drawn = scores[:, negative]
    masked = target[:, None] == negative[None, :]
    rows = loss(scores, own, drawn, masked, (NEGATIVES * q[negative]).log())
    total = (rows * row_weight)[counts].sum()
    total.backward()
    show(name + ".loss", total)
    show(name + ".dh", h.grad)
    show(name + ".dweight", weight.grad)
    show(name + ".dbias", bias.grad)
