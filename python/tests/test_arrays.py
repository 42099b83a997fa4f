"""Every array that numpy can make: right, or refused with a reason; never silently permuted."""

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from conftest import same_bits
from numpy.lib.stride_tricks import as_strided

import softargmax
from softargmax import SoftargmaxError, log_softmax, logsumexp, softmax

RNG = np.random.default_rng(21)
DTYPES = [np.dtype("f2"), np.dtype(ml_dtypes.bfloat16), np.dtype("f4"), np.dtype("f8")]


def numbers(*shape: int, dtype: object = "f4") -> np.ndarray:
    return RNG.normal(scale=4, size=shape).astype(dtype)


def row_by_row(function: object, x: np.ndarray, axis: int, **options: object) -> np.ndarray:
    """What a loop over rows gives, each a fresh contiguous array."""
    moved = np.moveaxis(x, axis, -1)
    rows = [function(np.array(row), **options) for row in moved.reshape(-1, moved.shape[-1])]  # type: ignore[operator]
    return np.moveaxis(np.array(rows).reshape(moved.shape), -1, axis)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("function", [softmax, log_softmax])
def test_every_layout_has_the_bits_of_its_rows(function: object, dtype: np.dtype) -> None:
    x = numbers(6, 7, 40, dtype=dtype)
    views = {
        "C": x,
        "Fortran": np.asfortranarray(x),
        "transposed": x.transpose(2, 0, 1),
        "negative": x[::-1, :, ::-1],
        "stepped": x[::2, 1:5:3, ::-3],
        "broadcast": np.broadcast_to(x[0, :, :1], (4, 7, 3)),
        "one": x[:1, :1, :1],
    }
    for name, view in views.items():
        before = view.copy()
        for axis in (0, 1, 2, -1, -3):
            want = row_by_row(function, view, axis, temperature="0.3")
            assert same_bits(function(view, axis=axis, temperature="0.3"), want), (name, axis)  # type: ignore[operator]
            for out in (np.empty_like(view), np.empty(view.shape, view.dtype, order="F")):
                got = function(view, axis=axis, temperature="0.3", out=out)  # type: ignore[operator]
                assert got is out
                assert same_bits(out, want), (name, axis)
        assert same_bits(view, before)


def test_functions_of_rows_read_every_layout() -> None:
    x = numbers(5, 6, 7, dtype="f8")
    for view in (x, np.asfortranarray(x), x[::-1, ::2, ::-1], x.transpose(1, 2, 0)):
        for axis in (0, 1, -1):
            rows = np.ascontiguousarray(np.moveaxis(view, axis, -1))
            for function in (logsumexp, softargmax.entropy, softargmax.perplexity, softargmax.expected_index):
                assert same_bits(function(view, axis=axis), function(rows, axis=-1))
                kept = function(view, axis=axis, keepdims=True)
                assert same_bits(kept, np.expand_dims(function(rows, axis=-1), axis))
                out = np.empty_like(kept)
                assert function(view, axis=axis, keepdims=True, out=out) is out
                assert same_bits(out, kept)
            g = RNG.normal(size=view.shape)
            for vjp in (softargmax.softmax_vjp, softargmax.log_softmax_vjp):
                got = vjp(view, g, axis=axis)
                want = vjp(rows, np.moveaxis(g, axis, -1), axis=-1)
                assert same_bits(got.logits, np.moveaxis(want.logits, -1, axis))
                assert same_bits(got.tau, want.tau)


def test_several_axes_are_one_row_in_c_order() -> None:
    x = numbers(3, 4, 5, dtype="f8")
    for view in (x, np.asfortranarray(x), x[:, ::-1]):
        flat = view.transpose(1, 0, 2).reshape(4, 15)
        want = softmax(flat, axis=-1).reshape(4, 3, 5).transpose(1, 0, 2)
        for axis in ((0, 2), (2, 0), (-1, 0)):
            assert same_bits(softmax(view, axis=axis), want)
            out = np.empty_like(view)
            assert softmax(view, axis=axis, out=out) is out
            assert same_bits(out, want)
            s = softargmax.statistics(view, axis=axis)
            assert np.array_equal(s.arg_max, flat.argmax(axis=-1))
        assert same_bits(softmax(view), softmax(np.ascontiguousarray(view)))
    with pytest.raises(SoftargmaxError, match="names one twice"):
        softmax(x, axis=(0, -3))
    assert same_bits(softmax(x[0, 0], axis=()), np.ones(5))


def test_read_only_subclassed_and_unusual_arrays_are_read(tmp_path: Path) -> None:
    x = numbers(5, 6)
    want = softmax(x, axis=-1)
    frozen = x.copy()
    frozen.flags.writeable = False
    np.save(tmp_path / "x.npy", x)

    class Own(np.ndarray):
        pass

    field = np.zeros((5, 6), dtype=[("pad", "i1"), ("x", "f4")])
    field["x"] = x
    cases = {
        "read-only": frozen,
        "file": np.load(tmp_path / "x.npy", mmap_mode="r"),
        "subclass": x.view(Own),
        "big-endian": x.astype(">f4"),
        "unaligned": field["x"],
        "buffer": memoryview(x),
        "recarray": np.rec.array(field)["x"],
    }
    for name, array in cases.items():
        got = softmax(array, axis=-1)
        assert type(got) is np.ndarray, name
        assert same_bits(got, want), name
    assert same_bits(softmax(x.tolist(), axis=-1), softmax(x.astype("f8"), axis=-1))


def test_what_is_no_logit_is_refused_with_a_reason() -> None:
    for bad, reason in [
        (np.ma.array([1.0, 2.0]), "masked array: pass x.data, and where=~x.mask"),
        (np.array([1, None]), "Python objects"),
        (np.array([1 + 2j]), "complex128"),
        (np.array(["1"]), "<U1"),
        (np.array([1], "M8[s]"), "datetime64"),
        (np.array([1, 2], "g"), "bfloat16, float32"),
        (None, "Python objects"),
        ("abc", "<U3"),
    ]:
        for function in (softmax, log_softmax, logsumexp, softargmax.entropy):
            with pytest.raises(TypeError) as error:
                function(bad)
            assert reason.replace("x.", "a." if function is logsumexp else "x.") in str(error.value)
    with pytest.raises(ValueError, match="inhomogeneous"):
        softmax([[1], [2, 3]])


def test_integers_are_float64() -> None:
    for dtype in ("i1", "u1", "i8", "u8", "?"):
        x = np.array([[0, 1, 1]], dtype=dtype)
        assert same_bits(softmax(x, axis=1), softmax(x.astype("f8"), axis=1))


def test_out_is_written_where_it_is_or_refused() -> None:
    x = numbers(8, 10)
    want = softmax(x, axis=-1)

    inside = np.full((8, 20), 7, "f4")
    softmax(x, axis=-1, out=inside[:, ::2])
    assert same_bits(inside[:, ::2], want)
    assert (inside[:, 1::2] == 7).all()

    same = x.copy()
    assert softmax(same, axis=-1, out=same) is same
    assert same_bits(same, want)
    for axis in (0, 1):
        for view in (lambda a: a[::-1], lambda a: a[:, ::-1], lambda a: a[::-1, ::-1]):
            overlapping = x.copy()
            softmax(overlapping, axis=axis, out=view(overlapping))
            assert same_bits(view(overlapping), softmax(x, axis=axis))
    square = numbers(9, 9)
    transposed = square.copy()
    softmax(transposed, axis=0, out=transposed.T)
    assert same_bits(transposed.T, softmax(square, axis=0))

    frozen = np.empty_like(x)
    frozen.flags.writeable = False
    for out, kind, reason in [
        (frozen, SoftargmaxError, "out is read-only"),
        (np.empty((8, 9), "f4"), SoftargmaxError, r"out has shape \[8, 9\], expected \[8, 10\]"),
        (np.empty((8, 10)), TypeError, "out has dtype float64: it must be an array of float32"),
        ([1.0], TypeError, "out is a list"),
        (np.empty((8, 10), ">f4"), TypeError, "out has dtype >f4"),
    ]:
        with pytest.raises(kind, match=reason):
            softmax(x, axis=-1, out=out)
    with pytest.raises(SoftargmaxError, match="out is read-only"):
        softargmax.entropy(x.astype("f8"), out=np.broadcast_to(np.zeros(()), (8,)))

    # Entries that share memory: what the last one wrote stands, and nothing beside it is touched.
    memory = np.zeros(12, "f4")
    softmax(x[:2, :6], axis=-1, out=as_strided(memory, (2, 6), (0, 4)))
    assert same_bits(memory[:6], softmax(x[1, :6]))
    assert (memory[6:] == 0).all()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_mask_hides(dtype: np.dtype) -> None:
    x = numbers(6, 7, dtype=dtype)
    x[0, 0] = np.nan
    seen = RNG.random((6, 7)) < 0.6
    seen[0, 0], seen[:, 1], seen[4] = False, True, False
    hidden = np.where(seen, x, np.array(-np.inf).astype(dtype)).astype(dtype)
    for axis in (0, 1, None, (0, 1)):
        for layout in (np.ascontiguousarray, np.asfortranarray):
            y, mask = layout(x), seen[::-1][::-1]
            for function in (
                softmax, log_softmax, logsumexp,
                softargmax.entropy, softargmax.perplexity, softargmax.expected_index,
            ):  # fmt: skip
                want = function(hidden, axis=axis)
                assert same_bits(function(y, axis=axis, where=mask), want)
            same = y.copy(order="K")
            assert same_bits(softmax(same, axis=axis, where=mask, out=same), softmax(hidden, axis=axis))
            assert same_bits(y, x)
    p = softmax(x, axis=1, where=seen)
    assert (p[~seen & ~np.isnan(p)] == 0).all()
    assert np.isnan(p[4].astype("f4")).all()
    # Broadcast like numpy's own.
    assert same_bits(softmax(x, axis=1, where=seen[2]), softmax(x, axis=1, where=np.tile(seen[2], (6, 1))))
    assert same_bits(softmax(x, axis=0, where=[[True]]), softmax(x, axis=0))
    with pytest.raises(TypeError, match="where has dtype int64"):
        softmax(x, where=[1, 0, 1, 1, 1, 1, 1])
    with pytest.raises(SoftargmaxError, match=r"where has shape \[2\]"):
        softmax(x, where=[True, False])


def test_zero_rows_and_no_classes() -> None:
    for dtype in DTYPES:
        nothing = np.zeros((0, 4), dtype)
        assert softmax(nothing, axis=-1).shape == (0, 4)
        assert softmax(nothing, axis=-1, temperature=np.zeros(0)).shape == (0, 4)
        assert logsumexp(nothing, axis=-1).shape == (0,)
        assert softargmax.statistics(nothing).entropy.shape == (0,)
        assert softmax(nothing.T, axis=0).shape == (4, 0)
        assert softmax(nothing, axis=-1, where=np.zeros((0, 4), bool)).shape == (0, 4)
        assert softargmax.solve_temperature_per_row(nothing, entropy=1.0) == []
        for function in (softmax, log_softmax, logsumexp, softargmax.entropy):
            with pytest.raises(SoftargmaxError, match="rows of 0 classes have no distribution"):
                function(nothing, axis=0)
    with pytest.raises(SoftargmaxError, match="0 rows have no mean"):
        softargmax.solve_temperature(np.zeros((0, 4)), entropy=1.0)


def test_axes_that_do_not_exist_are_named() -> None:
    x = numbers(2, 3)
    for axis, text in [(2, "axis 2"), (-3, "axis -3"), ((0, 5), "axis 5")]:
        for function in (softmax, logsumexp, softargmax.entropy):
            with pytest.raises(SoftargmaxError, match=f"{text} does not exist: the array has 2 axes"):
                function(x, axis=axis)
    with pytest.raises(TypeError, match="axis is a float"):
        softmax(x, axis=0.5)
    with pytest.raises(SoftargmaxError, match="the array has 0 axes"):
        softmax(1.0, axis=0)
