"""The table of cases that also drives the library, at 50 digits; and the program's results, to the bit."""

import json
import os
import subprocess
from collections import defaultdict
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from conftest import same_bits, ulp

import softargmax

DTYPES = {
    "f16": np.dtype("f2"),
    "bf16": np.dtype(ml_dtypes.bfloat16),
    "f32": np.dtype("f4"),
    "f64": np.dtype("f8"),
}
# tests/bounds/mod.rs: the most a result may be off, in ULP.
BOUNDS = {"softmax": 2.5, "log_softmax": 4.0, "log_sum_exp": 4.0, "entropy": 8.0, "expected_index": 8.0}
ROUNDED = 0.501


@pytest.fixture(scope="module")
def cases(repository: Path) -> list[dict]:
    table = json.loads((repository / "fixtures/cases.json").read_text())
    assert table["format"] == "softargmax.cases/1"
    return table["cases"]


def logits_of(case: dict) -> np.ndarray:
    return np.array([float(x) for x in case["logits"]]).astype(DTYPES[case["dtype"]])


def bound(function: str, dtype: str) -> float:
    return ROUNDED if dtype in ("f16", "bf16") else BOUNDS[function]


def test_every_case_is_within_its_bound(cases: list[dict]) -> None:
    assert len(cases) > 200
    for case in cases:
        x, tau, name = logits_of(case), case["tau"], case["name"]
        for function in ("softmax", "log_softmax"):
            got = getattr(softargmax, function)(x, temperature=tau)
            assert got.dtype == x.dtype
            error = max(ulp(g, w, x.dtype) for g, w in zip(got, case[function], strict=True))
            assert error <= bound(function, case["dtype"]), f"{name}: {function} is off by {error} ULP"
        s = softargmax.statistics(x, temperature=tau)
        wide = np.dtype("f8")
        for function in ("entropy", "expected_index"):
            got = getattr(softargmax, function)(x, temperature=tau)
            assert same_bits(got, getattr(s, function))
            assert ulp(got, case[function], wide) <= BOUNDS[function], f"{name}: {function}"
        assert s.arg_max == (-1 if case["arg_max"] is None else case["arg_max"]), name

        size = None
        finite = [Fraction(float(v)) for v in x if np.isfinite(v)]
        if finite and case["log_sum_exp"] not in ("nan", "inf", "-inf") and tau not in ("0", "inf"):
            shifted = max(finite) / Fraction(tau)
            size = max(abs(shifted), abs(Fraction(case["log_sum_exp"]) - shifted))
        got = softargmax.logsumexp(x, temperature=tau)
        error = ulp(got, case["log_sum_exp"], x.dtype, size)
        assert error <= bound("log_sum_exp", case["dtype"]), f"{name}: logsumexp is off by {error}"


def test_every_spelling_of_a_temperature_gives_the_same_bits(cases: list[dict]) -> None:
    for case in cases:
        x, tau = logits_of(case), case["tau"]
        want = softargmax.softmax(x, temperature=tau)
        spellings: list[object] = [Decimal(tau), softargmax.Temperature(tau), [tau]]
        if tau != "inf":
            spellings.append(Fraction(tau))
        for spelling in spellings:
            if isinstance(spelling, list):
                got = softargmax.softmax(x[None], axis=-1, temperature=spelling)[0]
            else:
                got = softargmax.softmax(x, temperature=spelling)
            assert same_bits(got, want), f"{case['name']}: {spelling!r}"


def test_half_types_are_float32_rounded_once(cases: list[dict]) -> None:
    for case in cases:
        if case["dtype"] in ("f16", "bf16"):
            x = logits_of(case)
            for function in (softargmax.softmax, softargmax.log_softmax):
                wide = function(x.astype("f4"), temperature=case["tau"])
                with np.errstate(over="ignore", under="ignore"):
                    assert same_bits(function(x, temperature=case["tau"]), wide.astype(x.dtype))


def test_tensors_give_the_bits_of_arrays(cases: list[dict]) -> None:
    """What the table says of arrays holds of tensors: as they are, and through the loss whose gradient is the softmax."""
    torch = pytest.importorskip("torch", reason="torch is not installed: make test-torch installs it")
    from softargmax.torch import functional

    compared = 0
    for case in cases:
        x, tau, name = logits_of(case), case["tau"], case["name"]
        if case["dtype"] == "bf16":
            continue  # numpy has no view of torch's
        tensor = torch.from_numpy(x)
        for function in (softargmax.softmax, softargmax.log_softmax, softargmax.logsumexp, softargmax.entropy):
            assert same_bits(function(tensor, temperature=tau), function(x, temperature=tau)), f"{name}: {function}"
        finite = case["dtype"] != "f16" and all(np.isfinite(v) for v in x if v != -np.inf)
        if not finite or tau in ("0", "inf") or len(x) > 100 or np.all(x == -np.inf):
            continue
        for label in range(len(x)):
            want = -Fraction(case["log_softmax"][label]) if np.isfinite(float(case["log_softmax"][label])) else None
            if want is None or want > 1e30:
                continue
            logits = tensor[None].clone().requires_grad_()
            loss = functional.cross_entropy(logits, torch.tensor([label]), tau)
            loss.backward()
            numpys = softargmax.cross_entropy(x[None], [label], float(tau))
            assert same_bits(logits.grad.numpy(), numpys.logits), name
            error = abs(Fraction(loss.item()) - want)
            # The bounds of the loss, 1e-14 in float64 and 2^-22 in float32, where it is also rounded.
            bound = Fraction(1, 10**14) if case["dtype"] == "f64" else Fraction(1, 2**22) + Fraction(1, 2**24)
            assert error <= bound * want + Fraction(1, 2**149), f"{name}: label {label} is off by {float(error)}"
            compared += 1
    assert compared > 50


@pytest.fixture(scope="module")
def program() -> str:
    path = os.environ.get("SOFTARGMAX_PROGRAM")
    if path is None:
        pytest.skip("SOFTARGMAX_PROGRAM does not name the program to compare with; `make test` does")
    return path


def test_results_are_those_of_the_program_to_the_bit(
    cases: list[dict], program: str, tmp_path: Path
) -> None:
    """The program is the Rust library behind a file: a group of rows in, the same rows out."""
    groups: dict[tuple, list[np.ndarray]] = defaultdict(list)
    for case in cases:
        x = logits_of(case)
        if case["dtype"] != "bf16" and not np.isnan([float(p) for p in case["softmax"]]).any():
            groups[case["dtype"], case["tau"], len(x)].append(x)
    compared = 0
    for (dtype, tau, _), rows in groups.items():
        logits = np.stack(rows)
        np.save(tmp_path / "logits.npy", logits)
        for flags, function in ([], softargmax.softmax), (["--log"], softargmax.log_softmax):
            out = tmp_path / "out.npy"
            command = [program, "apply", tmp_path / "logits.npy", "-t", tau, *flags, "-o", out]
            subprocess.run(command, check=True, capture_output=True)
            want = np.load(out)
            for got in (
                function(logits, axis=-1, temperature=tau),
                np.stack([function(row, temperature=tau) for row in rows]),
                function(np.asfortranarray(logits), axis=-1, temperature=tau),
                function(logits.T, axis=0, temperature=tau).T,
                function(logits, axis=-1, temperature=[tau] * len(rows)),
            ):
                assert same_bits(got, want), f"{dtype}, temperature {tau}"
            compared += len(rows)
    assert compared > 300
