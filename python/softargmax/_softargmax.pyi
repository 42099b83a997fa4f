"""Types of the extension module; the documentation is in the docstrings."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, Self, SupportsFloat, TypeAlias, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

_Tau: TypeAlias = SupportsFloat | str | Fraction | Decimal | Temperature
_Taus: TypeAlias = _Tau | NDArray[Any] | Sequence[Any]
_Axis: TypeAlias = int | tuple[int, ...] | None

__version__: str

class SoftargmaxError(ValueError): ...

@final
class Temperature:
    def __new__(cls, value: _Tau) -> Self: ...
    @classmethod
    def from_scale(cls, scale: float) -> Temperature: ...
    @classmethod
    def from_log_scale(cls, log_scale: float) -> Temperature: ...
    @property
    def tau(self) -> float: ...
    @property
    def scale(self) -> float: ...
    def __float__(self) -> float: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __copy__(self) -> Temperature: ...
    def __deepcopy__(self, _memo: Any) -> Temperature: ...
    def __reduce__(self) -> tuple[Any, Any]: ...

@final
class Statistics:
    @property
    def log_sum_exp(self) -> Any: ...
    @property
    def mean(self) -> Any: ...
    @property
    def variance(self) -> Any: ...
    @property
    def third_moment(self) -> Any: ...
    @property
    def entropy(self) -> Any: ...
    @property
    def perplexity(self) -> Any: ...
    @property
    def max_probability(self) -> Any: ...
    @property
    def arg_max(self) -> Any: ...
    @property
    def expected_index(self) -> Any: ...

@final
class Gradient:
    @property
    def logits(self) -> Any: ...
    @property
    def tau(self) -> Any: ...
    @property
    def scale(self) -> Any: ...

@final
class Solution:
    @property
    def outcome(self) -> str: ...
    @property
    def temperature(self) -> Temperature | None: ...
    @property
    def attained(self) -> float: ...
    @property
    def iterations(self) -> int: ...
    @property
    def tau(self) -> float: ...

# Results are Any: a number where no axis is left, otherwise an array.

def softmax(
    x: ArrayLike,
    axis: _Axis = None,
    *,
    temperature: _Taus = 1.0,
    out: NDArray[Any] | None = None,
    where: ArrayLike | None = None,
) -> Any: ...
def log_softmax(
    x: ArrayLike,
    axis: _Axis = None,
    *,
    temperature: _Taus = 1.0,
    out: NDArray[Any] | None = None,
    where: ArrayLike | None = None,
) -> Any: ...
def logsumexp(
    a: ArrayLike,
    axis: _Axis = None,
    b: ArrayLike | None = None,
    keepdims: bool = False,
    return_sign: bool = False,
    *,
    temperature: _Taus = 1.0,
    out: NDArray[Any] | None = None,
    where: ArrayLike | None = None,
) -> Any: ...
def entropy(
    x: ArrayLike,
    axis: _Axis = -1,
    *,
    temperature: _Taus = 1.0,
    out: NDArray[Any] | None = None,
    where: ArrayLike | None = None,
    keepdims: bool = False,
) -> Any: ...
def perplexity(
    x: ArrayLike,
    axis: _Axis = -1,
    *,
    temperature: _Taus = 1.0,
    out: NDArray[Any] | None = None,
    where: ArrayLike | None = None,
    keepdims: bool = False,
) -> Any: ...
def expected_index(
    x: ArrayLike,
    axis: _Axis = -1,
    *,
    temperature: _Taus = 1.0,
    out: NDArray[Any] | None = None,
    where: ArrayLike | None = None,
    keepdims: bool = False,
) -> Any: ...
def statistics(
    x: ArrayLike,
    axis: _Axis = -1,
    *,
    temperature: _Taus = 1.0,
    where: ArrayLike | None = None,
    keepdims: bool = False,
) -> Statistics: ...
def softmax_vjp(
    x: ArrayLike,
    cotangent: ArrayLike,
    axis: _Axis = None,
    *,
    temperature: _Taus = 1.0,
    where: ArrayLike | None = None,
) -> Gradient: ...
def log_softmax_vjp(
    x: ArrayLike,
    cotangent: ArrayLike,
    axis: _Axis = None,
    *,
    temperature: _Taus = 1.0,
    where: ArrayLike | None = None,
) -> Gradient: ...
def logsumexp_vjp(
    x: ArrayLike,
    cotangent: ArrayLike,
    axis: _Axis = None,
    *,
    temperature: _Taus = 1.0,
    where: ArrayLike | None = None,
) -> Gradient: ...
def solve_temperature(
    x: ArrayLike,
    axis: _Axis = -1,
    *,
    entropy: float | None = None,
    perplexity: float | None = None,
    max_probability: float | None = None,
    where: ArrayLike | None = None,
) -> Solution: ...
def solve_temperature_per_row(
    x: ArrayLike,
    axis: _Axis = -1,
    *,
    entropy: float | None = None,
    perplexity: float | None = None,
    max_probability: float | None = None,
    where: ArrayLike | None = None,
) -> list[Solution]: ...
def get_num_threads() -> int: ...
def set_num_threads(number: int) -> None: ...
