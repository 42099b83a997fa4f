"""softmax(x/τ) of numpy arrays beside scipy, torch and onnxruntime: one run, in turns, one thread and two.

Every peer divides by τ first, as its users do. Results are new arrays, as with every peer's plain call; "out" writes into an
array given, where there is such a thing. Each answer is checked against float64 before anything is timed. A ratio is taken within
a round. The cost of a call is that on 10 numbers, beside numpy's own plainest calls.

    make bench-python        writes benches/results/python.json, of which benches/page.py makes docs/benchmarks.md
"""

import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import threading
import time
import timeit

TAU = 0.07
# (shape, axis, rounds)
SHAPES = [
    ((1, 1000), -1, 41),
    ((4096, 1000), -1, 11),
    ((50_000, 1000), -1, 5),
    ((1_000_000, 10), -1, 5),
    ((1000, 4096), 0, 11),
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


def middle(values):
    low, median, high = statistics.quantiles(values, n=4)
    return {"median": median, "quartiles": [low, high]}


def compare(threads, which):
    import numpy as np
    import scipy.special

    random = np.random.default_rng(3)
    results = []
    for shape, axis, rounds in [SHAPES[which]]:
        x = random.standard_normal(shape, dtype=np.float32)
        out = np.zeros_like(x)
        functions = ways(threads, axis, len(shape))
        want = scipy.special.softmax(x[:2000].astype(np.float64) / TAU, axis=axis)
        for name, function in functions.items():
            got = function(x[:2000].copy(), out[:2000])
            error = np.abs(got - want).max() / want.max()
            # x/τ rounded to float32 first costs the others digits.
            bound = 3e-7 if name.startswith("softargmax") else 1e-5
            assert error < bound, f"{name} is wrong by {error}"
        functions["numpy's copy"] = lambda x, out: x.copy()
        loops = max(1, 200_000 // x.size)
        times = {name: [] for name in functions}
        for round_ in range(rounds):
            # Every other round backwards: who comes after one that fills the caches and frees its memory pays for it.
            for name, function in list(functions.items())[:: -1 if round_ % 2 else 1]:
                # Threads of the one before, which wait for more work as fast as they can, have given up by then.
                time.sleep(0.02)
                start = time.perf_counter()
                for _ in range(loops):
                    function(x, out)
                times[name].append((time.perf_counter() - start) / loops)
        ours = times["softargmax"]
        for name, seconds in times.items():
            ratios = [s / o for s, o in zip(seconds, ours, strict=True)]
            results.append({
                "shape": shape,
                "axis": axis,
                "threads": threads,
                "name": name,
                "n": rounds,
                "seconds": statistics.median(seconds),
                "seconds_range": [min(seconds), max(seconds)],
                "ratio": middle(ratios),
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
        "softargmax.log_softmax(x)": lambda: softargmax.log_softmax(x),
        "softargmax.logsumexp(x)": lambda: softargmax.logsumexp(x),
        "softargmax.entropy(x)": lambda: softargmax.entropy(x),
        "softargmax.perplexity(x)": lambda: softargmax.perplexity(x),
        "softargmax.expected_index(x)": lambda: softargmax.expected_index(x),
        "softargmax.statistics(x)": lambda: softargmax.statistics(x),
        "numpy.exp(x)": lambda: np.exp(x),
        "x.sum(axis=-1, keepdims=True)": lambda: x.sum(axis=-1, keepdims=True),
        "scipy.special.softmax(x)": lambda: scipy.special.softmax(x),
        "scipy.special.logsumexp(x)": lambda: scipy.special.logsumexp(x),
    }
    times = {name: [] for name in functions}
    for _ in range(15):
        for name, function in functions.items():
            times[name].append(timeit.timeit(function, number=5000) / 5000)
    exp = times["numpy.exp(x)"]
    return [
        {
            "name": name,
            "n": 15,
            "seconds": statistics.median(t),
            "seconds_range": [min(t), max(t)],
            "beyond_exp": statistics.median(a - b for a, b in zip(t, exp, strict=True)),
        }
        for name, t in times.items()
    ]


def scaling():
    """Calls in a second by two threads of Python over those by one, each call on [100, 1000]."""
    import numpy as np

    import softargmax

    # Each caller on its own: with two threads for every call, one caller would have both cores.
    softargmax.set_num_threads(1)
    arrays = [np.random.default_rng(i).standard_normal((100, 1000), dtype=np.float32) for i in range(2)]
    outs = [np.empty_like(x) for x in arrays]
    functions = {
        "softargmax.softmax": lambda i: softargmax.softmax(arrays[i], axis=-1, temperature=TAU, out=outs[i]),
        "softargmax.sample": lambda i: softargmax.sample(arrays[i], temperature=TAU, top_p=0.9),
    }

    def seconds(function, callers):
        def calls(i):
            for _ in range(300):
                function(i)

        threads = [threading.Thread(target=calls, args=(i,)) for i in range(callers)]
        start = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return (time.perf_counter() - start) / callers

    found = []
    for name, function in functions.items():
        ratios = [seconds(function, 1) / seconds(function, 2) for _ in range(11)]
        found.append({"name": name, "n": 11, "times": middle(ratios)})
    return found


def version(name):
    try:
        return __import__(name).__version__
    except ImportError:
        return None


def processor():
    if not os.path.exists("/proc/cpuinfo"):
        return platform.processor()
    with open("/proc/cpuinfo") as file:
        of = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in file)}
    return f"{of.get('model name')}, family {of.get('cpu family')}, model {of.get('model')}"


def measure(what, *of):
    """A measurement, in a process of its own."""
    threads = str(of[0]) if of else "1"
    command = [*shlex.split(os.environ.get("UNDER", "")), sys.executable, __file__, "--measure", what, *map(str, of)]
    environment = dict(os.environ, OMP_NUM_THREADS=threads, MKL_NUM_THREADS=threads)
    run = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment)
    return json.loads(run.stdout)


def main():
    if sys.argv[1] == "--measure":
        found = {"compare": compare, "calls": calls, "scaling": scaling}[sys.argv[2]](*map(int, sys.argv[3:]))
        json.dump(found, sys.stdout)
        return
    results = []
    for threads in (1, 2):
        for which in range(len(SHAPES)):
            results += measure("compare", threads, which)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    document = {
        "schema": "softargmax.bench.python/1",
        "machine": {"processor": processor(), "cores": os.cpu_count(), "system": platform.platform(terse=True)},
        "python": platform.python_version(),
        "versions": {n: version(n) for n in ("numpy", "scipy", "torch", "onnxruntime")},
        "commit": commit.stdout.strip(),
        # Cargo's profile of the wheel that is installed.
        "profile": os.environ.get("WHEEL_PROFILE", "release"),
        "dtype": "f32",
        "temperature": TAU,
        "calls": measure("calls"),
        "scaling": measure("scaling"),
        "results": results,
    }
    with open(sys.argv[1], "w") as file:
        json.dump(document, file, indent=1)
        file.write("\n")
    for result in document["calls"]:
        print(f"{result['seconds'] * 1e6:9.2f} µs, {result['beyond_exp'] * 1e6:5.2f} beyond numpy.exp  {result['name']}")
    for result in document["scaling"]:
        print(f"{result['times']['median']:9.2f} times as much in two threads  {result['name']}")
    for result in results:
        of = f"{result['shape']}, axis {result['axis']}, threads {result['threads']}"
        print(f"{result['seconds'] * 1e3:9.3g} ms, {result['ratio']['median']:5.2f} times softargmax's  {of}  {result['name']}")


if __name__ == "__main__":
    main()
