"""Instructions an entry, counted by valgrind: benches/results/instructions.json. No clock, so no noise.

    python3 benches/instructions.py benches/results/instructions.json

What does not depend on the number of calls is taken away: the difference of a run of three calls and one of one.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

CALLS = (1, 3)
LONG, SHORT, ALONE = (64, 1000), (1600, 10), (1, 10)
COUNTED = [
    *[(name, "f32", LONG) for name in ("softmax", "log_softmax", "log_sum_exp", "cross_entropy", "distillation")],
    *[(name, "f64", LONG) for name in ("softmax", "log_softmax", "log_sum_exp", "cross_entropy")],
    *[("softmax", dtype, LONG) for dtype in ("f16", "bf16")],
    *[(name, "f32", SHORT) for name in ("softmax", "log_softmax", "log_sum_exp", "cross_entropy")],
    *[(name, "f32", ALONE) for name in ("softmax", "log_softmax", "log_sum_exp", "cross_entropy")],
]


def program():
    """The benchmark, compiled, and where it is."""
    command = ["cargo", "bench", "--quiet", "--no-run", "--features", "ndarray", "--bench", "instructions", "--message-format", "json"]
    for line in subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines():
        of = json.loads(line)
        if of.get("executable") and of["target"]["name"] == "instructions":
            return of["executable"]
    raise SystemExit("cargo names no program")


def count(path, name, dtype, size, calls):
    counting = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    command = [*counting, path, name, dtype, *map(str, size), str(calls)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(re.search(r"Collected : (\d+)", done.stderr)[1]), done.stdout.strip()


def main(out):
    path = program()
    rows = []
    for name, dtype, size in COUNTED:
        (one, isa), (three, _) = (count(path, name, dtype, size, calls) for calls in CALLS)
        a_call = (three - one) / (CALLS[1] - CALLS[0])
        entry = a_call / (size[0] * size[1])
        rows.append({"function": name, "dtype": dtype, "rows": size[0], "classes": size[1], "a_call": a_call, "an_entry": round(entry, 3)})
        print(f"{name} {dtype} {list(size)}: {entry:.2f} an entry, {a_call:.0f} a call", flush=True)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    report = {"command": "make instructions", "commit": commit, "isa": isa, "rows": rows}
    Path(out).write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
