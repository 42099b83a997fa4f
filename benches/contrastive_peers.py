"""Contrastive losses with their gradients, beside torch, jax and bare products of matrices: one thread, one run, in turns.

    moco       B = 1024, K = 65536, D = 128: gradients in queries, keys and τ, none in the queue
    in_batch   B = 4096, D = 512: queries against all keys of the batch
    clip       the same both ways
    sig_lip    the same, every pair by itself, bias −10

"bare" is what matrixmultiply, which ours is built on, takes for the products a loss cannot do without, and "torch mm" what
torch's library takes for them; "GFLOP/s" counts those products only. A ratio is taken within a round. The losses and the
lengths of their gradients are held against float64.

    make bench-contrastive        writes benches/results/contrastive.json

Names of losses after the target measure only those, and leave the others in the file as they are.
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
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ["JAX_PLATFORMS"] = "cpu"
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch.nn.functional as F

torch.set_num_threads(1)
TAU = 0.07
BIAS = -10.0
LOSSES = ["moco", "in_batch", "clip", "sig_lip"]
ROUNDS = 5


def unit(random, rows, width):
    x = random.standard_normal((rows, width), dtype=np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def data(loss):
    random = np.random.default_rng(5)
    rows, width, queue = (1024, 128, 65536) if loss == "moco" else (4096, 512, 0)
    x = unit(random, rows, width)
    y = x + 0.5 * unit(random, rows, width)
    y /= np.linalg.norm(y, axis=1, keepdims=True)
    return x, y, unit(random, queue, width) if queue else None


def torch_loss(loss, x, y, tau, queue, chunked=False):
    """As it is usually written."""
    if loss == "moco":
        positive = torch.einsum("nc,nc->n", x, y).unsqueeze(-1)
        logits = torch.cat([positive, torch.einsum("nc,kc->nk", x, queue)], dim=1) / tau
        return F.cross_entropy(logits, torch.zeros(len(x), dtype=torch.long))
    labels = torch.arange(len(x))
    if loss == "in_batch":
        if chunked:
            return F.linear_cross_entropy(x / tau, y, labels, options=torch.nn.LinearCrossEntropyOptions())
        return F.cross_entropy(x @ y.T / tau, labels)
    if loss == "clip":
        if chunked:
            options = torch.nn.LinearCrossEntropyOptions()
            rows = F.linear_cross_entropy(x / tau, y, labels, options=options)
            return (rows + F.linear_cross_entropy(y / tau, x, labels, options=options)) / 2
        logits = x @ y.T / tau
        return (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2
    signs = 2 * torch.eye(len(x), dtype=x.dtype) - 1
    return -F.logsigmoid(signs * (x @ y.T / tau + BIAS)).sum() / len(x)


def jax_loss(loss):
    def value(x, y, tau, queue):
        if loss == "moco":
            positive = jnp.sum(x * y, axis=1, keepdims=True)
            logits = jnp.concatenate([positive, x @ queue.T], axis=1) / tau
            return jnp.mean(jax.nn.logsumexp(logits, axis=1) - logits[:, 0])
        logits = x @ y.T / tau
        if loss == "sig_lip":
            return -jnp.sum(jax.nn.log_sigmoid((2 * jnp.eye(len(x)) - 1) * (logits + BIAS))) / len(x)
        rows = jnp.mean(jax.nn.logsumexp(logits, axis=1) - jnp.diag(logits))
        if loss == "in_batch":
            return rows
        return (rows + jnp.mean(jax.nn.logsumexp(logits, axis=0) - jnp.diag(logits))) / 2

    return jax.jit(jax.value_and_grad(value, argnums=(0, 1, 2)))


def timed(work):
    start = time.perf_counter()
    answer = work()
    return time.perf_counter() - start, answer


def by_torch(loss, arrays, dtype=torch.float32, chunked=False):
    tensors = [torch.from_numpy(a).to(dtype) for a in arrays[:2]]
    queue = None if arrays[2] is None else torch.from_numpy(arrays[2]).to(dtype)

    def work():
        x, y = (t.detach().requires_grad_() for t in tensors)
        tau = torch.tensor(TAU, dtype=dtype, requires_grad=True)
        value = torch_loss(loss, x, y, tau, queue, chunked)
        value.backward()
        return x.grad, y.grad, tau.grad, value.detach()

    def answer(found):
        x, y, tau, value = found
        norms = [0.0 if g is None else float(g.double().norm()) for g in (x, y)]
        return {"value": float(value), "norms": norms, "tau": float(tau)}

    return work, answer


def by_jax(loss, arrays):
    function = jax_loss(loss)
    x, y, queue = (None if a is None else jnp.asarray(a) for a in arrays)

    def work():
        return jax.block_until_ready(function(x, y, jnp.float32(TAU), queue))

    def answer(found):
        value, (x, y, tau) = found
        norms = [float(np.linalg.norm(np.asarray(g, dtype=np.float64))) for g in (x, y)]
        return {"value": float(value), "norms": norms, "tau": float(tau)}

    return work, answer


def products(loss, arrays):
    """The products by themselves, by torch's library, of 1024 rows at a time."""
    x, y = (torch.from_numpy(a) for a in (arrays[0], arrays[1] if arrays[2] is None else arrays[2]))
    similarities, gradients = {"moco": (1, 1), "clip": (2, 2)}.get(loss, (1, 2))
    s = torch.empty(min(1024, len(x)), min(4096, len(y)))
    g = torch.empty(len(s), x.shape[1])

    def work():
        for block in x.split(len(s)):
            for panel in y.split(s.shape[1]):
                for _ in range(similarities):
                    torch.mm(block, panel.T, out=s)
                for _ in range(gradients):
                    torch.mm(s, panel, out=g)

    return work


def error(got, want):
    pairs = zip([got["value"], got["tau"], *got["norms"]], [want["value"], want["tau"], *want["norms"]])
    return max(abs(g / w - 1) for g, w in pairs if w != 0)


def quartiles(numbers):
    if len(numbers) < 2:
        return [numbers[0]] * 3
    return statistics.quantiles(numbers, n=4, method="inclusive")


def contest(program, loss, folder):
    arrays = data(loss)
    files = [os.path.join(folder, f"{name}.npy") for name in "xyz"]
    for file, array in zip(files, arrays):
        if array is not None:
            np.save(file, array)
    files = [file for file, array in zip(files, arrays) if array is not None]
    ours = subprocess.Popen([*program, "--", loss, *files], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def softargmax():
        ours.stdin.write("\n")
        ours.stdin.flush()
        return json.loads(ours.stdout.readline())

    exact, exact_answer = by_torch(loss, arrays, torch.float64)
    wanted = exact_answer(exact())
    peers = {"torch": by_torch(loss, arrays), "jax": by_jax(loss, arrays)}
    # It has no positive of each row's own beside a queue, and no sigmoid.
    if hasattr(F, "linear_cross_entropy") and loss in ("in_batch", "clip"):
        peers["torch linear_cross_entropy"] = by_torch(loss, arrays, chunked=True)
    mm = products(loss, arrays)
    softargmax(), mm()  # the first touches the memory, and jax compiles
    for work, _ in peers.values():
        work()
    times = {name: [] for name in ["softargmax", "bare", "torch mm", *peers]}
    errors = {}
    for _ in range(ROUNDS):
        # Each twice in its turn, the second time counts: memory and caches went cold while others had theirs.
        softargmax()
        mine = softargmax()
        times["softargmax"].append(mine["seconds"])
        times["bare"].append(mine["gemm"])
        errors["softargmax"] = error(mine, wanted)
        mm()
        times["torch mm"].append(timed(mm)[0])
        for name, (work, answer) in peers.items():
            work()
            seconds, found = timed(work)
            times[name].append(seconds)
            errors[name] = error(answer(found), wanted)
    ours.stdin.close()
    ours.wait()
    assert errors["softargmax"] < 1e-4, errors
    result = {"loss": loss, "rows": len(arrays[0]), "width": arrays[0].shape[1], "rounds": ROUNDS}
    result["columns"] = len(arrays[1] if arrays[2] is None else arrays[2])
    result["flops"] = mine["flops"]
    result["contestants"] = {}
    for name, seconds in times.items():
        low, median, high = quartiles(seconds)
        ratios = quartiles([a / b for a, b in zip(seconds, times["softargmax"])])
        entry = {
            "seconds": median,
            "seconds_quartiles": [low, high],
            "gflops": mine["flops"] / median / 1e9,
            "ratio": ratios[1],
            "ratio_quartiles": [ratios[0], ratios[2]],
        }
        if name in errors:
            entry["relative_error"] = errors[name]
        result["contestants"][name] = entry
        print(f"{loss:9} {name:27} {median * 1e3:8.1f} ms {entry['gflops']:6.1f} GFLOP/s {ratios[1]:6.2f} times")
    return result


def main():
    program = sys.argv[1 : sys.argv.index("--")]
    target, *names = sys.argv[sys.argv.index("--") + 1 :]
    losses = {}
    if names and os.path.exists(target):
        with open(target) as file:
            losses = {result["loss"]: result for result in json.load(file)["losses"]}
    with tempfile.TemporaryDirectory() as folder:
        for loss in names or LOSSES:
            losses[loss] = contest(program, loss, folder)
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if "model name" in line), "")
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    versions = {"torch": torch.__version__, "jax": jax.__version__, "numpy": np.__version__, "python": platform.python_version()}
    versions["rustc"] = subprocess.run(["rustc", "--version"], capture_output=True, text=True).stdout.split()[1]
    report = {"command": "make bench-contrastive", "cpu": cpu, "threads": 1, "commit": commit, "versions": versions}
    report["tau"] = TAU
    report["losses"] = [losses[loss] for loss in LOSSES if loss in losses]
    with open(target + ".new", "w") as file:
        json.dump(report, file, indent=1)
        file.write("\n")
    os.replace(target + ".new", target)


if __name__ == "__main__":
    main()
