"""Types of the extension module; the documentation is in the docstrings."""

from collections.abc import Hashable, Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from os import PathLike
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

# Choosing a temperature

@final
class TemperatureFit:
    @property
    def outcome(self) -> str: ...
    @property
    def temperature(self) -> Temperature | None: ...
    @property
    def tau(self) -> float: ...
    @property
    def std_error(self) -> float: ...
    @property
    def robust_std_error(self) -> float: ...
    @property
    def interval(self) -> tuple[float, float]: ...
    @property
    def p_value_tau_is_one(self) -> float: ...
    @property
    def nll_before(self) -> float: ...
    @property
    def nll_after(self) -> float: ...
    @property
    def accuracy(self) -> float: ...
    @property
    def rows(self) -> int: ...
    @property
    def ignored(self) -> int: ...
    @property
    def classes(self) -> int: ...
    @property
    def passes(self) -> int: ...
    @property
    def tolerance(self) -> float: ...
    @property
    def infinite(self) -> int: ...
    @property
    def infinite_rows(self) -> list[int]: ...

def fit_temperature(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    prior: float | tuple[float, _Tau] | None = None,
    ignored: int | None = None,
    where: ArrayLike | None = None,
) -> TemperatureFit: ...

@final
class Group:
    @property
    def temperature(self) -> Temperature: ...
    @property
    def log_deviation(self) -> float: ...
    @property
    def alone(self) -> TemperatureFit: ...

@final
class GroupsFit:
    @property
    def pool(self) -> TemperatureFit: ...
    @property
    def deviation(self) -> float: ...
    @property
    def groups(self) -> dict[Any, Group]: ...
    def temperature(self, group: Hashable) -> Temperature | None: ...
    def temperatures(self, groups: Iterable[Hashable]) -> list[Temperature]: ...

def fit_groups(
    logits: ArrayLike,
    labels: ArrayLike,
    groups: Iterable[Hashable],
    *,
    weights: ArrayLike | None = None,
    ignored: int | None = None,
    where: ArrayLike | None = None,
) -> GroupsFit: ...

@final
class Candidate:
    @property
    def model(self) -> str: ...
    @property
    def outcome(self) -> str: ...
    @property
    def nll(self) -> float: ...
    @property
    def std_error(self) -> float: ...
    @property
    def difference(self) -> float: ...
    @property
    def difference_std_error(self) -> float: ...
    @property
    def accuracy(self) -> float: ...

@final
class Calibrator:
    @property
    def model(self) -> str | None: ...
    @property
    def outcome(self) -> str: ...
    @property
    def temperature(self) -> Temperature | None: ...
    @property
    def scale(self) -> _Numbers | None: ...
    @property
    def bias(self) -> _Numbers | None: ...
    @property
    def shares(self) -> tuple[float, float, float] | None: ...
    @property
    def reason(self) -> str | None: ...
    @property
    def candidates(self) -> list[Candidate]: ...
    def log_probabilities(self, logits: ArrayLike) -> _Numbers: ...
    def probabilities(self, logits: ArrayLike) -> _Numbers: ...

def fit_calibrator(
    logits: ArrayLike,
    labels: ArrayLike,
    model: Literal["auto", "identity", "temperature", "ets", "bcts", "vector"] = "auto",
    *,
    weights: ArrayLike | None = None,
    ignored: int | None = None,
    where: ArrayLike | None = None,
    folds: int = 5,
    seed: int = 0,
) -> Calibrator: ...

# Metrics

@final
class Scores:
    @property
    def nll(self) -> _Numbers: ...
    @property
    def brier(self) -> _Numbers: ...
    @property
    def confidence(self) -> _Numbers: ...
    @property
    def doubt(self) -> _Numbers: ...
    @property
    def correct(self) -> NDArray[np.bool_]: ...
    @property
    def weight(self) -> _Numbers: ...
    def __len__(self) -> int: ...

@final
class Mean:
    @property
    def value(self) -> float: ...
    @property
    def std_error(self) -> float: ...

@final
class Summary:
    @property
    def rows(self) -> int: ...
    @property
    def weight(self) -> float: ...
    @property
    def nll(self) -> Mean: ...
    @property
    def brier(self) -> Mean: ...
    @property
    def accuracy(self) -> Mean: ...
    @property
    def confidence(self) -> Mean: ...
    @property
    def overconfidence(self) -> Mean: ...

@final
class Null:
    @property
    def mean(self) -> float: ...
    @property
    def quantile_95(self) -> float: ...
    @property
    def p_value(self) -> float: ...
    @property
    def replicates(self) -> int: ...

@final
class BinFree:
    @property
    def value(self) -> float: ...
    @property
    def null(self) -> Null: ...

@final
class Bin:
    @property
    def lower(self) -> float: ...
    @property
    def upper(self) -> float: ...
    @property
    def rows(self) -> int: ...
    @property
    def weight(self) -> float: ...
    @property
    def confidence(self) -> float: ...
    @property
    def accuracy(self) -> float: ...

@final
class CalibrationError:
    @property
    def ece(self) -> float: ...
    @property
    def max(self) -> float: ...
    @property
    def debiased(self) -> float: ...
    @property
    def bins(self) -> list[Bin]: ...
    @property
    def null(self) -> Null: ...

@final
class ClasswiseError:
    @property
    def ece(self) -> float: ...
    @property
    def per_class(self) -> list[float]: ...
    @property
    def null(self) -> Null: ...

@final
class Step:
    @property
    def lower(self) -> float: ...
    @property
    def upper(self) -> float: ...
    @property
    def accuracy(self) -> float: ...
    @property
    def weight(self) -> float: ...

@final
class Band:
    @property
    def at(self) -> _Numbers: ...
    @property
    def lower(self) -> _Numbers: ...
    @property
    def upper(self) -> _Numbers: ...

@final
class RiskPoint:
    @property
    def coverage(self) -> float: ...
    @property
    def risk(self) -> float: ...
    @property
    def threshold(self) -> float: ...
    @property
    def doubt(self) -> float: ...

@final
class RiskCoverage:
    @property
    def points(self) -> list[RiskPoint]: ...
    @property
    def aurc(self) -> float: ...
    @property
    def excess_aurc(self) -> float: ...
    @property
    def full_risk(self) -> float: ...

@final
class BrierParts:
    @property
    def miscalibration(self) -> float: ...
    @property
    def discrimination(self) -> float: ...
    @property
    def uncertainty(self) -> float: ...

@final
class Interval:
    @property
    def value(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...

@final
class Differences:
    @property
    def nll(self) -> Interval: ...
    @property
    def brier(self) -> Interval: ...
    @property
    def accuracy(self) -> Interval: ...
    @property
    def ece(self) -> Interval: ...

@final
class Evaluation:
    @property
    def rows(self) -> int: ...
    @property
    def ignored(self) -> int: ...
    @property
    def classes(self) -> int: ...
    @property
    def nll(self) -> float: ...
    @property
    def nll_std_error(self) -> float: ...
    @property
    def brier(self) -> float: ...
    @property
    def brier_std_error(self) -> float: ...
    @property
    def accuracy(self) -> float: ...
    @property
    def accuracy_std_error(self) -> float: ...
    @property
    def confidence(self) -> float: ...
    @property
    def overconfidence(self) -> float: ...
    @property
    def overconfidence_std_error(self) -> float: ...
    @property
    def ece(self) -> float: ...
    @property
    def ece_null_mean(self) -> float: ...
    @property
    def ece_null_quantile_95(self) -> float: ...
    @property
    def ece_p_value(self) -> float: ...
    @property
    def ece_debiased(self) -> float: ...
    @property
    def mce(self) -> float: ...
    @property
    def classwise_ece(self) -> BinFree: ...
    @property
    def ece_equal_mass(self) -> BinFree: ...
    @property
    def kolmogorov_smirnov(self) -> BinFree: ...
    @property
    def smooth_ece(self) -> BinFree: ...
    @property
    def miscalibration(self) -> float: ...
    @property
    def discrimination(self) -> float: ...
    @property
    def uncertainty(self) -> float: ...
    @property
    def aurc(self) -> float: ...
    @property
    def excess_aurc(self) -> float: ...

def scores(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    temperature: _Taus = 1.0,
    weights: ArrayLike | None = None,
    ignored: int | None = None,
    where: ArrayLike | None = None,
) -> Scores: ...
def summarise(scores: Scores) -> Summary: ...
def calibration_error(
    scores: Scores,
    bins: int = 15,
    *,
    binning: Literal["equal_width", "equal_mass"] = "equal_width",
    replicates: int = 1000,
    seed: int = 0,
) -> CalibrationError: ...
def classwise_calibration_error(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    temperature: _Taus = 1.0,
    weights: ArrayLike | None = None,
    ignored: int | None = None,
    where: ArrayLike | None = None,
    bins: int = 15,
    replicates: int = 1000,
    seed: int = 0,
) -> ClasswiseError: ...
def smooth_calibration_error(scores: Scores, *, replicates: int = 1000, seed: int = 0) -> BinFree: ...
def kolmogorov_smirnov(scores: Scores, *, replicates: int = 1000, seed: int = 0) -> BinFree: ...
def isotonic(scores: Scores) -> list[Step]: ...
def consistency_band(
    scores: Scores,
    at: ArrayLike,
    level: float = 0.95,
    *,
    replicates: int = 1000,
    seed: int = 0,
) -> Band: ...
def risk_coverage(scores: Scores) -> RiskCoverage: ...
def coverage_at_risk(scores: Scores, target: float) -> RiskPoint | None: ...
def brier_parts(scores: Scores) -> BrierParts: ...
def paired_bootstrap(
    before: Scores,
    after: Scores,
    level: float = 0.95,
    *,
    replicates: int = 1000,
    seed: int = 0,
) -> Differences: ...
def evaluate(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    temperature: _Taus = 1.0,
    weights: ArrayLike | None = None,
    ignored: int | None = None,
    where: ArrayLike | None = None,
    bins: int = 15,
    replicates: int = 1000,
    seed: int = 0,
) -> Evaluation: ...

# Reports

@final
class CalibrationPanel:
    @property
    def temperature(self) -> Temperature: ...
    @property
    def summary(self) -> Summary: ...
    @property
    def ece(self) -> CalibrationError: ...
    @property
    def ece_equal_mass(self) -> CalibrationError: ...
    @property
    def smooth_ece(self) -> BinFree: ...
    @property
    def kolmogorov_smirnov(self) -> BinFree: ...
    @property
    def brier_parts(self) -> BrierParts: ...
    @property
    def risk_coverage(self) -> RiskCoverage: ...

@final
class CalibrationReport:
    @property
    def headline(self) -> str: ...
    @property
    def findings(self) -> list[str]: ...
    @property
    def caveats(self) -> list[str]: ...
    @property
    def outcome(self) -> str: ...
    @property
    def temperature(self) -> Temperature | None: ...
    @property
    def tau(self) -> float: ...
    @property
    def interval(self) -> tuple[float, float]: ...
    @property
    def fitted(self) -> int: ...
    @property
    def held_out(self) -> int: ...
    @property
    def ignored(self) -> int: ...
    @property
    def classes(self) -> int: ...
    @property
    def before(self) -> CalibrationPanel: ...
    @property
    def after(self) -> CalibrationPanel | None: ...
    @property
    def difference(self) -> Differences | None: ...
    @property
    def html(self) -> str: ...
    @property
    def pictures(self) -> dict[str, str]: ...
    def save(self, path: str | PathLike[str]) -> None: ...
    def _repr_html_(self) -> str: ...

def calibration_report(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    ignored: int | None = None,
    where: ArrayLike | None = None,
    name: str = "logits",
    seed: int = 0,
) -> CalibrationReport: ...

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
def fit(partials: _Batches) -> TemperatureFit: ...
def take_answers(question: str, partials: _Batches) -> str | TemperatureFit: ...
def apply(
    batch: _Arrow,
    temperature: _Tau,
    *,
    logits: str = "logits",
    output: str = "probabilities",
    log: bool = False,
) -> Any: ...
