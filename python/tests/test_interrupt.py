"""Ctrl-C within a call: heard soon, whatever the call is at, and what it was working with is free again."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import softargmax

# Calls a function with more and more rows, until that takes a while on this machine: says how long. Then once more, to be
# interrupted: says how that call ended, and how long it took.
CALLS = """
import signal, sys, time, numpy as np, softargmax
from softargmax import metrics
# A shell's jobs in the background begin with it ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
rng = np.random.default_rng(0)

def rows(number, classes):
    x = rng.standard_normal((number, classes), dtype="f4") * 3
    labels = rng.integers(0, classes, number)
    x[np.arange(number), labels] += 2
    return x, labels

k, whole = 1, 0
while whole < 0.25:
    function, arguments, keywords = eval(sys.argv[1])
    begun = time.monotonic()
    function(*arguments, **keywords)
    whole = time.monotonic() - begun
    k *= 2
print(whole, flush=True)
ends = []
def watch(frame, event, what):
    if what is function and event != "c_call":
        ends.append(event)
sys.setprofile(watch)
try:
    begun = time.monotonic()
    print("begun", flush=True)
    while True:
        function(*arguments, **keywords)
except KeyboardInterrupt:
    sys.setprofile(None)
    print(ends[-1], time.monotonic() - begun, flush=True)
"""


@pytest.mark.parametrize(
    "call",
    [
        "softargmax.fit_temperature, rows(k * 60_000, 300), {}",
        "softargmax.fit_calibrator, rows(k * 3_000, 20), {}",
        "softargmax.fit_calibrator, rows(k * 10_000, 50), {'model': 'vector'}",
        "softargmax.fit_groups, (*rows(k * 50_000, 20), np.arange(k * 50_000) % 50), {}",
        "softargmax.evaluate, rows(k * 100_000, 20), {}",
        "softargmax.calibration_report, rows(k * 20_000, 20), {}",
        "metrics.paired_bootstrap, [metrics.scores(*rows(20_000, 5))] * 2, {'replicates': k * 20_000}",
        "softargmax.solve_temperature_per_row, rows(k * 20_000, 100)[:1], {'perplexity': 3.0}",
        "softargmax.clip, (rows(k * 3_000, 128)[0], rows(k * 3_000, 128)[0], 0.1), {}",
    ],
)
def test_a_call_is_interrupted(call: str) -> None:
    """A real SIGINT early in a call. After a call that does not listen the exception comes, too, but late or from outside."""
    command = [sys.executable, "-c", CALLS, call]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        # What never ends says nothing more, and fails.
        patience = threading.Timer(120, child.kill)
        patience.start()
        try:
            whole = float(child.stdout.readline())
            assert child.stdout.readline() == "begun\n"
            time.sleep(whole / 8)
            os.kill(child.pid, signal.SIGINT)
            end, seconds = child.stdout.read().split()[-2:]
        finally:
            patience.cancel()
            child.kill()
    assert end == "c_exception"
    assert float(seconds) < 0.6 * whole


def test_what_was_not_yet_reached_stays() -> None:
    """After a call that does not listen, all would be written."""
    x = np.zeros((1 << 16, 1 << 10), "f4")
    out = np.full_like(x, -1)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before, threads = signal.signal(signal.SIGALRM, interrupt), softargmax.get_num_threads()
    softargmax.set_num_threads(1)
    try:
        with pytest.raises(KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_REAL, 0.001)
            softargmax.softmax(x, axis=-1, out=out)
            signal.pause()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        softargmax.set_num_threads(threads)
    assert out[-1, -1] == -1
    # The array is free again.
    softargmax.softmax(x[:2], axis=-1, out=out[:2])
