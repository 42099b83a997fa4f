"""Nothing leaks in 10^5 calls of any family of functions."""

import ctypes
import gc
import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from statistics import median

import numpy as np
import pytest

import softargmax
from softargmax import metrics

X = np.ones((3, 4), "f4")
LABELS = [0, 1, 2]


def refused(function: Callable[..., object], *arguments: object, **keywords: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        function(*arguments, **keywords)


def of_distributions() -> list[Callable[[], object]]:
    s = softargmax
    return [
        lambda: s.softmax(X, axis=0, temperature="0.1"),
        lambda: s.softmax(X, axis=-1, temperature=[1.0, 2.0, 3.0], out=X.copy()),
        lambda: s.softmax(np.arange(3), where=[True, False, True]),
        lambda: s.log_softmax(X.T, axis=(0, 1)),
        lambda: s.logsumexp(X, b=X, return_sign=True),
        lambda: s.statistics(X),
        lambda: s.softmax_vjp(X, X, axis=-1),
        lambda: s.solve_temperature(X, max_probability=0.5),
        lambda: s.Temperature("1/3"),
        lambda: refused(s.softmax, X, temperature=-1),
        lambda: refused(s.softmax, X, axis=9),
        lambda: refused(s.softmax, X, out=3),
    ]


def of_losses() -> list[Callable[[], object]]:
    s = softargmax
    queue = s.Queue(5, 4)
    queue.push(np.eye(4, dtype="f4"))
    return [
        lambda: s.cross_entropy(X, LABELS, [1.0, 2.0, 3.0], class_weights=[1, 2, 3, 4], smoothing=0.1),
        lambda: s.distillation(X, X, 4.0, hard_labels=LABELS, hard_weight=0.1),
        lambda: s.decoupled_distillation(X, X, LABELS, 4.0),
        lambda: s.normalised_softmax(X / 2, LABELS, 30.0),
        lambda: queue.push(X),
        lambda: s.moco(X, X, queue, 0.07),
        lambda: s.info_nce_in_batch(X, X, 0.07),
        lambda: s.clip(X, X, 0.07),
        lambda: s.sup_con(X, [0, 0, 1], 0.07),
        lambda: s.sig_lip(X, X, 0.1, -10.0),
        lambda: s.cosine_temperature(1, "0.1", 3, 10),
        lambda: refused(s.clip, X, X[:2], 0.07),
    ]


def of_sampling() -> list[Callable[[], object]]:
    s = softargmax
    more = {"top_p": [0.5, 0.9, 1.0], "where": X > 0, "history": [[0], [], [1, 2]], "logit_bias": {1: 0.5}}
    return [
        lambda: s.sample(X, 2, **more),
        lambda: s.log_prob(X, [[0, 1], [1, 2], [2, 3]], of="raw"),
        lambda: s.probabilities(X, preset="hf"),
        lambda: refused(s.sample, X, top_p=2),
    ]


def of_fits() -> list[Callable[[], object]]:
    s = softargmax
    scores = metrics.scores(X, LABELS, weights=[1, 2, 3])
    logits, labels = [[4.0, 0.0]] * 4 + [[0.0, 2.0]] * 4, [0, 0, 0, 1, 1, 1, 1, 0]
    by_group = s.fit_groups(logits, labels, list("aabbaabb"))
    return [
        lambda: s.fit_temperature(logits, labels, prior=(0.5, "2")),
        lambda: s.fit_groups(logits, labels, list("aabbaabb")).groups,
        lambda: by_group.temperatures(["a", "c"]),
        lambda: s.fit_calibrator(logits, labels, "bcts").probabilities(logits),
        lambda: s.evaluate(logits, labels, replicates=2),
        lambda: metrics.scores(X, LABELS).nll,
        lambda: metrics.paired_bootstrap(scores, scores, replicates=2),
        lambda: metrics.isotonic(scores),
        lambda: refused(s.fit_temperature, X, [0, 1, 4]),
    ]


def of_batches() -> list[Callable[[], object]]:
    pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install -r python/requirements-test.txt")
    import softargmax.arrow as sa

    rows = pa.record_batch({"logits": [[4.0, 0.0]] * 4, "label": [0, 0, 1, 0]})
    partials = [sa.partial_stats(rows[:1]), sa.partial_stats(rows[1:])]
    return [
        lambda: sa.partial_stats(rows),
        lambda: pa.record_batch(sa.merge(partials)),
        lambda: sa.fit(partials),
        lambda: pa.record_batch(sa.apply(rows, "0.5")),
        lambda: refused(sa.partial_stats, rows, label="none"),
    ]


def of_tensors() -> list[Callable[[], object]]:
    torch = pytest.importorskip("torch", reason="torch is not installed: make test-torch installs it")
    import softargmax.torch as st
    from softargmax.torch import functional as F

    x, labels = torch.ones(3, 4, requires_grad=True), torch.tensor(LABELS)
    tau = torch.tensor(0.5, requires_grad=True)

    def gradients(loss: object) -> object:
        return torch.autograd.grad(loss, (x, tau))

    return [
        lambda: gradients(F.cross_entropy(x, labels, tau)),
        lambda: gradients(F.info_nce_in_batch(x, torch.ones(3, 4), tau)),
        lambda: st.sample(x.detach(), 2, top_p=0.9),
    ]


#: How many windows of calls there are, for Python's memory and for malloc's.
WINDOWS = 5


class Mallinfo(ctypes.Structure):
    """The numbers of glibc's mallinfo2, which are ten."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()
    ]


def of_malloc() -> Callable[[], int]:
    """A function that says how many bytes malloc has given away: to Rust and to torch, of which tracemalloc knows nothing."""
    mallinfo = getattr(ctypes.pythonapi, "mallinfo2", None)
    if mallinfo is None:
        return lambda: 0
    mallinfo.restype = Mallinfo

    def in_use() -> int:
        of = mallinfo()
        return int(of.uordblks + of.hblkhd)

    return in_use


def growth(functions: list[Callable[[], object]], window: int = 10_000) -> tuple[float, float]:
    """Bytes held after a call that were not before, of Python and of malloc: the median of the windows.

    What leaks grows in every window; caches, which fill once, and what is replaced by something larger grow in few.
    """

    def calls(number: int) -> None:
        for _ in range(number // len(functions)):
            for function in functions:
                function()
        gc.collect()

    def median_growth(held: Callable[[], int]) -> float:
        calls(window // 2)
        seen = [held()]
        for _ in range(WINDOWS):
            calls(window)
            seen.append(held())
        return median(after - before for before, after in pairwise(seen)) / window

    # One after the other: tracemalloc's own tables are malloc's, and grow.
    of_all = median_growth(of_malloc())
    tracemalloc.start()
    try:
        return median_growth(lambda: tracemalloc.get_traced_memory()[0]), of_all
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("family", [of_distributions, of_losses, of_sampling, of_fits, of_batches, of_tensors])
def test_nothing_leaks_in_100000_calls(family: Callable[[], list[Callable[[], object]]]) -> None:
    grown, grown_malloc = growth(family())
    # One float for each call of one function is 24 bytes in at most 12 calls.
    assert grown < 0.5 and grown_malloc < 0.5, f"{grown} bytes of Python's, {grown_malloc} of malloc's a call"


def test_a_leak_is_seen() -> None:
    """A float for each twelfth call, and eight bytes of malloc's."""
    kept: list[float] = []
    malloc = ctypes.pythonapi.malloc
    malloc.restype, malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    quiet: list[Callable[[], object]] = [lambda: softargmax.entropy(X)] * 11
    assert max(growth([*quiet, lambda: softargmax.entropy(X)], 2000)) < 0.5
    assert growth([*quiet, lambda: kept.append(float(len(kept)))], 2000)[0] > 0.5
    if of_malloc()():
        assert growth([*quiet, lambda: malloc(8)], 2000)[1] > 0.5
