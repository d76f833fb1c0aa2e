#!/usr/bin/python3
"""Writes optim.txt: weights after one and after ten steps of every torch.optim optimiser,
with and without weight decay and gradient clipping, on one fixed sequence of gradients.

    /usr/bin/python3 test/data/make_optim_fixtures.py > test/data/optim.txt
"""
import torch

torch.manual_seed(21)
N, STEPS = 19, 10


def show(name, tensor):
    values = tensor.detach().reshape(-1).tolist()
    print(name, len(values))
    print(" ".join("%.9g" % v for v in values))


start = torch.randn(N)
start[::2] *= 1e-3  # small weights show small differences
grads = torch.randn(STEPS, N)
grads[:, 0] = 0  # a weight that gets no gradient
grads[:, 1] *= 1e-7  # where epsilon matters
grads[:, 2] *= 100
grads[3] = 0
grads[5] *= 0.05  # a step that is not clipped
show("start", start)
show("grads", grads)

OPTIMISERS = {
    "adam": (torch.optim.Adam, {}),
    "adamw": (torch.optim.AdamW, {}),
    # Version 1.13 has two implementations: the default one multiplies by mu twice where
    # its documentation, its own foreach form, Dozat's paper and all later versions do it
    # once (a difference that fades within some twenty steps).
    "nadam": (torch.optim.NAdam, {"foreach": True}),
    "rmsprop": (torch.optim.RMSprop, {}),
    "adagrad": (torch.optim.Adagrad, {}),
    "sgd": (torch.optim.SGD, {"lr": 1e-2}),
}
for name, (optimiser, arguments) in OPTIMISERS.items():
    for decay in (0, 0.01):
        for clip in (0, 1):
            weight = torch.nn.Parameter(start.clone())
            opt = optimiser([weight], weight_decay=decay, **arguments)
            for step in range(STEPS):
                weight.grad = grads[step].clone()
                if clip:
                    torch.nn.utils.clip_grad_norm_([weight], clip)
                opt.step()
                if step in (0, STEPS - 1):
                    show("%s.decay%d.clip%d.step%d" % (name, decay > 0, clip, step + 1), weight)
