"""Types of the extension module; the documentation is in the docstrings."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal, Protocol, Self, SupportsFloat, TypeAlias, TypedDict, Unpack, final

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

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

# Sampling

_Number: TypeAlias = float | NDArray[Any] | Sequence[Any] | None
_Natural: TypeAlias = int | NDArray[Any] | Sequence[int]
_Bias: TypeAlias = dict[int, float]

class _Parameters(TypedDict, total=False):
    preset: Literal["greedy", "hf", "llama_cpp", "vllm"] | None
    temperature: _Taus | None
    top_k: _Natural | None
    top_p: _Number
    min_p: _Number
    typical_p: _Number
    top_n_sigma: _Number
    repetition_penalty: _Number
    presence_penalty: _Number
    frequency_penalty: _Number
    logit_bias: _Bias | Sequence[_Bias] | None
    order: Literal["temperature_first", "min_p_first", "temperature_last"] | None

def sample(
    logits: ArrayLike,
    n: int | None = None,
    *,
    seed: _Natural = 0,
    stream: _Natural = 0,
    position: _Natural = 0,
    where: ArrayLike | None = None,
    history: ArrayLike | Sequence[Sequence[int]] | None = None,
    replace: bool = True,
    method: Literal["inverse", "gumbel"] = "inverse",
    **parameters: Unpack[_Parameters],
) -> Any: ...
def log_prob(
    logits: ArrayLike,
    tokens: ArrayLike,
    *,
    of: Literal["drawn", "tempered", "raw"] = "drawn",
    where: ArrayLike | None = None,
    history: ArrayLike | Sequence[Sequence[int]] | None = None,
    **parameters: Unpack[_Parameters],
) -> Any: ...
def probabilities(
    logits: ArrayLike,
    *,
    where: ArrayLike | None = None,
    history: ArrayLike | Sequence[Sequence[int]] | None = None,
    **parameters: Unpack[_Parameters],
) -> NDArray[np.float64]: ...

# Losses

_Numbers: TypeAlias = NDArray[np.float64]
_Reduction: TypeAlias = Literal["mean", "sum", "weighted_mean", "per_row"]
_Divergence: TypeAlias = Literal["teacher_to_student", "student_to_teacher", "jensen_shannon"]
_Factor: TypeAlias = Literal["tau_squared", "one"]
_Deviation: TypeAlias = Literal["population", "sample"]
_Vectors: TypeAlias = Literal["normalise", "unit", "as_given"]
_Denominator: TypeAlias = Literal["with_positive", "negatives_only"]

@final
class Loss:
    @property
    def value(self) -> float: ...
    @property
    def values(self) -> _Numbers: ...
    @property
    def tau(self) -> _Numbers: ...
    @property
    def tau_sum(self) -> float: ...
    @property
    def logits(self) -> NDArray[Any]: ...

@final
class DecoupledLoss:
    @property
    def loss(self) -> Loss: ...
    @property
    def target(self) -> _Numbers: ...
    @property
    def rest(self) -> _Numbers: ...

@final
class ContrastiveLoss:
    @property
    def value(self) -> float: ...
    @property
    def values(self) -> _Numbers: ...
    @property
    def tau(self) -> _Numbers: ...
    @property
    def tau_sum(self) -> float: ...
    @property
    def queries(self) -> NDArray[Any]: ...
    @property
    def keys(self) -> NDArray[Any]: ...
    @property
    def negatives(self) -> NDArray[Any] | None: ...

@final
class VectorsLoss:
    @property
    def value(self) -> float: ...
    @property
    def values(self) -> _Numbers: ...
    @property
    def tau(self) -> _Numbers: ...
    @property
    def tau_sum(self) -> float: ...
    @property
    def vectors(self) -> NDArray[Any]: ...
    @property
    def anchors(self) -> int: ...

@final
class SigLipLoss:
    @property
    def value(self) -> float: ...
    @property
    def values(self) -> _Numbers: ...
    @property
    def tau(self) -> _Numbers: ...
    @property
    def tau_sum(self) -> float: ...
    @property
    def bias(self) -> _Numbers: ...
    @property
    def bias_sum(self) -> float: ...
    @property
    def queries(self) -> NDArray[Any]: ...
    @property
    def keys(self) -> NDArray[Any]: ...

@final
class Queue:
    def __new__(
        cls, capacity: int, width: int, *, vectors: _Vectors = "normalise", dtype: DTypeLike = "float32"
    ) -> Self: ...
    def push(self, keys: ArrayLike) -> None: ...
    def oldest_first(self) -> NDArray[Any]: ...
    @property
    def capacity(self) -> int: ...
    def __len__(self) -> int: ...

def cross_entropy(
    logits: ArrayLike,
    truth: ArrayLike,
    tau: _Taus = 1.0,
    *,
    smoothing: float = 0.0,
    class_weights: ArrayLike | None = None,
    row_weights: ArrayLike | None = None,
    reduction: _Reduction = "mean",
    ignored: int | None = None,
) -> Loss: ...
def distillation(
    student: ArrayLike,
    teacher: ArrayLike,
    tau: _Taus,
    *,
    divergence: _Divergence = "teacher_to_student",
    factor: _Factor = "tau_squared",
    standardise: _Deviation | None = None,
    soft_weight: float = 1.0,
    hard_labels: ArrayLike | None = None,
    hard_weight: float | None = None,
    row_weights: ArrayLike | None = None,
    reduction: _Reduction = "mean",
    ignored: int | None = None,
) -> Loss: ...
def decoupled_distillation(
    student: ArrayLike,
    teacher: ArrayLike,
    labels: ArrayLike,
    tau: _Taus,
    *,
    target_weight: float = 1.0,
    rest_weight: float = 8.0,
    row_weights: ArrayLike | None = None,
    reduction: _Reduction = "mean",
    ignored: int | None = None,
) -> DecoupledLoss: ...
def normalised_softmax(
    cosines: ArrayLike,
    labels: ArrayLike,
    tau: _Tau,
    *,
    cosine_margin: float | None = None,
    angle_margin: float | None = None,
    reduction: _Reduction = "mean",
    ignored: int | None = None,
) -> Loss: ...
def normface_lower_bound(classes: int, scale: float) -> float: ...
def normface_scale_for_loss(classes: int, loss: float) -> float: ...
def normface_scale_for_probability(classes: int, probability: float) -> float: ...
def adacos_fixed_scale(classes: int) -> float: ...
def adacos_dynamic_scale(
    cosines: ArrayLike, labels: ArrayLike, scale: float, *, ignored: int | None = None
) -> float: ...
def info_nce(
    queries: ArrayLike,
    positives: ArrayLike,
    negatives: ArrayLike,
    tau: _Tau,
    *,
    vectors: _Vectors = "normalise",
    denominator: _Denominator = "with_positive",
    reduction: _Reduction = "mean",
) -> ContrastiveLoss: ...
def info_nce_fixed(
    queries: ArrayLike,
    positives: ArrayLike,
    negatives: ArrayLike,
    tau: _Tau,
    *,
    vectors: _Vectors = "normalise",
    denominator: _Denominator = "with_positive",
    reduction: _Reduction = "mean",
) -> ContrastiveLoss: ...
def moco(
    queries: ArrayLike,
    keys: ArrayLike,
    queue: Queue,
    tau: _Tau,
    *,
    vectors: _Vectors = "normalise",
    denominator: _Denominator = "with_positive",
    reduction: _Reduction = "mean",
) -> ContrastiveLoss: ...
def info_nce_in_batch(
    queries: ArrayLike,
    keys: ArrayLike,
    tau: _Tau,
    *,
    vectors: _Vectors = "normalise",
    denominator: _Denominator = "with_positive",
    reduction: _Reduction = "mean",
) -> ContrastiveLoss: ...
def clip(
    queries: ArrayLike,
    keys: ArrayLike,
    tau: _Tau,
    *,
    vectors: _Vectors = "normalise",
    denominator: _Denominator = "with_positive",
    reduction: _Reduction = "mean",
) -> ContrastiveLoss: ...
def nt_xent(
    first: ArrayLike,
    second: ArrayLike,
    tau: _Tau,
    *,
    vectors: _Vectors = "normalise",
    denominator: _Denominator = "with_positive",
    reduction: _Reduction = "mean",
) -> ContrastiveLoss: ...
def sup_con(
    vectors: ArrayLike,
    labels: ArrayLike,
    tau: _Tau,
    *,
    taken: _Vectors = "normalise",
    reduction: _Reduction = "mean",
    ignored: int | None = None,
) -> VectorsLoss: ...
def sig_lip(
    queries: ArrayLike,
    keys: ArrayLike,
    tau: _Tau,
    bias: float,
    *,
    vectors: _Vectors = "normalise",
    reduction: _Reduction = "mean",
) -> SigLipLoss: ...
def momentum_update(key: NDArray[Any], query: ArrayLike, momentum: float) -> None: ...
def linear_temperature(from_: _Tau, to: _Tau, step: int, steps: int) -> Temperature: ...
def cosine_temperature(from_: _Tau, to: _Tau, step: int, steps: int) -> Temperature: ...
def exponential_temperature(from_: _Tau, to: _Tau, step: int, steps: int) -> Temperature: ...
def cyclic_temperature(low: _Tau, high: _Tau, step: int, period: int) -> Temperature: ...
def gumbel_softmax_temperature(rate: float, least: _Tau, step: int) -> Temperature: ...

# Arrow

class _ArrowArray(Protocol):
    def __arrow_c_array__(self, requested_schema: Any = None) -> tuple[Any, Any]: ...

class _ArrowStream(Protocol):
    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any: ...

_Arrow: TypeAlias = _ArrowArray | _ArrowStream
_Batches: TypeAlias = _Arrow | Iterable[_Arrow]

FIRST_QUESTION: str

def partial_stats(
    batches: _Batches,
    *,
    logits: str = "logits",
    label: str = "label",
    weight: str | None = None,
    ignored: int | None = None,
    question: str | None = None,
) -> _ArrowArray: ...
def merge(partials: _Batches) -> _ArrowArray: ...
def fit(partials: _Batches) -> Any: ...
def take_answers(question: str, partials: _Batches) -> Any: ...
def apply(
    batch: _Arrow,
    temperature: _Tau,
    *,
    logits: str = "logits",
    output: str = "probabilities",
    log: bool = False,
) -> Any: ...
