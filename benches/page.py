"""docs/benchmarks.md and docs/benchmarks.svg, out of benches/results: nothing on them is typed by hand but the words.

    python3 benches/page.py            writes both
    python3 benches/page.py --check    fails where they are not what it would write
"""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FUNCTIONS = ["softmax", "log_softmax", "log_sum_exp", "cross_entropy", "distillation"]
# Blue, orange, green, purple, red: of one lightness in either scheme (Okabe & Ito's, so that the colour-blind tell them).
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b58900"]


def result(name):
    path = ROOT / "benches" / "results" / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def table(head, rows):
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


# A call with next to nothing to do.
CALL = (1, 10)


def shape(rows, classes, axis=None):
    return f"[{rows}, {classes}]" + ("" if axis is None else f", axis {axis}")


def spread(of):
    low, high = of["quartiles"]
    return f"{of['median']:.2f} ({low:.2f}–{high:.2f})"


def number(x):
    return f"{x:.3g}" if x < 1000 else f"{x:.0f}"


def speed():
    data = result("speed")
    rows, calls = {}, []
    for one in data["results"]:
        size = (one["rows"], one["classes"])
        if size == CALL:
            ns = one["ns_per_element"]
            low, median, high = (number(of * size[1]) for of in (ns["quartiles"][0], ns["median"], ns["quartiles"][1]))
            calls.append([one["dtype"], f"`{one['function']}`", f"{median} ({low}–{high})"])
        elif one["function"] != "copy":
            key = (one["dtype"], *size, one.get("axis"))
            rows.setdefault(key, {})[one["function"]] = one["ratio_to_copy"]
    cells = [
        [dtype, shape(*size), *(spread(of[name]) if name in of else "" for name in FUNCTIONS)]
        for (dtype, *size), of in rows.items()
    ]
    head = ["type", "shape", *(f"`{name}`" for name in FUNCTIONS)]
    # Beside the copy of one row, in the cache, distillation would be longer than all others together.
    bars = {tuple(size): of for (dtype, *size), of in rows.items() if dtype == "f32" and size[:2] != [1, 32000]}
    threads = [
        [f"`{one['function']}`", shape(one["rows"], one["classes"]), spread(one["times_as_fast"])]
        for one in data.get("two_threads", [])
    ]
    few = ""
    if calls:
        few += f"A call with one row of ten, in nanoseconds:\n\n{table(['type', 'function', 'a call'], calls)}\n"
    if threads:
        few += f"Two threads, each on a core of its own, beside one, f32, times as fast; one row of softmax is shared by them, of cross-entropy not:\n\n{table(['function', 'shape', 'two threads'], threads)}\n"
    return data, table(head, cells), few + instructions(), bars


def instructions():
    data = result("instructions")
    if not data:
        return ""
    of = {}
    for one in data["rows"]:
        size = (one["rows"], one["classes"])
        cell = f"{one['a_call']:.0f} a call" if size == CALL else f"{one['an_entry']:.1f}"
        of.setdefault((one["dtype"], *size), {})[one["function"]] = cell
    rows = [[dtype, shape(*size), *(cells.get(name, "") for name in FUNCTIONS)] for (dtype, *size), cells in of.items()]
    head = ["type", "shape", *(f"`{name}`" for name in FUNCTIONS)]
    return (
        f"Instructions an entry, {data['isa']}, commit {data['commit']}, counted by valgrind: `make instructions`,\n"
        f"[instructions.json](../benches/results/instructions.json). They tell arithmetic from waiting for memory.\n\n{table(head, rows)}\n"
    )


def peers():
    data = result("peers")
    names = [c["name"] for c in data["shapes"][0]["contestants"] if c["name"] != "softargmax"]
    rows = []
    for one in data["shapes"]:
        of = {c["name"]: c for c in one["contestants"]}
        size = shape(one["rows"], one["classes"])
        own = number(of["softargmax"]["median_ns"])
        rows.append([size, own, *(spread(of[n]["ratio_to_ours"]) for n in names)])
    return data, table(["shape", "softargmax, ns an entry", *names], rows)


def contestants(entries, label, key):
    """One row for each contestant of each entry: its time, and that over ours."""
    rows = []
    for entry in entries:
        for name, of in entry["contestants"].items():
            low, high = of.get(key, [of["ratio"]] * 2)
            rows.append([label(entry), name, f"{number(of['seconds'] * 1e3)} ms", f"{of['ratio']:.2f} ({low:.2f}–{high:.2f})"])
    return table(["", "", "time", "over ours"], rows)


def sample():
    data = result("sample")
    rows = []
    for one in data["rows"]:
        others = {}
        for of in one["contestants"]:
            if "ours" in of:
                others[of["ours"], of["name"].split()[0]] = spread(of["ratio_to_ours"])
        for of in one["contestants"][2:]:
            if "ours" not in of:
                name, ratios = of["name"], (of["ratio_to_softmax"], of["ratio_to_reading"])
                beside = [others.get((name, crate), "") for crate in ("candle", "llm-samplers")]
                time = number(of["microseconds"]["median"])
                rows.append([f"{one['classes']} {one['kind']}", name, time, *map(spread, ratios), *beside])
    head = ["classes", "", "µs a token", "over softmax", "over reading", "candle over ours", "llm-samplers over ours"]

    def least_and_most(name, key, kinds=("peaked", "flat")):
        of = [of[key]["median"] for one in data["rows"] if one["kind"] in kinds for of in one["contestants"] if of["name"] == name]
        return "–".join(number(x) for x in (min(of), max(of)))

    words = f"""τ alone reads the row twice and takes an exponential of every logit. It takes {least_and_most("tau", "ratio_to_softmax")} of the time of a softmax of
the row; candle's takes {least_and_most("candle tau", "ratio_to_ours")} times as long as ours. With top-p candle's takes {least_and_most("candle tau, top-p 0.95", "ratio_to_ours", ["peaked"])} times as long on peaked
rows and {least_and_most("candle tau, top-p 0.95", "ratio_to_ours", ["flat"])} on flat ones: there the sum above the
pivot is a second sum of every block, and what lies about the end, some of it in every block, is listed one by one; of 32000 classes what
does not grow with the row counts as well. min-p goes over the row twice and top-nσ three times. Where a filter leaves little, most blocks
are not weighed again; on flat rows nearly every block has something left, which shows in min-p most of all."""
    return data, table(head, rows), words


def python():
    """Arrays: a row for each shape and number of threads; calls on 10 numbers; callers in two threads."""
    data = result("python")
    of_shape = {}
    for one in data["results"]:
        of_shape.setdefault((f"{one['shape']}, {one['axis']}", one["threads"]), {})[one["name"]] = one
    names = [name for name in next(iter(of_shape.values())) if name != "softargmax"]
    arrays = [
        [*key, f"{number(of['softargmax']['seconds'] * 1e3)} ms", *(spread(of[name]["ratio"]) for name in names)]
        for key, of in of_shape.items()
    ]
    calls = [
        [f"`{one['name']}`", f"{one['seconds'] * 1e6:.2f}", f"{one['beyond_exp'] * 1e6:.2f}"] for one in data["calls"]
    ]
    callers = [[f"`{one['name']}`", spread(one["times"])] for one in data["scaling"]]
    return (
        data,
        table(["shape, axis", "threads", "softargmax", *names], arrays),
        table(["call", "µs", "beyond `numpy.exp(x)`"], calls),
        table(["", "calls of two threads over those of one"], callers),
    )


def picture(bars):
    """Times over that of a copy, f32: a group of bars for each shape, one bar for each function."""
    left, width, bar, gap = 150, 780, 13, 16
    most = max(of["median"] for group in bars.values() for of in group.values())
    scale = (width - left - 60) / most
    body, y = [], 44
    for i, name in enumerate(FUNCTIONS):
        body.append(f'<rect x="{left + 126 * i}" y="12" width="11" height="11" fill="{COLOURS[i]}"/>')
        body.append(f'<text x="{left + 126 * i + 16}" y="22">{name}</text>')
    for size, group in bars.items():
        middle = y + bar * len(group) / 2 + 4
        body.append(f'<text x="{left - 8}" y="{middle:.0f}" text-anchor="end">{shape(*size)}</text>')
        for name, of in group.items():
            length = of["median"] * scale
            body.append(f'<rect x="{left}" y="{y}" width="{length:.1f}" height="{bar - 2}" fill="{COLOURS[FUNCTIONS.index(name)]}"/>')
            body.append(f'<text x="{left + length + 5:.1f}" y="{y + 10}" class="number">{of["median"]:.1f}</text>')
            y += bar
        y += gap
    x = left + scale
    body.insert(0, f'<line x1="{x:.1f}" x2="{x:.1f}" y1="34" y2="{y - gap + 6}" class="copy"/>')
    body.append(f'<text x="{x + 3:.1f}" y="{y - gap + 18}">a copy of as many numbers</text>')
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y + 8}" role="img" font-family="system-ui, sans-serif" font-size="12">
<title>Times of f32 functions over the time of a copy of as many numbers</title>
<style>
svg {{ background: #fff }} text {{ fill: #222 }} .number {{ font-size: 10px }} .copy {{ stroke: #888; stroke-dasharray: 3 3 }}
@media (prefers-color-scheme: dark) {{ svg {{ background: #14171a }} text {{ fill: #ddd }} }}
</style>
{chr(10).join(body)}
</svg>
"""


def pages():
    timed, speeds, few, bars = speed()
    beside, of_peers = peers()
    fit, contrastive = result("fit"), result("contrastive")
    sampled, samples, of_samples = sample()
    numpys, arrays, calls, callers = python()
    versions = ", ".join(f"{name} {version}" for name, version in numpys["versions"].items())
    machine = timed["machine"]
    page = f"""# Benchmarks

What each function costs, beside the least that it could and beside others. Every table says which command wrote its file;
`python3 benches/page.py` makes this page of the files. Ratios are taken within one run, contestants in turns; in brackets
the quartiles. The machine is shared and its speed changes by half within a day: compare ratios, not times. (Family 26 of AMD is Zen 5, 25 Zen 4.)

## Beside a copy

One thread, τ = {timed["temperature"]}, output reused; distillation at T = 4. {machine["cpu"]}, {timed["isa"]}, commit {timed["commit"]}: `make bench`,
[speed.json](../benches/results/speed.json). 1 is the time of a copy of as many numbers, by the C library; `log_sum_exp`, which writes next to nothing, may be below it.

![Times of f32 functions over that of a copy](benchmarks.svg)

{speeds}
From memory one core's requests bind: what is read and written soon is asked for some 2 KiB ahead, and a result that is larger than
caches are is written past them, along axis 0 and of rows from 7 KiB on. In the cache
([1, 1000], [1, 128256]) a copy is all but free, and the exponential is the floor: f32 softmax is thirteen
operations an entry, nine of them fused multiply-adds, done for eight at a time with AVX2 and for sixteen with AVX-512, of which
Zen 4 begins one and Zen 5 and Intel two in a cycle. A call for one short row is a chain of steps, each of which waits for the one before:
load, maximum, shift, weights, sum, quotient, product. Logarithms of f64 rows are in
double-double. f16 and bf16 are computed as f32 is, with a conversion before and one after. Distillation is in f64 throughout, of whose numbers a
vector holds half as many: an exponential for each entry of the teacher, and e^−d − 1 + d of the difference of the logits, so
that a gradient that is a small difference keeps its digits, of which f32 would keep few.

Tried on these shapes in paired runs and left out, since they won nothing: other hints to fetch the next row; sums in the sweep of
the weights, in f64 or in two parts of f32, of long rows and of short ones; the maximum of each block just before its weights, with the
shift of the first block, which gives the same bits; the sum of a block after the weights of the next; f32 rows of 300 to 1500 written past the
cache, where Zen 4 won a little and Zen 5 lost more; longer blocks, and long rows swept backwards where they were swept forwards before;
four groups of short rows side by side in cross-entropy, two in logarithms, and columns turned to rows four at a time; the weights of a row of many
megabytes made twice, so that its result is written once and past the cache; along axis 0, some of the next
lanes read and some of the last ones written at every step of the weights. Reductions pass over blocks that lie too far down to add
anything, of which there are none at this τ; one in 64 is looked at.

{few}## Beside other crates

{beside["bench"]}, {beside["machine"]}, {beside["isa"]}, commit {beside["commit"]}: `make bench-peers`, [peers.json](../benches/results/peers.json). Times over ours: below 1 the
other one is faster. On Zen 4 (the file of commit d8ac1de) rten-vecmath is the faster one on a single row of a thousand in the cache, and as
fast on many: what is done once for a row counts there, and so do sums in f64 and a quotient in two parts, which the last bits are
owed to. From memory no one can be much faster than a copy, and one core's requests to memory bind both.

{of_peers}
## Fits

`make bench-fit`, commit {fit["commit"]}, [fit.json](../benches/results/fit.json). Reading the numbers once is the floor; a fit takes two
passes, the second with exponentials of f64 at two temperatures for each number.

{contestants(fit["shapes"], lambda s: shape(*s["shape"]), "ratio_range")}
## Contrastive losses with gradients

`make bench-contrastive`, commit {contrastive["commit"]}, [contrastive.json](../benches/results/contrastive.json). "bare" and "torch mm" are the three products alone.

{contestants(contrastive["losses"], lambda l: f"{l['loss']} {l['rows']} × {l['columns']} × {l['width']}", "ratio_quartiles")}
## A token

{sampled["bench"]}, commit {sampled["commit"]}: `make bench-sample`, [sample.json](../benches/results/sample.json).

{samples}
{of_samples}

## From Python

`make bench-python`, {numpys["machine"]["processor"]}, Python {numpys["python"]}, {versions}, commit {numpys["commit"]}, Cargo's profile {numpys["profile"]}, [python.json](../benches/results/python.json).
f32 softmax at τ = {numpys["temperature"]}, which the others divide by first, as their users do. Results are new arrays but where it says `out`; times over
those of `softargmax.softmax` into a new one.

{arrays}
Along axis 0, into a given array, torch comes nearest on two threads. A call of `entropy` or `perplexity` on few numbers is mostly the
library's statistics of a row. What a call costs on 10 numbers of f64, in microseconds:

{calls}
Calls on [100, 1000] by two threads of Python, each without Python's lock and on one core:

{callers}"""
    return {"benchmarks.md": page, "benchmarks.svg": picture(bars)}


def main():
    wrong = []
    for name, text in pages().items():
        path = ROOT / "docs" / name
        if sys.argv[1:] == ["--check"]:
            if not path.exists() or path.read_text() != text:
                wrong.append(f"docs/{name} is not what benches/page.py writes: run `python3 benches/page.py`")
        else:
            path.write_text(text)
    sys.exit("\n".join(wrong) or 0)


main()
