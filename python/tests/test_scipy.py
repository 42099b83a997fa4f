"""Drop-in: what scipy.special promises of softmax, log_softmax and logsumexp, and the deviations.

Deviations, each a test below: rows of no classes are refused, where logsumexp of SciPy gives −∞; complex and
masked arrays are refused; entries of +∞ share the mass, where SciPy's softmax gives NaN; the maximum of
integers, bool and float64 keeps float64, half types are taken too.
"""

import math

import numpy as np
import pytest
import scipy.special
from numpy.testing import assert_allclose, assert_array_equal

import softargmax
from softargmax import SoftargmaxError, log_softmax, logsumexp, softmax

RNG = np.random.default_rng(20)


def test_softmax_of_known_rows() -> None:
    assert_allclose(softmax([900.0, 0.0, 0.0]), [1.0, 0.0, 0.0], rtol=1e-15)
    assert_allclose(softmax([4, 4]), [0.5, 0.5], rtol=1e-15)
    assert_allclose(softmax([0, 1]), np.array([1, math.e]) / (1 + math.e), rtol=1e-15)
    x = np.arange(5.0)
    assert_allclose(softmax(x), np.exp(x) / np.exp(x).sum(), rtol=1e-15)
    # A shift changes nothing.
    assert_allclose(softmax(x + 5000), softmax(x), rtol=1e-15)


def test_softmax_of_fixed_columns() -> None:
    x = np.array([[800.0, 0.0, 0.0], [0.0, 0.0, 800.0]])
    assert_allclose(softmax(x, axis=-1), [[1, 0, 0], [0, 0, 1]], rtol=1e-15)
    assert_allclose(softmax(x, axis=0), [[1, 0.5, 0], [0, 0.5, 1]], rtol=1e-15, atol=1e-300)
    # The default is the whole array.
    assert_allclose(softmax(x), [[0.5, 0, 0], [0, 0, 0.5]], rtol=1e-15)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("axis", [None, 0, 1, 2, -1, (0, 1), (1, 2), (0, 2), (2, 0), (0, 1, 2), (-1,)])
def test_axes_are_scipys(name: str, axis: object) -> None:
    x = RNG.normal(scale=6, size=(3, 4, 5))
    ours, theirs = getattr(softargmax, name), getattr(scipy.special, name)
    for view in (x, x[::-1], x[:, ::2, ::-1], np.asfortranarray(x), x.transpose(2, 0, 1)):
        got = ours(view, axis=axis)
        assert got.shape == view.shape
        assert got.dtype == view.dtype
        assert_allclose(got, theirs(view, axis=axis), rtol=2e-14)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 1), (2, 0), (0, 1, 2)])
def test_logsumexp_axes_are_scipys(axis: object, keepdims: bool) -> None:
    x = RNG.normal(scale=6, size=(3, 4, 5))
    got = logsumexp(x, axis=axis, keepdims=keepdims)
    want = scipy.special.logsumexp(x, axis=axis, keepdims=keepdims)
    assert np.shape(got) == np.shape(want)
    assert_allclose(got, want, rtol=2e-15)


def test_numbers_are_rows_of_one() -> None:
    for x in (1000, 2.5, np.float32(3), np.array(7.0)):
        assert softmax(x) == 1
        assert log_softmax(x) == 0
        assert np.ndim(softmax(x)) == 0
        assert isinstance(softmax(x), np.generic)
    assert logsumexp(3.0) == 3.0


def test_types_are_scipys() -> None:
    for dtype in ("i1", "i4", "i8", "u2", "u8", "?", "f2", "f4", "f8"):
        x = np.array([[0, 1, 1], [1, 0, 1]], dtype=dtype)
        for name in ("softmax", "log_softmax", "logsumexp"):
            want = getattr(scipy.special, name)(x, axis=1)
            got = getattr(softargmax, name)(x, axis=1)
            assert got.dtype == want.dtype, (name, dtype)
            assert_allclose(got, want, rtol=2e-3 if dtype == "f2" else 1e-6)


def test_log_softmax_of_known_rows() -> None:
    assert_allclose(log_softmax([1000, 1]), [0, -999], rtol=1e-15)
    assert_allclose(log_softmax(np.ones(4)), -np.log(4) * np.ones(4), rtol=1e-15)
    x = np.arange(4.0)
    want = x - np.log(np.exp(x).sum())
    assert_allclose(log_softmax(x), want, rtol=1e-15)
    assert_allclose(log_softmax(x + 1e5), want, rtol=1e-13)
    # What is left over of a confident row is kept: −exp(−30).
    assert_allclose(log_softmax([30.0, 0.0])[0], -math.exp(-30) + math.exp(-60) / 2, rtol=1e-15)


def test_logsumexp_of_known_rows() -> None:
    x = np.arange(150.0)
    assert_allclose(logsumexp(x), math.log(math.fsum(map(math.exp, x))), rtol=1e-15)
    assert_allclose(logsumexp([1e4, 1e4]), 1e4 + math.log(2), rtol=1e-15)
    n = 1000
    assert_allclose(logsumexp(np.full(n, 1e4)), 1e4 + math.log(n), rtol=1e-15)
    # Small beside the largest, not lost.
    assert_allclose(logsumexp([0.0, -40.0]), math.log1p(math.exp(-40)), rtol=1e-15)


def test_logsumexp_of_infinities() -> None:
    inf = math.inf
    assert logsumexp(-inf) == -inf
    assert logsumexp([-inf, -inf]) == -inf
    assert logsumexp(inf) == inf
    assert logsumexp([inf, inf]) == inf
    assert logsumexp([inf, -inf]) == inf
    assert np.isnan(logsumexp(math.nan))
    assert np.isnan(logsumexp([inf, math.nan]))
    assert logsumexp([[-inf, 1.0], [-inf, -inf]], axis=-1).tolist() == [1.0, -inf]


def test_logsumexp_with_factors() -> None:
    a = np.arange(120.0)
    b = np.arange(120.0, 0.0, -1.0)
    assert_allclose(logsumexp(a, b=b), math.log(math.fsum(b * np.exp(a))), rtol=1e-15)
    a = np.array([1000.0, 1000.0])
    assert_allclose(logsumexp(a, b=[1.5, 1.5]), 1000 + math.log(3), rtol=1e-15)
    # Along an axis, broadcast, with a temperature.
    x = RNG.normal(size=(4, 3, 2))
    b = RNG.uniform(0.1, 2, size=(4, 1, 2))
    for axis in (None, 0, 1, (0, 2)):
        for keepdims in (False, True):
            got = logsumexp(x, axis=axis, b=b, keepdims=keepdims)
            want = scipy.special.logsumexp(x, axis=axis, b=b, keepdims=keepdims)
            assert_allclose(got, want, rtol=1e-13)
    got = logsumexp(x, axis=1, b=b, temperature=0.5)
    assert_allclose(got, scipy.special.logsumexp(x / 0.5, axis=1, b=b), rtol=1e-13)


def test_logsumexp_with_signs() -> None:
    a = [0.2, 0.3, 0.4]
    for b in ([-1, 2, 3], [1, -2, -3], [1, 1, -2], [-1, -1, -1]):
        total = math.fsum(f * math.exp(x) for f, x in zip(b, a, strict=True))
        log, sign = logsumexp(a, b=b, return_sign=True)
        assert sign == np.sign(total)
        assert_allclose(log, math.log(abs(total)), rtol=1e-12)
        # Without the sign a negative sum has no logarithm.
        assert np.isnan(logsumexp(a, b=b)) == (total < 0)
    # A sum of exactly nothing.
    assert logsumexp([1.0, 1.0], b=[1, -1], return_sign=True) == (-math.inf, 0)
    assert logsumexp([3.0, 1.0], return_sign=True)[1] == 1
    assert logsumexp([-math.inf], return_sign=True) == (-math.inf, 0)
    # What a factor of 0 stands beside does not count.
    assert_allclose(logsumexp([1.0, math.inf], b=[1, 0]), 1.0)
    assert_allclose(logsumexp([5.0, -math.inf], b=[2, 3]), 5 + math.log(2))


def test_logsumexp_with_factors_at_random_is_scipys() -> None:
    for _ in range(200):
        a, b = RNG.normal(scale=5, size=7), RNG.normal(size=7)
        log, sign = logsumexp(a, b=b, return_sign=True)
        want, want_sign = scipy.special.logsumexp(a, b=b, return_sign=True)
        assert sign == want_sign
        # Where terms of both signs cancel, both lose digits.
        lost = math.fsum(abs(b) * np.exp(a)) / math.exp(want)
        assert abs(log - want) < 1e-14 * max(1, lost)


def test_deviations() -> None:
    # +∞ shares the mass; SciPy gives NaN.
    assert_array_equal(softmax([math.inf, 0.0, math.inf]), [0.5, 0.0, 0.5])
    assert_array_equal(log_softmax([math.inf, 0.0]), [0.0, -math.inf])
    # No classes are refused.
    for function in (softmax, log_softmax, logsumexp):
        for nothing in ([], np.zeros((2, 0))):
            with pytest.raises(SoftargmaxError, match="0 classes"):
                function(nothing, axis=-1)
        with pytest.raises(TypeError, match="complex128"):
            function(np.array([1 + 1j]))
        with pytest.raises(TypeError, match="masked array"):
            function(np.ma.array([1.0, 2.0], mask=[0, 1]))
    # Zero rows of some classes are fine, as in SciPy.
    assert softmax(np.zeros((0, 3)), axis=-1).shape == (0, 3)
    assert logsumexp(np.zeros((0, 3)), axis=-1).shape == (0,)
    # A factor is no temperature's limit.
    with pytest.raises(SoftargmaxError, match="with b"):
        logsumexp([1.0, 2.0], b=[1, 1], temperature=0)
