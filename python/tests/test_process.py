"""Threads, forks, signals, leaks, and what an import costs."""

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import same_bits

import softargmax
from softargmax import SoftargmaxError, softmax

LARGE = np.random.default_rng(23).normal(size=(4096, 500)).astype("f4")


def test_results_do_not_depend_on_threads() -> None:
    before = softargmax.get_num_threads()
    assert before >= 1
    try:
        results = []
        for number in (1, 2, 3):
            softargmax.set_num_threads(number)
            assert softargmax.get_num_threads() == number
            results.append([
                softmax(LARGE, axis=-1, temperature=0.3),
                softmax(LARGE, axis=0, temperature=0.3),
                softargmax.entropy(LARGE),
                softargmax.softmax_vjp(LARGE, LARGE, axis=-1).tau,
            ])
        for other in results[1:]:
            assert all(map(same_bits, results[0], other))
    finally:
        softargmax.set_num_threads(before)
    with pytest.raises(SoftargmaxError, match="0 threads do no work"):
        softargmax.set_num_threads(0)


def test_python_runs_on_while_the_library_works() -> None:
    """The counting thread gets no turn unless a call gives the lock away."""
    done, ticks = threading.Event(), 0

    def count() -> None:
        nonlocal ticks
        while not done.is_set():
            ticks += 1
            time.sleep(0)  # gives the lock away, if anybody waits for it

    interval = sys.getswitchinterval()
    # A thread that waits for the lock asks for it after this long: never, within the test. So this one
    # keeps it, unless a call gives it away.
    sys.setswitchinterval(1000.0)
    thread = threading.Thread(target=count)
    try:
        thread.start()
        seen = ticks
        for _ in range(20):
            softmax(LARGE, axis=-1)
        worked = ticks - seen
    finally:
        done.set()
        sys.setswitchinterval(interval)
        thread.join()
    assert worked > 0


def test_many_threads_at_once() -> None:
    want = softmax(LARGE, axis=-1)
    shared = LARGE.copy()
    with ThreadPoolExecutor(8) as pool:
        for got in pool.map(lambda _: softmax(shared, axis=-1), range(40)):
            assert same_bits(got, want)
        small = softmax(LARGE[0])
        for got in pool.map(lambda _: [softmax(shared[0]) for _ in range(500)][-1], range(40)):
            assert same_bits(got, small)


def test_two_threads_draw_what_one_does() -> None:
    """Small calls, large ones on the threads of the package, and errors, at once."""

    def work(seed: int) -> list[np.ndarray]:
        found = [softargmax.sample(LARGE[:n], 3, seed=seed, top_p=0.9, temperature=0.7) for n in (1, 100, 4096)]
        with pytest.raises(SoftargmaxError, match="top_p 2 is not allowed"):
            softargmax.sample(LARGE[:1], top_p=2)
        return [*found, softargmax.probabilities(LARGE[:300], top_k=5)]

    want = [work(seed) for seed in range(8)]
    with ThreadPoolExecutor(2) as pool:
        for got, one in zip(pool.map(work, range(8)), want, strict=True):
            assert all(map(same_bits, got, one))


def test_an_array_written_by_one_call_is_refused_to_another() -> None:
    """Never a mixture of two results: whoever comes second is told, or waits its turn."""
    buffer = np.empty_like(LARGE)
    want = {tau: softmax(LARGE, axis=-1, temperature=tau) for tau in (0.5, 2.0)}

    def write(tau: float) -> str:
        try:
            softmax(LARGE, axis=-1, temperature=tau, out=buffer)
        except SoftargmaxError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(2) as pool:
        for first, second in zip(pool.map(write, [0.5] * 20), pool.map(write, [2.0] * 20), strict=True):
            for text in (first, second):
                assert text in ("", "out is in use by another call")
    assert any(same_bits(buffer, p) for p in want.values())


def in_child(x: np.ndarray, queue: "multiprocessing.Queue[bytes]") -> None:
    queue.put(softmax(x, axis=-1).tobytes())


def test_a_forked_child_has_threads_of_its_own() -> None:
    """A fork copies the pool, not its threads: work given to it would never be done."""
    want = softmax(LARGE, axis=-1)
    context = multiprocessing.get_context("fork")
    queue: multiprocessing.Queue[bytes] = context.Queue()
    child = context.Process(target=in_child, args=(LARGE, queue))
    child.start()
    try:
        assert queue.get(timeout=60) == want.tobytes()
        child.join(60)
        assert child.exitcode == 0
    finally:
        child.kill()


def test_ctrl_c_is_honoured_within_a_call() -> None:
    """What was not yet reached stays as it was; after a call that does not listen, all would be written."""
    x = np.zeros((1 << 16, 1 << 10), "f4")  # four looks at the signals
    out = np.full_like(x, -1)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_REAL, 0.001)
            softmax(x, axis=-1, out=out)
            signal.pause()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert out[-1, -1] == -1
    # The array is free again.
    softmax(x[:2], axis=-1, out=out[:2])


def resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def one_of_each() -> None:
    x = np.ones((3, 4), "f4")
    softmax(x, axis=0, temperature="0.1")
    softmax(x, axis=-1, temperature=[1.0, 2.0, 3.0], out=x)
    softmax(np.arange(3), where=[True, False, True])
    softargmax.log_softmax(x.T, axis=(0, 1))
    softargmax.logsumexp(x, b=x, return_sign=True)
    softargmax.statistics(x)
    softargmax.softmax_vjp(x, x, axis=-1)
    softargmax.solve_temperature(x, max_probability=0.5)
    softargmax.fit_temperature(x, [0, 1, 2])
    softargmax.metrics.scores(x, [0, 1, 2], weights=[1, 2, 3]).nll
    tokens = softargmax.sample(x, 2, top_p=[0.5, 0.9, 1.0], where=x > 0, history=[[0], [], [1, 2]], logit_bias={1: 0.5})
    softargmax.log_prob(x, tokens, of="raw")
    softargmax.probabilities(x, preset="hf")
    for bad in ({"temperature": -1}, {"axis": 9}, {"out": 3}):
        try:
            softmax(x, **bad)
        except (ValueError, TypeError):
            pass


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc")
def test_nothing_leaks_in_100000_calls() -> None:
    def calls(number: int) -> None:
        for _ in range(number // 16):
            one_of_each()
        gc.collect()

    calls(5_000)
    tracemalloc.start()
    traced, held = tracemalloc.get_traced_memory()[0], resident()
    calls(100_000)
    grown, resident_grown = tracemalloc.get_traced_memory()[0] - traced, resident() - held
    tracemalloc.stop()
    # One float a call would be 2.4 MB.
    assert grown < 50_000
    assert resident_grown < 1_000_000


def test_importing_loads_nothing_else() -> None:
    """numpy is the only requirement; not even scipy or ml_dtypes are looked for."""
    code = "import sys, softargmax; print(*(m for m in sys.modules if '.' not in m))"
    command = [sys.executable, "-I", "-c", code]
    loaded = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert "softargmax" in loaded
    for other in ("scipy", "ml_dtypes", "torch", "sklearn", "matplotlib", "pandas"):
        assert other not in loaded
