"""What the tests share: the ruler, and where the repository is."""

import os
import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]

# (bits of the mantissa with the leading one, smallest exponent)
FORMATS = {"float64": (53, -1022), "float32": (24, -126), "float16": (11, -14), "bfloat16": (8, -126)}
LARGEST = {"float64": 1023, "float32": 127, "float16": 15, "bfloat16": 127}


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout; what is tested against files of it cannot be tested from a wheel alone."""
    if not (REPOSITORY / "fixtures/cases.json").exists():
        pytest.skip("not in a checkout: fixtures/cases.json is missing")
    return REPOSITORY


def ulp(got: object, want: str | Fraction, dtype: np.dtype, size: Fraction | None = None) -> float:
    """How far `got` is from the decimal text `want`, in units of its last place, or of that of `size`."""
    precision, smallest = FORMATS[dtype.name]
    got = float(got)  # type: ignore[arg-type]
    if want in ("nan", "inf", "-inf"):
        same = np.isnan(got) if want == "nan" else got == float(want)  # type: ignore[arg-type]
        return 0.0 if same else np.inf
    want = Fraction(want)
    if np.isnan(got):
        return np.inf
    if np.isinf(got):
        # It stands where the number after the largest would, and for all beyond.
        got = int(np.copysign(1.0, got)) * Fraction(2) ** (LARGEST[dtype.name] + 1)
        if got * want > 0 and abs(want) >= abs(got):
            return 0.0
    size = abs(want if size is None else size)
    exponent = smallest
    if size > 0:
        exponent = size.numerator.bit_length() - size.denominator.bit_length()
        if size < Fraction(2) ** exponent:
            exponent -= 1
        exponent = max(exponent, smallest)
    unit = Fraction(2) ** (exponent - precision + 1)
    return float(abs(Fraction(got) - want) / unit)


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal, −0 told from 0, any NaN equal to any other."""
    a, b = np.asarray(a), np.asarray(b)
    nan = np.isnan(a)
    return (
        a.dtype == b.dtype
        and a.shape == b.shape
        and np.array_equal(nan, np.isnan(b))
        and a[~nan].tobytes() == b[~nan].tobytes()
    )


def program(*arguments: object) -> str:
    """What the program prints, where SOFTARGMAX_PROGRAM says which it is."""
    path = os.environ.get("SOFTARGMAX_PROGRAM")
    if not path:
        pytest.skip("SOFTARGMAX_PROGRAM does not say where the program is")
    done = subprocess.run([path, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
