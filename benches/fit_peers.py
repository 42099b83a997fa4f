"""Fitting a temperature, beside scikit-learn and probmetrics: one thread, one run, in turns.

Data: x = N(0, 1) + m · onehot(y), so that m·x are calibrated logits, and 2m·x ask for τ = 2 but for the noise of the
sample. The best τ of the sample comes from Newton's method in 80-bit floats. A ratio is taken within a round.

    make bench-fit        writes benches/results/fit.json
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np
from sklearn.calibration import _TemperatureScaling
import sklearn

try:
    import probmetrics
    import torch
    from probmetrics.calibrators.temperature_scaling import TemperatureScalingCalibrator
    from probmetrics.distributions import CategoricalLogits

    torch.set_num_threads(1)
except ImportError as error:
    print(f"without probmetrics: {error}", file=sys.stderr)
    probmetrics = None

SHAPES = [(10_000, 10, 15), (10_000, 100, 9), (50_000, 1000, 3)]


def margin(classes, accuracy=0.75):
    """How far the true class must stand out for this accuracy."""
    random = np.random.default_rng(1)
    mine = random.standard_normal(20_000)
    others = random.standard_normal((20_000, classes - 1), dtype=np.float32).max(1)
    low, high = 0.1, 12.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if (mine + middle > others).mean() < accuracy else (low, middle)
    return (low + high) / 2


def data(rows, classes):
    m = margin(classes)
    random = np.random.default_rng(5)
    y = random.integers(0, classes, rows)
    x = random.standard_normal((rows, classes), dtype=np.float32)
    x[np.arange(rows), y] += np.float32(m)
    x *= np.float32(2 * m)
    return x, y


def best(x, y):
    """β* by Newton's method from its neighbourhood, in 80-bit floats."""
    beta = np.longdouble(0.5)
    for _ in range(7):
        slope = curvature = np.longdouble(0)
        for i in range(0, len(x), 1000):
            z = x[i : i + 1000].astype(np.longdouble)
            z -= z.max(1, keepdims=True)
            p = np.exp(beta * z)
            p /= p.sum(1, keepdims=True)
            mean = (p * z).sum(1)
            slope += (mean - z[np.arange(len(z)), y[i : i + 1000]]).sum()
            curvature += (p * (z - mean[:, None]) ** 2).sum()
        beta -= slope / curvature
        if abs(slope / curvature) < 1e-16:
            break
    return 1 / beta


def timed(work):
    start = time.perf_counter()
    tau = work()
    return time.perf_counter() - start, tau


def contest(program, rows, classes, rounds, folder):
    x, y = data(rows, classes)
    wanted = best(x, y)
    names = [os.path.join(folder, name) for name in ("x.npy", "y.npy")]
    np.save(names[0], x)
    np.save(names[1], y.astype(np.int64))
    ours = subprocess.Popen([*program, *names], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def softargmax():
        ours.stdin.write("\n")
        ours.stdin.flush()
        return json.loads(ours.stdout.readline())

    peers = {"scikit-learn": lambda: 1 / float(_TemperatureScaling().fit(x, y).beta_)}
    if probmetrics:
        logits, labels = torch.from_numpy(x), torch.from_numpy(y)

        def bisection():
            fitted = TemperatureScalingCalibrator()
            fitted.fit_torch(CategoricalLogits(logits), labels)
            return 1 / float(fitted.invtemp_)

        peers["probmetrics bisection"] = bisection
    softargmax()  # the first touches the memory
    times = {name: [] for name in ["softargmax", "read once", *peers]}
    taus = {}
    for _ in range(rounds):
        answer = softargmax()
        times["softargmax"].append(answer["seconds"])
        times["read once"].append(answer["read"])
        taus["softargmax"] = answer["tau"]
        for name, work in peers.items():
            seconds, taus[name] = timed(work)
            times[name].append(seconds)
    ours.stdin.close()
    ours.wait()
    result = {"shape": [rows, classes], "rounds": rounds, "passes": answer["passes"], "contestants": {}}
    for name, seconds in times.items():
        ratios = sorted(a / b for a, b in zip(seconds, times["softargmax"]))
        entry = {
            "seconds": statistics.median(seconds),
            "ratio": statistics.median(ratios),
            "ratio_range": [ratios[0], ratios[-1]],
        }
        if name in taus:
            entry["tau"] = taus[name]
            entry["relative_error"] = float(abs(np.longdouble(taus[name]) / wanted - 1))
        result["contestants"][name] = entry
        error = f"  error of τ {entry['relative_error']:.1e}" if name in taus else ""
        print(f"{rows} x {classes:5} {name:22} {entry['seconds'] * 1e3:9.2f} ms  {entry['ratio']:7.2f} times{error}")
    return result


def main():
    program, target = sys.argv[1:-1], sys.argv[-1]
    with tempfile.TemporaryDirectory() as folder:
        shapes = [contest(program, *shape, folder) for shape in SHAPES]
    with open("/proc/cpuinfo") as file:
        of = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in file)}
    cpu = f"{of.get('model name')}, family {of.get('cpu family')}, model {of.get('model')}"
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    versions = {"scikit-learn": sklearn.__version__, "numpy": np.__version__, "python": platform.python_version()}
    if probmetrics:
        versions["torch"] = torch.__version__
        versions["probmetrics"] = getattr(probmetrics, "__version__", "unknown")
    report = {"command": "make bench-fit", "cpu": cpu, "threads": 1, "commit": commit, "versions": versions, "shapes": shapes}
    with open(target, "w") as file:
        json.dump(report, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
