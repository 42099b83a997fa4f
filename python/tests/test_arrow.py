"""softargmax.arrow: the same bits however rows are split and whatever they lie in; what is refused, by row."""

import doctest
import inspect
import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from conftest import same_bits

import softargmax

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install -r python/requirements-test.txt")

import softargmax.arrow as sa  # noqa: E402

RANDOM = np.random.default_rng(17)
ROWS, CLASSES = 997, 7
LABELS = RANDOM.integers(CLASSES, size=ROWS)
LOGITS = (RANDOM.normal(size=(ROWS, CLASSES)) * 3).astype("f4")
LOGITS[np.arange(ROWS), LABELS] += 2
KINDS = {"fixed": pa.float32(), "list": pa.float32(), "large": pa.float32(), "double": pa.float64(), "half": pa.float16()}


def column(x: np.ndarray, kind: str = "fixed") -> pa.Array:
    values = pa.array(x.ravel().astype({"double": "f8", "half": "f2"}.get(kind, "f4")))
    if kind == "list":
        return pa.ListArray.from_arrays(np.arange(len(x) + 1, dtype="i4") * x.shape[1], values)
    if kind == "large":
        return pa.LargeListArray.from_arrays(np.arange(len(x) + 1) * x.shape[1], values)
    return pa.FixedSizeListArray.from_arrays(values, x.shape[1])


def batch(kind: str = "fixed", **more: object) -> pa.RecordBatch:
    return pa.record_batch({"logits": column(LOGITS, kind), "label": pa.array(LABELS)} | more)


def fields(fit: object) -> dict[str, object]:
    names = ("outcome", "tau", "std_error", "robust_std_error", "interval", "p_value_tau_is_one", "nll_before", "nll_after",
             "accuracy", "rows", "classes", "passes", "tolerance", "infinite", "ignored")  # fmt: skip
    return {name: getattr(fit, name) for name in names}


def pieces(whole: pa.RecordBatch, sizes: list[int]) -> list[pa.RecordBatch]:
    ends = np.cumsum([0, *sizes])
    return [whole[start:end] for start, end in zip(ends, [*ends[1:], len(whole)], strict=True)]


def test_one_pass_is_the_same_however_rows_are_split() -> None:
    whole = batch()
    want = fields(sa.fit(sa.partial_stats(whole)))
    assert want["outcome"] == "converged" and 0 < want["std_error"] < want["tau"]
    for sizes in ([1], [0, 5, 500], [13] * 70):
        parts = pieces(whole, sizes)
        partials = [sa.partial_stats(part) for part in parts]
        RANDOM.shuffle(partials)
        assert fields(sa.fit(partials)) == want
        assert fields(sa.fit([sa.merge(partials[:2]), sa.merge(partials[2:])])) == want
        assert fields(sa.fit(sa.partial_stats(parts))) == want
        assert fields(sa.fit(sa.partial_stats(pa.Table.from_batches(parts)))) == want
        stream = pa.RecordBatchReader.from_batches(whole.schema, iter(parts))
        assert fields(sa.fit(sa.partial_stats(stream))) == want
        table = pa.Table.from_batches([pa.record_batch(partial) for partial in partials])
        assert fields(sa.fit(table)) == want
    for text in (pa.string(), pa.large_string(), pa.string_view()):
        one = pa.record_batch(sa.partial_stats(whole))
        assert fields(sa.fit(pa.record_batch([one["scan"].cast(text)], names=["scan"]))) == want


@pytest.mark.parametrize("kind", ["fixed", "list", "large"])
def test_the_layout_does_not_show(kind: str) -> None:
    whole = batch(kind)
    assert fields(sa.fit([sa.partial_stats(part) for part in pieces(whole, [100, 300])])) == fields(sa.fit(sa.partial_stats(batch())))


@pytest.mark.parametrize("kind", KINDS)
def test_all_digits_are_those_of_the_program(kind: str, tmp_path: Path) -> None:
    """The questions lead to the bits of the library's fit: asked of the program, which is the library behind a file."""
    program = os.environ.get("SOFTARGMAX_PROGRAM")
    whole, asked = batch(kind), 0

    def ask(sizes: list[int]) -> object:
        def answers(question: str) -> list[object]:
            nonlocal asked
            asked += 1
            return [sa.partial_stats(part, question=question) for part in pieces(whole, sizes)]

        return answers

    want = fields(sa.fit_temperature(ask([])))
    assert asked == want["passes"] >= 2
    for sizes in ([1], [400, 0, 301]):
        assert fields(sa.fit_temperature(ask(sizes))) == want
    near = fields(sa.fit(sa.partial_stats(whole)))
    assert abs(near["tau"] / want["tau"] - 1) < 1e-5 and near["nll_before"] == want["nll_before"]
    if program is None:
        pytest.skip("SOFTARGMAX_PROGRAM does not name the program to compare with; `make test` does")
    np.save(tmp_path / "x.npy", LOGITS.astype({"double": "f8", "half": "f2"}.get(kind, "f4")))
    np.save(tmp_path / "y.npy", LABELS)
    arguments = [tmp_path / "x.npy", "--labels", tmp_path / "y.npy"]
    run = subprocess.run([program, "fit", *arguments, "--json"], check=True, capture_output=True, text=True)
    found = json.loads(run.stdout)
    for name, theirs in (("tau", "temperature"), ("std_error", "std_error"), ("rows", "rows"), ("nll_before", "nll_before"), ("nll_after", "nll_after")):
        assert want[name] == found[theirs], name
    assert list(want["interval"]) == found["interval"]
    # One pass: the file of the program's scan is a partial, and a partial is a file for its merge.
    scan = tmp_path / "scan.json"
    subprocess.run([program, "scan", *arguments, "-o", scan], check=True, capture_output=True)
    scanned = pa.record_batch({"scan": [json.dumps(json.loads(scan.read_text()) | {"tally": None})]})
    assert fields(sa.fit(scanned)) == near
    scan.write_text(pa.record_batch(sa.partial_stats(whole))["scan"][0].as_py())
    run = subprocess.run([program, "merge", scan, "--json"], check=True, capture_output=True, text=True)
    assert json.loads(run.stdout)["temperature"] == near["tau"]


def test_weights_and_ignored_rows() -> None:
    weight = RANDOM.random(ROWS)
    labels = np.where(RANDOM.random(ROWS) < 0.2, -100, LABELS)
    whole = batch(weight=pa.array(weight)).set_column(1, "label", pa.array(labels))
    partials = [sa.partial_stats(part, weight="weight", ignored=-100) for part in pieces(whole, [200, 3])]
    fit = sa.fit(partials)
    assert fit.ignored == (labels == -100).sum() and fit.rows == ROWS - fit.ignored
    counted = labels != -100
    few = pa.record_batch({"x": column(LOGITS[counted]), "y": pa.array(labels[counted]), "w": pa.array(weight[counted])})
    other = sa.fit(sa.partial_stats(few, logits="x", label="y", weight="w"))
    assert (fit.tau, fit.std_error, fit.interval) == (other.tau, other.std_error, other.interval)
    for kind in (pa.int8(), pa.uint8(), pa.int16(), pa.uint16(), pa.int32(), pa.uint32(), pa.uint64()):
        as_kind = batch().set_column(1, "label", pa.array(LABELS).cast(kind))
        assert fields(sa.fit(sa.partial_stats(as_kind))) == fields(sa.fit(sa.partial_stats(batch())))


def test_no_rows() -> None:
    empty = pa.record_batch(sa.partial_stats(batch()[:0]))
    assert empty.num_rows == 0 and empty.schema.names == ["scan"]
    for fit in (sa.fit(empty), sa.fit([]), sa.fit_temperature(lambda question: [])):
        assert fit.outcome == "no_rows" and fit.temperature is None and fit.rows == 0
    assert fields(sa.fit([empty, sa.partial_stats(batch())])) == fields(sa.fit(sa.partial_stats(batch())))
    assert sa.partial_stats([]).__arrow_c_array__() is not None


@pytest.mark.parametrize("kind", KINDS)
def test_apply(kind: str) -> None:
    whole = batch(kind)
    for temperature, log, function in (("1.7", False, softargmax.softmax), (0, True, softargmax.log_softmax)):
        got = pa.record_batch(sa.apply(whole[5:400], temperature, output="p", log=log))
        assert got.schema.names == ["logits", "label", "p"] and got["p"].type == whole["logits"].type
        assert got["label"].equals(whole["label"][5:400]) and got["logits"].equals(whole["logits"][5:400])
        x = LOGITS[5:400].astype({"double": "f8", "half": "f2"}.get(kind, "f4"))
        values = got["p"].flatten().to_numpy(zero_copy_only=False).reshape(x.shape)
        assert same_bits(values, function(x, -1, temperature=temperature))
        table = sa.apply(pa.Table.from_batches(pieces(whole, [7, 0])), temperature, output="p", log=log)
        assert pa.table(table).slice(5, 395).combine_chunks()["p"].combine_chunks().to_pylist() == got["p"].to_pylist()
    assert pa.record_batch(sa.apply(whole[:0], 2))["probabilities"].type == whole["logits"].type


def with_value(row: int, value: object) -> pa.RecordBatch:
    lists = LOGITS.tolist()
    lists[row][2] = value
    return batch().set_column(0, "logits", pa.array(lists, pa.list_(pa.float32())))


def ragged(row: int, value: object) -> pa.RecordBatch:
    lists = LOGITS.tolist()
    lists[row] = value
    return batch().set_column(0, "logits", pa.array(lists, pa.list_(pa.float32())))


def relabelled(row: int, value: object) -> pa.RecordBatch:
    labels = LABELS.tolist()
    labels[row] = value
    return batch().set_column(1, "label", pa.array(labels, pa.int64()))


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        (with_value(611, None), ValueError, "row 611: entry 2 of logits is null"),
        (with_value(611, np.nan), ValueError, "row 611: "),
        (with_value(611, np.inf), ValueError, "row 611: "),
        (ragged(611, [1.0]), ValueError, "row 611: logits has length 1, expected 7"),
        (ragged(611, None), ValueError, "row 611: logits is null"),
        (relabelled(611, None), ValueError, "row 611: label is null"),
        (relabelled(611, 7), ValueError, "row 611: label 7 is not a class: there are 7, counted from 0"),
        (batch().rename_columns(["x", "label"]), ValueError, "there is no column logits: there are x, label"),
        (batch().rename_columns(["logits", "y"]), ValueError, "there is no column label: there are logits, y"),
        (batch().set_column(1, "label", pa.array(["a"] * ROWS)), TypeError, "column label is of type Utf8: it must be integers"),
        (batch().set_column(0, "logits", pa.array(LABELS)), TypeError, "column logits is of type Int64: it must be lists"),
        (batch().set_column(0, "logits", pa.array([[1, 2]] * ROWS)), TypeError, "column logits has lists of Int64"),
        (ragged(0, []), ValueError, "row 1: logits has length 7, expected 0"),
    ],
)
def test_what_is_refused(given: pa.RecordBatch, error: type[Exception], text: str) -> None:
    """In one batch, and where rows before it were in another."""
    for batches in (given, pieces(given, [200, 303])):
        with pytest.raises(error) as raised:
            sa.partial_stats(batches)
        assert str(raised.value).startswith(text)
        assert error is TypeError or isinstance(raised.value, softargmax.SoftargmaxError)


def test_what_is_refused_beside_rows() -> None:
    wide = pa.record_batch({"logits": column(np.zeros((2, 9), "f4")), "label": [0, 0]})
    with pytest.raises(softargmax.SoftargmaxError, match="row 997: logits has length 9, expected 7"):
        sa.partial_stats([batch(), wide])
    with pytest.raises(softargmax.SoftargmaxError, match="partial 1: two scans differ in their number of classes"):
        sa.fit([sa.partial_stats(batch()), sa.partial_stats(wide)])
    with pytest.raises(softargmax.SoftargmaxError, match="row 3: weight -1 is not allowed"):
        sa.partial_stats(batch(w=pa.array(np.where(np.arange(ROWS) == 3, -1.0, 1.0))), weight="w")
    for value in (np.nan, None):
        with pytest.raises(softargmax.SoftargmaxError, match="row 611: "):
            sa.apply(with_value(611, value), 1)
    with pytest.raises(softargmax.SoftargmaxError, match="there is a column label already"):
        sa.apply(batch(), 1, output="label")
    with pytest.raises(softargmax.SoftargmaxError, match="temperature -1"):
        sa.apply(batch(), -1)
    with pytest.raises(TypeError, match="batches is a int: it must have __arrow_c_array__"):
        sa.partial_stats(3)
    with pytest.raises(softargmax.SoftargmaxError, match="partial 0 is not a scan"):
        sa.fit(pa.record_batch({"scan": ["{}"]}))
    with pytest.raises(softargmax.SoftargmaxError, match="this is no question"):
        sa.partial_stats(batch(), question="what?")
    with pytest.raises(softargmax.SoftargmaxError, match="these partials answer another question"):
        sa.fit_temperature(lambda question: sa.partial_stats(batch()))


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc")
def test_nothing_leaks() -> None:
    """A partial kept would be 60 KB a call, a batch 40."""

    def resident() -> int:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def calls(number: int) -> None:
        whole = batch()
        for _ in range(number):
            sa.fit([sa.partial_stats(whole[:500]), sa.partial_stats(whole[500:])])
            sa.apply(pa.Table.from_batches([whole]), 2)
            for bad in (3, with_nan):
                with pytest.raises((TypeError, ValueError)):
                    sa.partial_stats(bad)

    with_nan = with_value(3, np.nan)
    calls(100)
    held = resident()
    calls(500)
    assert resident() - held < 8_000_000


@pytest.mark.parametrize("name", sa.__all__)
def test_docstrings(name: str) -> None:
    text = inspect.getdoc(getattr(sa, name))
    assert text and "Parameters" in text
    test = doctest.DocTestParser().get_doctest(text, {}, name, None, 0)
    report: list[str] = []
    assert doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=report.append).failed == 0, "".join(report)
