"""Threads, forks, and what an import costs."""

import multiprocessing
import subprocess
import sys
import threading
import time
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


def test_importing_loads_nothing_else() -> None:
    """numpy is the only requirement; not even scipy or ml_dtypes are looked for."""
    code = "import sys, softargmax; print(*(m for m in sys.modules if '.' not in m))"
    command = [sys.executable, "-I", "-c", code]
    loaded = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert "softargmax" in loaded
    for other in ("scipy", "ml_dtypes", "torch", "sklearn", "matplotlib", "pandas"):
        assert other not in loaded
