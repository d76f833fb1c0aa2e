#!/usr/bin/python3
"""Time of a call of ONNX Runtime for one sequence of 20 rows of 9 numbers: an LSTM of 64
units and a linear layer on its last state, one thread.  Beside it the call of a model that
does nothing.

    bench/predict_onnx.py [CALLS]

Needs python3-onnx and python3-onnxruntime.
"""
import contextlib
import os
import statistics
import sys
import time

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

STEPS, FEATURES, HIDDEN = 20, 9, 64


@contextlib.contextmanager
def quiet():
    """Without what Debian's build says to the error output of every known operator."""
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)


def session(weights, nodes, result):
    graph = helper.make_graph(
        [helper.make_node(*args, **more) for *args, more in nodes],
        "bench",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [STEPS, 1, FEATURES])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, result)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    with quiet():
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


NOTHING = [("Identity", ["x"], ["y"], {})]
NETWORK = [
    ("LSTM", ["x", "w", "r", "b"], ["", "h"], {"hidden_size": HIDDEN}),
    ("Squeeze", ["h", "axis"], ["last"], {}),
    ("MatMul", ["last", "hw"], ["product"], {}),
    ("Add", ["product", "hb"], ["y"], {}),
]


def make_weights(random):
    def numbers(*shape):
        return (random.random(shape, dtype=np.float32) - 0.5) * 0.2

    return {
        "w": numbers(1, 4 * HIDDEN, FEATURES),
        "r": numbers(1, 4 * HIDDEN, HIDDEN),
        "b": numbers(1, 8 * HIDDEN),
        "hw": numbers(HIDDEN, 1),
        "hb": numbers(1),
        "axis": np.array([0], dtype=np.int64),
    }


def plain(x, weights):
    """The same in numpy; ONNX has the gates in the order i, o, f, c."""
    w, r = weights["w"][0], weights["r"][0]
    bias = weights["b"][0].reshape(2, -1).sum(0)
    h = c = np.zeros(HIDDEN)
    for row in x[:, 0]:
        i, o, f, g = np.split(w @ row + r @ h + bias, 4)
        c = c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
        h = np.tanh(c) / (1 + np.exp(-o))
    return h @ weights["hw"] + weights["hb"]


def per_call(call, calls):
    """The median of ten blocks of calls."""
    call()
    times = []
    for _ in range(10):
        start = time.perf_counter()
        for _ in range(calls // 10):
            call()
        times.append((time.perf_counter() - start) / (calls // 10))
    return statistics.median(times)


def ways(model, x):
    """A call by run(), and by what is bound once."""
    binding = model.io_binding()
    binding.bind_cpu_input("x", x)
    binding.bind_output("y")
    return {
        "run()": lambda: model.run(None, {"x": x}),
        "run_with_iobinding()": lambda: model.run_with_iobinding(binding),
    }


def main():
    calls = int((sys.argv + ["20000"])[1])
    print(f"VERSION\tONNX Runtime\t{onnxruntime.__version__}")
    random = np.random.default_rng(1)
    x = random.random((STEPS, 1, FEATURES), dtype=np.float32) - 0.5
    weights = make_weights(random)
    nothing = session({}, NOTHING, [STEPS, 1, FEATURES])
    network = session(weights, NETWORK, [1, 1])
    if np.abs(network.run(None, {"x": x})[0] - plain(x, weights)).max() > 1e-5:
        sys.exit("ONNX Runtime computes something else")
    for name, call in ways(nothing, x).items():
        print(f"a model that does nothing, {name}: {per_call(call, calls) * 1e6:.2f} µs a call")
    for name, call in ways(network, x).items():
        seconds = per_call(call, calls)
        print(f"ONNX Runtime, 20 rows, hidden 64, {name}: {seconds * 1e6:.2f} µs a call")
        print(f"RESULT\tpredict_sequence(), 20 rows, hidden 64\tONNX Runtime\t{seconds:.9f}\t{name}")


main()
