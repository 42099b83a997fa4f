"""Temperatures: numbers, texts, fractions, decimals, arrays; each taken to mean exactly what it is."""

import copy
import math
import pickle
from decimal import Decimal
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from conftest import same_bits

import softargmax
from softargmax import SoftargmaxError, Temperature, softmax

X = np.array([1.0, 5.0, 7.0, 10.0])


def test_a_number_means_itself_and_a_text_what_it_says() -> None:
    exact = softmax(X, temperature="0.1")
    assert exact.tolist() == [
        8.194012623989748e-40, 1.928749847963737e-22, 9.357622968839298e-14, 0.9999999999999064
    ]  # fmt: skip
    for same in (Decimal("0.1"), Decimal("1E-1"), Fraction(1, 10), "1/10", " 0.10 ", Temperature("0.1")):
        assert same_bits(softmax(X, temperature=same), exact)
    number = softmax(X, temperature=0.1)
    assert not same_bits(number, exact)
    for same in (Fraction(0.1), Decimal(0.1), np.float64(0.1), np.array(0.1), Temperature(0.1)):
        assert same_bits(softmax(X, temperature=same), number)
    third = softmax(X, temperature=Fraction(1, 3))
    assert same_bits(third, softmax(X, temperature=Temperature.from_scale(3.0)))
    assert not same_bits(third, softmax(X, temperature=1 / 3))


def test_numbers_of_every_kind() -> None:
    want = softmax(X, temperature=2.0)
    for two in (
        2, True + 1, np.int8(2), np.uint64(2), np.float16(2), np.float32(2), ml_dtypes.bfloat16(2),
        np.array(2), Decimal(2), Fraction(2), "2", [2.0], np.array([2]), (2,), [[2]],
    ):  # fmt: skip
        x = X[None] if np.ndim(two) else X
        assert same_bits(softmax(x, axis=-1, temperature=two).reshape(4), want), repr(two)


def test_limits() -> None:
    assert softmax([1.0, 2.0, 2.0], temperature=0).tolist() == [0, 0.5, 0.5]
    assert softmax([1.0, 2.0, -math.inf], temperature=math.inf).tolist() == [0.5, 0.5, 0]
    assert softmax([3e38, -3e38], temperature="1e38").tolist() == softmax([3.0, -3.0]).tolist()
    assert softmax([1.0, 2.0], temperature=1e-300).tolist() == [0, 1]


def test_one_for_each_row() -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(3, 4, 5))
    taus = rng.uniform(0.1, 3, size=(3, 4, 5))
    taus[0, 0, 0], taus[1, 1, 1] = 0, math.inf
    for axis in range(3):
        per_row = taus.take(0, axis=axis)
        want = np.empty_like(x)
        for where in np.ndindex(*per_row.shape):
            row = (*where[:axis], slice(None), *where[axis:])
            want[row] = softmax(x[row], temperature=per_row[where])
        for layout in (x, np.asfortranarray(x)):
            for given in (
                per_row, per_row.tolist(), np.expand_dims(per_row, axis), np.asfortranarray(per_row),
                np.array([Fraction(t) if t < 9 else t for t in per_row.ravel()], object).reshape(per_row.shape),
            ):  # fmt: skip
                assert same_bits(softmax(layout, axis=axis, temperature=given), want)
        kept = np.expand_dims(per_row, axis)
        for function in (softargmax.logsumexp, softargmax.entropy):
            got = function(x, axis=axis, temperature=kept)
            moved = np.moveaxis(x, axis, -1).reshape(-1, x.shape[axis])
            each = [function(row, temperature=t) for row, t in zip(moved, per_row.ravel(), strict=True)]
            assert same_bits(got.ravel(), np.array(each))
    # Broadcast over rows.
    got = softmax(x, axis=-1, temperature=[[1.0], [2.0], [3.0]])
    assert same_bits(got[2], softmax(x[2], axis=-1, temperature=3.0))
    # Exact texts in a list.
    got = softmax(np.tile(X, (2, 1)), axis=-1, temperature=["0.1", "1/3"])
    assert same_bits(got[0], softmax(X, temperature="0.1"))
    assert same_bits(got[1], softmax(X, temperature="1/3"))
    with pytest.raises(SoftargmaxError, match=r"temperature has shape \[2\]: .* fit the rows \[3, 4\]"):
        softmax(x, axis=-1, temperature=[1.0, 2.0])


def test_refusals() -> None:
    for bad, kind, text in [
        (-1, SoftargmaxError, "'-1'|temperature -1"),
        (-0.5, SoftargmaxError, "temperature -0.5 is not allowed: it must be 0, positive or inf"),
        (math.nan, SoftargmaxError, "temperature NaN is not allowed"),
        (Decimal("NaN"), SoftargmaxError, "temperature NaN"),
        (Decimal("sNaN"), SoftargmaxError, "not a temperature"),
        (Fraction(-1, 3), SoftargmaxError, "'-1/3' is not a temperature"),
        ("warm", SoftargmaxError, "'warm' is not a temperature"),
        ("1/0", SoftargmaxError, "not a temperature"),
        (10**400, SoftargmaxError, "not a temperature"),
        (True, SoftargmaxError, "'True' is not a temperature"),
        (None, TypeError, "temperature is a NoneType"),
        (1j, TypeError, "temperature is a complex"),
        (np.longdouble(1), TypeError, "temperature is a longdouble"),
        ({}, TypeError, "temperature is a dict"),
        ([1.0, -2.0], SoftargmaxError, "temperature -2"),
        ([1.0, None], TypeError, "temperature is a NoneType"),
    ]:
        with pytest.raises(kind, match=text):
            softmax([[1.0, 2.0], [3.0, 4.0]], axis=-1, temperature=bad)
    assert issubclass(SoftargmaxError, ValueError)


def test_the_class() -> None:
    tau = Temperature("0.07")
    assert (tau.tau, float(tau), tau.scale) == (0.07, 0.07, 1 / 0.07)
    assert tau == Temperature(Fraction(7, 100))
    assert tau != Temperature(0.07)
    assert hash(tau) == hash(Temperature("7e-2"))
    assert tau != "0.07"
    assert Temperature.from_log_scale(0.0) == Temperature(1)
    assert Temperature.from_scale(math.inf) == Temperature(0)
    assert repr(Temperature("inf")) == "Temperature('inf')"
    assert Temperature(tau) == tau
    for exact in ("0.07", "1/3", 0.1, "inf", 0, Fraction(5, 8)):
        tau = Temperature(exact)
        assert pickle.loads(pickle.dumps(tau)) == tau
    tau = Temperature(Fraction(5, 7))
    assert copy.deepcopy(tau) == copy.copy(tau) == tau
    with pytest.raises(SoftargmaxError, match="pickle what it was made of"):
        pickle.dumps(tau)
    with pytest.raises(SoftargmaxError, match="scale -1 is not allowed"):
        Temperature.from_scale(-1.0)
    with pytest.raises(SoftargmaxError, match="log scale NaN"):
        Temperature.from_log_scale(math.nan)


def test_solved_temperatures_are_used_as_they_are() -> None:
    x = [1.0, 5.0, 7.0, 10.0]
    solution = softargmax.solve_temperature(x, perplexity=2.0)
    assert solution.outcome == "found"
    assert solution.temperature is not None
    assert solution.tau == float(solution.temperature)
    assert abs(softargmax.perplexity(x, temperature=solution.temperature) - 2) < 1e-14
    assert softargmax.solve_temperature(x, perplexity=5.0).outcome == "above reach"
    assert math.isnan(softargmax.solve_temperature(x, perplexity=5.0).tau)
    assert softargmax.solve_temperature([2.0, 2.0], max_probability=0.5).outcome == "any"
    assert softargmax.solve_temperature(x, entropy=0).temperature == Temperature(0)
    rows = np.random.default_rng(1).normal(size=(6, 9))
    each = softargmax.solve_temperature_per_row(rows, entropy=1.5)
    assert [s.tau for s in each] == [softargmax.solve_temperature(row, entropy=1.5).tau for row in rows]
    along = softargmax.solve_temperature_per_row(rows.T, axis=0, entropy=1.5)
    assert [s.tau for s in along] == [s.tau for s in each]
    rows[3, 2] = math.nan
    with pytest.raises(SoftargmaxError, match="row 3"):
        softargmax.solve_temperature_per_row(rows, entropy=1.5)
    for targets in ({}, {"entropy": 1.0, "perplexity": 2.0}):
        with pytest.raises(SoftargmaxError, match="one of entropy"):
            softargmax.solve_temperature(x, **targets)
    with pytest.raises(SoftargmaxError, match="no distribution has entropy -1"):
        softargmax.solve_temperature(x, entropy=-1)
