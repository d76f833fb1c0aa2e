#!/usr/bin/python3
"""Writes loss.txt: losses and gradients as PyTorch computes them.

    /usr/bin/python3 test/data/make_loss_fixtures.py > test/data/loss.txt

Losses that torch.nn has are taken from there; log_cosh, weibull and quantile are written
out from their definitions (torch.distributions.Weibull for the density) and differentiated
by autograd.  Everything is in double and summed over rows.
"""
import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
torch.manual_seed(20)


def show(name, tensor):
    values = tensor.detach().reshape(-1).tolist()
    print(name, len(values))
    print(" ".join("%.9g" % v for v in values))


def float32(tensor):
    """Rounded to what the core is given, so that both sides see the same inputs."""
    return tensor.float().double()


def case(name, raw, target, function, censored=None):
    raw = float32(raw).requires_grad_()
    target = float32(target)
    loss = function(raw, target) if censored is None else function(raw, target, censored)
    loss.backward()
    show(name + ".raw", raw)
    show(name + ".target", target)
    if censored is not None:
        show(name + ".censored", censored.double())
    show(name + ".value", loss)
    show(name + ".grad", raw.grad)


target = torch.cat([torch.randn(9) * 3, torch.tensor([2.0, 2.0, 2.0])])
raw = torch.cat([torch.randn(9) * 3, torch.tensor([2.0, 3.5, 1000.0])])
case("mae", raw, target, torch.nn.L1Loss(reduction="sum"))
case("mse", raw, target, torch.nn.MSELoss(reduction="sum"))
case("huber", raw, target, torch.nn.HuberLoss(reduction="sum", delta=1.0))
case("log_cosh", raw[:11], target[:11], lambda x, y: torch.log(torch.cosh(x - y)).sum())
case("mape", raw[:11], target[:11].abs() + 1, lambda x, y: ((x - y).abs() / y).sum())

logits = torch.cat([torch.randn(8) * 4, torch.tensor([100.0, -100.0, 100.0, -100.0])])
labels = torch.tensor([0, 1, 1, 0, 1, 0, 0, 1, 1, 0, 0, 1.0])
case("bce", logits, labels, torch.nn.BCEWithLogitsLoss(reduction="sum"))

logits = torch.randn(6, 5) * 3
logits[4] = torch.tensor([200.0, -200.0, 0.0, 1.0, 2.0])
classes = torch.tensor([0.0, 4, 2, 1, 0, 3])
case("cross_entropy", logits, classes, lambda x, y: F.cross_entropy(x, y.long(), reduction="sum"))


def weibull(raw, y, censored):
    law = torch.distributions.Weibull(raw[:, 0].exp(), raw[:, 1].exp())
    survival = (y / raw[:, 0].exp()) ** raw[:, 1].exp()
    return torch.where(censored, survival, -law.log_prob(y)).sum()


raw = torch.stack([torch.randn(10) + 5, torch.randn(10) * 0.4], 1)
lengths = torch.exp(torch.randn(10) + 5).clamp(min=1)
case("weibull", raw, lengths, weibull, torch.arange(10) % 3 == 2)


def quantile(raw, y, censored):
    level = torch.tensor([0.1, 0.25, 0.5, 0.9]).float().double()
    q = torch.cumsum(torch.cat([raw[:, :1], F.softplus(raw[:, 1:], threshold=1000)], 1), 1)
    q = torch.where(censored[:, None], torch.minimum(q, y[:, None]), q)
    r = y[:, None] - q
    return torch.maximum(level * r, (level - 1) * r).mean(1).sum()


raw = torch.randn(9, 4) * 2
case("quantile", raw, torch.randn(9) * 2 + 2, quantile, torch.arange(9) % 4 == 1)
