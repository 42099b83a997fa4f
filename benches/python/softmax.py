"""softmax(x/τ) of numpy arrays beside scipy, torch and onnxruntime: one run, in turns, one thread and two.

Every peer divides by τ first, as its users do. Results are new arrays, as with every peer's plain call; "out" writes into an
array given, where there is such a thing. Each answer is checked against float64 before anything is timed. A ratio is taken within
a round. The cost of a call is that on 10 numbers, beside numpy's own plainest calls.

    make bench-python        writes benches/results/python.json
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import time
import timeit

TAU = 0.7
# (shape, axis, rounds)
SHAPES = [
    ((1, 1000), -1, 41),
    ((4096, 1000), -1, 15),
    ((50_000, 1000), -1, 5),
    ((1_000_000, 10), -1, 5),
    ((1000, 4096), 0, 15),
]


def ways(threads, axis, ndim):
    """Name → a function of logits and a buffer."""
    import numpy as np
    import scipy.special

    import softargmax

    softargmax.set_num_threads(threads)
    found = {
        "softargmax": lambda x, out: softargmax.softmax(x, axis=axis, temperature=TAU),
        "softargmax, out": lambda x, out: softargmax.softmax(x, axis=axis, temperature=TAU, out=out),
        "scipy": lambda x, out: scipy.special.softmax(x / np.float32(TAU), axis=axis),
    }
    try:
        import torch

        torch.set_num_threads(threads)
        found["torch"] = lambda x, out: torch.softmax(torch.from_numpy(x) / TAU, axis).numpy()

        def into(x, out):
            out_ = torch.from_numpy(out)
            torch.div(torch.from_numpy(x), TAU, out=out_)
            torch.softmax(out_, axis, out=out_)
            return out

        found["torch, out"] = into
    except ImportError as error:
        print(f"without torch: {error}", file=sys.stderr)
    try:
        import onnx
        import onnxruntime

        helper = onnx.helper
        model = helper.make_model(
            helper.make_graph(
                [
                    helper.make_node("Div", ["x", "tau"], ["scaled"]),
                    helper.make_node("Softmax", ["scaled"], ["p"], axis=axis),
                ],
                "softmax",
                [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [None] * ndim)],
                [helper.make_tensor_value_info("p", onnx.TensorProto.FLOAT, [None] * ndim)],
                [onnx.numpy_helper.from_array(np.float32(TAU), "tau")],
            ),
            opset_imports=[helper.make_opsetid("", 17)],
            ir_version=9,
        )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        found["onnxruntime"] = lambda x, out: session.run(None, {"x": x})[0]
    except ImportError as error:
        print(f"without onnxruntime: {error}", file=sys.stderr)
    return found


def compare(threads):
    import numpy as np
    import scipy.special

    random = np.random.default_rng(3)
    results = []
    for shape, axis, rounds in SHAPES:
        x = (random.standard_normal(shape) * 3).astype(np.float32)
        out = np.zeros_like(x)
        functions = ways(threads, axis, len(shape))
        want = scipy.special.softmax(x[:2000].astype(np.float64) / TAU, axis=axis)
        for name, function in functions.items():
            got = function(x[:2000].copy(), out[:2000])
            error = np.abs(got - want).max() / want.max()
            assert error < 1e-6, f"{name} is wrong by {error}"
        functions["numpy's copy"] = lambda x, out: x.copy()
        loops = max(1, 200_000 // x.size)
        times = {name: [] for name in functions}
        for _ in range(rounds):
            for name, function in functions.items():
                start = time.perf_counter()
                for _ in range(loops):
                    function(x, out)
                times[name].append((time.perf_counter() - start) / loops)
        ours = times["softargmax"]
        for name, seconds in times.items():
            ratios = sorted(s / o for s, o in zip(seconds, ours, strict=True))
            results.append({
                "shape": shape,
                "axis": axis,
                "threads": threads,
                "name": name,
                "n": rounds,
                "seconds": statistics.median(seconds),
                "seconds_spread": [min(seconds), max(seconds)],
                "ratio": statistics.median(ratios),
                "ratio_spread": [ratios[0], ratios[-1]],
            })
    return results


def calls():
    """The cost of a call on 10 numbers, in seconds."""
    import numpy as np
    import scipy.special

    import softargmax

    x = np.arange(10.0)
    functions = {
        "softargmax.softmax(x)": lambda: softargmax.softmax(x),
        "softargmax.softmax(x, axis=-1, temperature=2.0)": lambda: softargmax.softmax(
            x, axis=-1, temperature=2.0
        ),
        "softargmax.entropy(x)": lambda: softargmax.entropy(x),
        "numpy.exp(x)": lambda: np.exp(x),
        "x.sum(axis=-1, keepdims=True)": lambda: x.sum(axis=-1, keepdims=True),
        "scipy.special.softmax(x)": lambda: scipy.special.softmax(x),
    }
    times = {name: [] for name in functions}
    for _ in range(15):
        for name, function in functions.items():
            times[name].append(timeit.timeit(function, number=5000) / 5000)
    return [
        {"name": name, "n": 15, "seconds": statistics.median(t), "seconds_spread": [min(t), max(t)]}
        for name, t in times.items()
    ]


def version(name):
    try:
        return __import__(name).__version__
    except ImportError:
        return None


def processor():
    if not os.path.exists("/proc/cpuinfo"):
        return platform.processor()
    with open("/proc/cpuinfo") as file:
        return next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "")


def main():
    if sys.argv[1] == "--threads":
        json.dump(compare(int(sys.argv[2])), sys.stdout)
        return
    results = []
    for threads in (1, 2):
        command = [sys.executable, __file__, "--threads", str(threads)]
        environment = dict(os.environ, OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads))
        run = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment)
        results += json.loads(run.stdout)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    document = {
        "schema": "softargmax.bench.python/1",
        "machine": {"processor": processor(), "cores": os.cpu_count(), "system": platform.platform(terse=True)},
        "python": platform.python_version(),
        "versions": {n: version(n) for n in ("numpy", "scipy", "torch", "onnxruntime")},
        "commit": commit.stdout.strip(),
        "dtype": "f32",
        "temperature": TAU,
        "calls": calls(),
        "results": results,
    }
    with open(sys.argv[1], "w") as file:
        json.dump(document, file, indent=1)
        file.write("\n")
    for result in document["calls"]:
        print(f"{result['seconds'] * 1e6:9.2f} µs  {result['name']}")
    for result in results:
        shape, name = result["shape"], result["name"]
        print(
            f"{shape!s:>15} axis {result['axis']:2} threads {result['threads']}"
            f" {result['seconds'] * 1e3:10.3f} ms {result['ratio']:7.2f} times  {name}"
        )


if __name__ == "__main__":
    main()
