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
def get_num_threads() -> int: ...
def set_num_threads(number: int) -> None: ...
