"""The fit of the same rows from files of every format, and of a Parquet set that is larger than what is held in memory.

    rows         N(0, 3²), seeded, f32; labels drawn from them at τ = 2.5
    formats      the fit of 10⁷ numbers in each, in turns, a run of the program each; every ratio within a round; the same bits or it
                 fails
    large        10⁷ rows of 10 classes in Parquet: the fit beside a bare scan of the same columns (pyarrow, a batch at a time, as many
                 threads), and the fit of twice the rows beside it; no more than 512 MiB or it fails
    file         4 GiB of f32, 2^20 rows of 1024 classes, in .npy: the fit beside reading the file from one end to the other in pieces of 1 MiB,
                 both from the disk (what the kernel kept of the file is given up before) and from memory
    made         by prepare; measured by measure, with nothing else running

    make bench-formats        writes benches/results/formats.json
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet

SHAPES = {"narrow": (1_000_000, 10), "wide": (10_000, 1000)}
LARGE = (10_000_000, 10)
FILE = (1 << 20, 1024)
ALLOWED = 512 << 20
FORMATS = ["npy", "safetensors", "arrow", "parquet", "csv", "jsonl"]


def rows(count, classes, seed):
    random = np.random.default_rng(seed)
    x = random.standard_normal((count, classes), dtype=np.float32) * np.float32(3)
    # Gumbel's: the arg max of x/τ + g is a draw of softmax(x/τ).
    y = np.argmax(x / np.float32(2.5) + random.gumbel(size=x.shape).astype("f4"), axis=1)
    return x, y


def table(x, y):
    lists = pa.FixedSizeListArray.from_arrays(x.ravel(), x.shape[1])
    return pa.table({"logits": lists.cast(pa.list_(pa.float32())), "label": y})


def prepare(folder):
    for name, (count, classes) in SHAPES.items():
        at = folder / name
        at.mkdir(parents=True)
        x, y = rows(count, classes, seed=1)
        np.save(at / "x.npy", x)
        np.save(at / "labels.npy", y)
        header = json.dumps({"logits": {"dtype": "F32", "shape": x.shape, "data_offsets": [0, x.nbytes]}}).encode()
        header += b" " * (-len(header) % 8)
        (at / "x.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + x.tobytes())
        pa.parquet.write_table(table(x, y), at / "x.parquet")
        with pa.ipc.new_file(at / "x.arrow", table(x, y).schema) as file:
            file.write_table(table(x, y), max_chunksize=1 << 16)
        # Every digit of an f32: rounded numbers would be others.
        with open(at / "x.csv", "w") as csv, open(at / "x.jsonl", "w") as jsonl:
            for row in x:
                numbers = [repr(number) for number in row.tolist()]
                csv.write(",".join(numbers) + "\n")
                jsonl.write('{"logits": [' + ", ".join(numbers) + "]}\n")
    (folder / "file").mkdir()
    count, classes = FILE
    x = np.lib.format.open_memmap(folder / "file" / "x.npy", mode="w+", dtype="<f4", shape=FILE)
    y = np.empty(count, dtype="<i8")
    step = 1 << 15
    for start in range(0, count, step):
        x[start : start + step], y[start : start + step] = rows(step, classes, seed=start)
    x.flush()
    del x
    np.save(folder / "file" / "labels.npy", y)
    (folder / "once").mkdir()
    (folder / "twice").mkdir()
    for part in range(10):
        file = folder / "once" / f"{part}.parquet"
        pa.parquet.write_table(table(*rows(LARGE[0] // 10, LARGE[1], seed=part)), file)
        for copy in "ab":
            (folder / "twice" / f"{part}{copy}.parquet").symlink_to(file.resolve())


def run(command):
    """Seconds from its start to its end, the most memory it had, and what it printed."""
    start, peak = time.perf_counter(), 0
    child = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE)
    while child.poll() is None:
        # The high-water mark of the program alone: that of wait4 begins with what this process had.
        for line in Path(f"/proc/{child.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                peak = max(peak, int(line.split()[1]) * 1024)
        time.sleep(0.005)
    seconds = time.perf_counter() - start
    if child.returncode != 0:
        sys.exit(f"{command} failed")
    return seconds, peak, child.stdout.read()


def spread(values):
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def formats(program, at, rounds):
    seconds = {format: [] for format in FORMATS}
    answers = set()
    for _ in range(rounds):
        for format in FORMATS:
            taken, _, out = run(
                [program, "fit", at / f"x.{format}", "--labels", at / "labels.npy", "--holdout", "0", "--json"]
            )
            fit = json.loads(out)
            answers.add((fit["temperature"], fit["std_error"], fit["rows"]))
            seconds[format].append(taken)
    if len(answers) != 1:
        sys.exit(f"not the same bits: {answers}")
    ((tau, error, count),) = answers
    if not abs(tau - 2.5) < 5 * error:
        sys.exit(f"a wrong answer: {tau} ± {error}")
    return {
        format: {
            "bytes": (at / f"x.{format}").stat().st_size,
            "seconds": spread(seconds[format]),
            "to_npy": spread([a / b for a, b in zip(seconds[format], seconds["npy"])]),
            "rows_per_second": count / statistics.median(seconds[format]),
        }
        for format in FORMATS
    }


SCAN = """
import pathlib, sys
import pyarrow.compute, pyarrow.parquet
total = 0
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    for batch in pyarrow.parquet.ParquetFile(path).iter_batches(columns=["logits", "label"]):
        total += pyarrow.compute.sum(batch["label"]).as_py() + len(batch["logits"].flatten())
print(total)
"""


def large(program, folder, rounds):
    fit = lambda name: run([program, "fit", folder / name, "--labels", ":label", "--holdout", "0", "--json"])
    scan = [sys.executable, "-c", SCAN, folder / "once"]
    # What starting Python and loading pyarrow takes is no part of a scan.
    start = [sys.executable, "-c", "import pyarrow.compute, pyarrow.parquet"]
    seconds, peaks, passes = {"scan": [], "fit": [], "fit_of_twice": []}, {"fit": [], "fit_of_twice": []}, 0
    for _ in range(rounds):
        seconds["scan"].append(run(scan)[0] - run(start)[0])
        for key, name in [("fit", "once"), ("fit_of_twice", "twice")]:
            taken, peak, out = fit(name)
            answer = json.loads(out)
            if not abs(answer["temperature"] - 2.5) < 5 * answer["std_error"]:
                sys.exit(f"a wrong answer: {out}")
            seconds[key].append(taken)
            peaks[key].append(peak)
            passes = answer["passes"]
            if peak > ALLOWED:
                sys.exit(f"a fit took {peak} bytes, {ALLOWED} are allowed")
    ratio = lambda a, b: spread([x / y for x, y in zip(seconds[a], seconds[b])])
    return {
        "rows": LARGE[0],
        "classes": LARGE[1],
        "bytes": sum(file.stat().st_size for file in (folder / "once").iterdir()),
        "passes": passes,
        "seconds": {name: spread(taken) for name, taken in seconds.items()},
        "fit_to_scan": ratio("fit", "scan"),
        "fit_of_twice_to_fit": ratio("fit_of_twice", "fit"),
        "peak_bytes": {name: max(peak) for name, peak in peaks.items()},
        "allowed_bytes": ALLOWED,
    }


READ = """
import sys
buffer = bytearray(1 << 20)
with open(sys.argv[1], "rb", buffering=0) as file:
    while file.readinto(buffer):
        pass
"""


def forget(path):
    """Has the kernel give up what it keeps of a file, so that it is read from the disk."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def one_file(program, folder, rounds):
    path = folder / "file" / "x.npy"
    fit = [program, "fit", path, "--labels", folder / "file" / "labels.npy", "--holdout", "0", "--json"]
    read, start = [sys.executable, "-c", READ, path], [sys.executable, "-c", "import sys"]
    seconds = {f"{what}_from_{where}": [] for where in ["disk", "memory"] for what in ["read", "fit"]}
    peaks, passes = [], 0
    for _ in range(rounds):
        for where in ["disk", "memory"]:
            if where == "disk":
                forget(path)
            seconds[f"read_from_{where}"].append(run(read)[0] - run(start)[0])
            if where == "disk":
                forget(path)
            taken, peak, out = run(fit)
            answer = json.loads(out)
            if not abs(answer["temperature"] - 2.5) < 5 * answer["std_error"]:
                sys.exit(f"a wrong answer: {out}")
            seconds[f"fit_from_{where}"].append(taken)
            peaks.append(peak)
            passes = answer["passes"]
            if peak > ALLOWED:
                sys.exit(f"a fit took {peak} bytes, {ALLOWED} are allowed")
    ratio = lambda a, b: spread([x / y for x, y in zip(seconds[a], seconds[b])])
    return {
        "rows": FILE[0],
        "classes": FILE[1],
        "bytes": path.stat().st_size,
        "passes": passes,
        "rounds": rounds,
        "seconds": {name: spread(taken) for name, taken in seconds.items()},
        "fit_to_read_from_disk": ratio("fit_from_disk", "read_from_disk"),
        "fit_to_read_from_memory": ratio("fit_from_memory", "read_from_memory"),
        "peak_bytes": max(peaks),
        "allowed_bytes": ALLOWED,
    }


def machine():
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {"cpu": models[0].split(":")[1].strip() if models else platform.machine(), "cores": os.cpu_count()}


def measure(program, folder, target, parts):
    """Some parts or all; those of an earlier run stay."""
    document = json.loads(target.read_text()) if target.exists() else {}
    commit = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=False)
    document |= {
        "schema": "softargmax.bench-formats/1",
        "command": "make bench-formats",
        "machine": machine(),
        "pyarrow": pa.__version__,
    }
    for part in parts or [*SHAPES, "large", "file"]:
        if part == "large":
            document[part] = large(program, folder, rounds=3)
        elif part == "file":
            document[part] = one_file(program, folder, rounds=5)
        else:
            count, classes = SHAPES[part]
            found = formats(program, folder / part, rounds=5)
            document[part] = {"rows": count, "classes": classes, "rounds": 5, "formats": found}
        document[part]["commit"] = commit.stdout.strip()
        target.write_text(json.dumps(document, indent=2) + "\n")
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["prepare", folder]:
            prepare(Path(folder))
        case ["measure", program, folder, target, *parts]:
            measure(Path(program).resolve(), Path(folder), Path(target), parts)
