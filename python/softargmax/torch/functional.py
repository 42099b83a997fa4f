"""The losses as functions of tensors; the formulas and sources are in the docstrings of the functions of `softargmax`.

Each takes and gives what the function of that name in `softargmax` does, but returns the loss alone, through which autograd goes:
a number, or ``[rows]`` with ``reduction="per_row"``, in float64 for float64 and else in float32. ``tau`` is a number, a text,
a `softargmax.Temperature`, or a tensor without axes that may be learnt; the losses of logits also take a tensor of one per row.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Literal, TypeAlias

import torch
from torch import Tensor

import softargmax
from softargmax.torch import _operators

Tau: TypeAlias = Tensor | float | str | Fraction | Decimal | softargmax.Temperature
if TYPE_CHECKING:
    _Reduction: TypeAlias = Literal["mean", "sum", "weighted_mean", "per_row"]
    _Vectors: TypeAlias = Literal["normalise", "unit", "as_given"]
    _Denominator: TypeAlias = Literal["with_positive", "negatives_only"]

#: No label: so small that no data has it.
_NOTHING = -(2**63)


def _wrong(text: str) -> softargmax.SoftargmaxError:
    return softargmax.SoftargmaxError(text)


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        known = ", ".join(f'"{text}"' for text in allowed)
        raise _wrong(f'{name} is "{value}": it must be one of {known}')


def as_tau(tau: Tau) -> Tensor | float:
    """A temperature as a tensor, or as the float nearest to it."""
    if isinstance(tau, (Tensor, float)):
        return tau
    return float(softargmax.Temperature(tau))


def _number(value: Tau, like: Tensor, name: str, per_row: bool = False) -> Tensor:
    value = as_tau(value) if name == "tau" else value
    if not isinstance(value, Tensor):
        # A number alone goes along with tensors of any device.
        short = like.device.type != "cpu" and like.dtype != torch.float64
        return torch.tensor(value, dtype=torch.float32 if short else torch.float64)
    if not value.is_floating_point():
        raise TypeError(f"{name} has dtype {value.dtype}: it must be a float")
    if value.ndim == 0 or (per_row and value.shape == like.shape[:1]):
        return value
    allowed = f"no axes, or [{len(like)}]" if per_row else "no axes"
    raise _wrong(f"{name} has shape {list(value.shape)}: it must have {allowed}")


def _matrix(name: str, x: Tensor, like: Tensor | None = None) -> None:
    if not x.is_floating_point():
        raise TypeError(f"{name} has dtype {x.dtype}: it must be floats")
    if x.ndim != 2:
        raise _wrong(f"{name} has shape {list(x.shape)}: it must have two axes")
    if like is None:
        return
    if x.dtype != like.dtype:
        raise TypeError(f"{name} has dtype {x.dtype}, expected {like.dtype}")
    if x.shape[1] != like.shape[1]:
        raise _wrong(f"{name} has {x.shape[1]} columns, expected {like.shape[1]}")


def _same_rows(name: str, x: Tensor, like: Tensor) -> None:
    if len(x) != len(like):
        raise _wrong(f"{name} has {len(x)} rows, expected {len(like)}")


def _labels(name: str, x: Tensor, rows: int) -> Tensor:
    if x.is_floating_point() or x.is_complex() or x.dtype == torch.bool:
        raise TypeError(f"{name} has dtype {x.dtype}: it must be integers")
    if tuple(x.shape) != (rows,):
        raise _wrong(f"{name} has shape {list(x.shape)}, expected [{rows}]")
    return x.long()


def _list(name: str, x: Tensor | None, length: int) -> None:
    if x is not None and tuple(x.shape) != (length,):
        raise _wrong(f"{name} has shape {list(x.shape)}, expected [{length}]")


def _fixed(**tensors: Tensor | None) -> None:
    """What gets no gradient must not ask for one."""
    if torch.is_grad_enabled():
        for name, x in tensors.items():
            if x is not None and x.requires_grad:
                raise _wrong(f"{name} gets no gradient: pass {name}.detach()")


def _contrastive(reduction: str, *tensors: Tensor) -> None:
    _one_of("reduction", reduction, ("mean", "sum", "per_row"))
    asks = torch.is_grad_enabled() and any(x.requires_grad for x in tensors)
    if reduction == "per_row" and asks:
        raise _wrong(
            'with reduction="per_row" this loss has no gradient, since each row depends on all vectors: '
            'use "mean" or "sum", or detach them'
        )


def cross_entropy(
    logits: Tensor,
    truth: Tensor,
    tau: Tau = 1.0,
    *,
    smoothing: float = 0.0,
    class_weights: Tensor | None = None,
    row_weights: Tensor | None = None,
    reduction: _Reduction = "mean",
    ignored: int = -100,
) -> Tensor:
    """Cross-entropy −Σ_i c_i q_i ln p_i with p = softmax(x/τ): `softargmax.cross_entropy`.

    As in PyTorch, rows labelled -100 are left out unless `ignored` is another label; PyTorch's mean with class weights is
    "weighted_mean" here.
    """
    _matrix("logits", logits)
    rows, classes = logits.shape
    if truth.is_floating_point():
        _matrix("truth", truth, logits)
        _same_rows("truth", truth, logits)
    else:
        truth = _labels("truth", truth, rows)
    _list("class_weights", class_weights, classes)
    _list("row_weights", row_weights, rows)
    _fixed(truth=truth, class_weights=class_weights, row_weights=row_weights)
    _one_of("reduction", reduction, ("mean", "sum", "weighted_mean", "per_row"))
    t = _number(tau, logits, "tau", per_row=True)
    return _operators.cross_entropy(
        logits, t, truth, class_weights, row_weights, smoothing, reduction, ignored
    )[0]


def distillation(
    student: Tensor,
    teacher: Tensor,
    tau: Tau,
    *,
    divergence: Literal["teacher_to_student", "student_to_teacher", "jensen_shannon"] = "teacher_to_student",
    factor: Literal["tau_squared", "one"] = "tau_squared",
    standardise: Literal["population", "sample"] | None = None,
    soft_weight: float = 1.0,
    hard_labels: Tensor | None = None,
    hard_weight: float | None = None,
    row_weights: Tensor | None = None,
    reduction: _Reduction = "mean",
    ignored: int = -100,
) -> Tensor:
    """Distillation T²·KL(softmax(teacher/T) ‖ softmax(student/T)): `softargmax.distillation`.

    The teacher gets no gradient, and is refused where it asks for one.
    """
    _matrix("student", student)
    _matrix("teacher", teacher, student)
    _same_rows("teacher", teacher, student)
    _fixed(teacher=teacher, row_weights=row_weights)
    _list("row_weights", row_weights, len(student))
    if (hard_labels is None) != (hard_weight is None):
        raise _wrong("hard_labels and hard_weight go together: give both, or neither")
    if hard_labels is not None:
        hard_labels = _labels("hard_labels", hard_labels, len(student))
    _one_of("divergence", divergence, ("teacher_to_student", "student_to_teacher", "jensen_shannon"))
    _one_of("factor", factor, ("tau_squared", "one"))
    _one_of("standardise", standardise or "sample", ("population", "sample"))
    _one_of("reduction", reduction, ("mean", "sum", "weighted_mean", "per_row"))
    t = _number(tau, student, "tau", per_row=True)
    return _operators.distillation(
        student, t, teacher, hard_labels, row_weights, divergence, factor, standardise or "",
        soft_weight, hard_weight or 0.0, reduction, ignored,
    )[0]  # fmt: skip


def decoupled_distillation(
    student: Tensor,
    teacher: Tensor,
    labels: Tensor,
    tau: Tau,
    *,
    target_weight: float = 1.0,
    rest_weight: float = 8.0,
    row_weights: Tensor | None = None,
    reduction: _Reduction = "mean",
    ignored: int = -100,
) -> Tensor:
    """Decoupled distillation T²(α·TCKD + β·NCKD): `softargmax.decoupled_distillation`."""
    _matrix("student", student)
    _matrix("teacher", teacher, student)
    _same_rows("teacher", teacher, student)
    _fixed(teacher=teacher, row_weights=row_weights)
    _list("row_weights", row_weights, len(student))
    labels = _labels("labels", labels, len(student))
    _one_of("reduction", reduction, ("mean", "sum", "weighted_mean", "per_row"))
    t = _number(tau, student, "tau", per_row=True)
    return _operators.decoupled_distillation(
        student, t, teacher, labels, row_weights, target_weight, rest_weight, reduction, ignored
    )[0]


def normalised_softmax(
    cosines: Tensor,
    labels: Tensor,
    tau: Tau,
    *,
    cosine_margin: float | None = None,
    angle_margin: float | None = None,
    reduction: _Reduction = "mean",
    ignored: int = -100,
) -> Tensor:
    """Normalised softmax of cosines (NormFace, CosFace, ArcFace): `softargmax.normalised_softmax`."""
    _matrix("cosines", cosines)
    labels = _labels("labels", labels, len(cosines))
    if cosine_margin is not None and angle_margin is not None:
        raise _wrong("cosine_margin and angle_margin exclude each other: give one")
    margin, amount = "none", 0.0
    if cosine_margin is not None:
        margin, amount = "cosine", cosine_margin
    elif angle_margin is not None:
        margin, amount = "angle", angle_margin
    _one_of("reduction", reduction, ("mean", "sum", "weighted_mean", "per_row"))
    t = _number(tau, cosines, "tau")
    return _operators.normalised_softmax(cosines, t, labels, margin, amount, reduction, ignored)[0]


def info_nce(
    queries: Tensor,
    positives: Tensor,
    negatives: Tensor,
    tau: Tau,
    *,
    vectors: _Vectors = "normalise",
    denominator: _Denominator = "with_positive",
    reduction: _Reduction = "mean",
) -> Tensor:
    """InfoNCE with negatives that are the same for all queries: `softargmax.info_nce`."""
    return _with_negatives(
        queries, positives, negatives, "negatives", tau, vectors, denominator, reduction, False
    )


def moco(
    queries: Tensor,
    keys: Tensor,
    queue: Tensor,
    tau: Tau,
    *,
    vectors: _Vectors = "normalise",
    denominator: _Denominator = "with_positive",
    reduction: _Reduction = "mean",
) -> Tensor:
    """MoCo's loss, of keys in a queue ``[K, width]`` that get no gradient: `softargmax.info_nce_fixed`.

    Keys in the queue are of length 1, unless `vectors` is "as_given": normalise them once, when they are stored, as
    `MoCoLoss` does.
    """
    _fixed(queue=queue)
    return _with_negatives(queries, keys, queue, "queue", tau, vectors, denominator, reduction, True)


def _with_negatives(
    queries: Tensor, positives: Tensor, negatives: Tensor, name: str, tau: Tau,
    vectors: str, denominator: str, reduction: str, fixed: bool,
) -> Tensor:  # fmt: skip
    _matrix("queries", queries)
    _matrix("keys" if fixed else "positives", positives, queries)
    _same_rows("keys" if fixed else "positives", positives, queries)
    _matrix(name, negatives, queries)
    t = _number(tau, queries, "tau")
    _contrastive(reduction, queries, positives, negatives)
    _how(vectors, denominator, len(negatives))
    return _operators.info_nce(queries, t, positives, negatives, vectors, denominator, reduction, fixed)[0]


def _how(vectors: str, denominator: str, negatives: int) -> None:
    _one_of("vectors", vectors, ("normalise", "unit", "as_given"))
    _one_of("denominator", denominator, ("with_positive", "negatives_only"))
    if denominator == "negatives_only" and negatives < 1:
        raise _wrong("there are no negatives, and the positive is left out of the denominator")


def _paired(
    op: object, names: tuple[str, str], first: Tensor, second: Tensor, tau: Tau,
    vectors: str, denominator: str, reduction: str,
) -> Tensor:  # fmt: skip
    _matrix(names[0], first)
    _matrix(names[1], second, first)
    _same_rows(names[1], second, first)
    t = _number(tau, first, "tau")
    _contrastive(reduction, first, second)
    _how(vectors, denominator, len(first) - 1)
    loss: Tensor = op(first, t, second, vectors, denominator, reduction)[0]  # type: ignore[operator]
    return loss


def info_nce_in_batch(
    queries: Tensor,
    keys: Tensor,
    tau: Tau,
    *,
    vectors: _Vectors = "normalise",
    denominator: _Denominator = "with_positive",
    reduction: _Reduction = "mean",
) -> Tensor:
    """InfoNCE within a batch, of which key i is the positive of query i: `softargmax.info_nce_in_batch`."""
    op = _operators.info_nce_in_batch
    return _paired(op, ("queries", "keys"), queries, keys, tau, vectors, denominator, reduction)


def clip(
    queries: Tensor,
    keys: Tensor,
    tau: Tau,
    *,
    vectors: _Vectors = "normalise",
    denominator: _Denominator = "with_positive",
    reduction: _Reduction = "mean",
) -> Tensor:
    """CLIP's symmetric loss: `softargmax.clip`."""
    return _paired(_operators.clip, ("queries", "keys"), queries, keys, tau, vectors, denominator, reduction)


def nt_xent(
    first: Tensor,
    second: Tensor,
    tau: Tau,
    *,
    vectors: _Vectors = "normalise",
    denominator: _Denominator = "with_positive",
    reduction: _Reduction = "mean",
) -> Tensor:
    """NT-Xent, SimCLR's loss of two views, the mean over all 2N: `softargmax.nt_xent`."""
    return _paired(_operators.nt_xent, ("first", "second"), first, second, tau, vectors, denominator, reduction)


def sup_con(
    vectors: Tensor,
    labels: Tensor,
    tau: Tau,
    *,
    taken: _Vectors = "normalise",
    reduction: _Reduction = "mean",
    ignored: int | None = None,
) -> Tensor:
    """Supervised contrastive loss, L_out: `softargmax.sup_con`."""
    _matrix("vectors", vectors)
    labels = _labels("labels", labels, len(vectors))
    t = _number(tau, vectors, "tau")
    _contrastive(reduction, vectors)
    _one_of("taken", taken, ("normalise", "unit", "as_given"))
    nothing = _NOTHING if ignored is None else ignored
    return _operators.sup_con(vectors, t, labels, taken, reduction, nothing)[0]


def sig_lip(
    queries: Tensor,
    keys: Tensor,
    tau: Tau,
    bias: Tensor | float,
    *,
    vectors: _Vectors = "normalise",
    reduction: _Reduction = "mean",
) -> Tensor:
    """SigLIP's pairwise sigmoid loss: `softargmax.sig_lip`."""
    _matrix("queries", queries)
    _matrix("keys", keys, queries)
    _same_rows("keys", keys, queries)
    t, b = _number(tau, queries, "tau"), _number(bias, queries, "bias")
    _contrastive(reduction, queries, keys)
    _how(vectors, "with_positive", 1)
    return _operators.sig_lip(queries, t, b, keys, vectors, reduction)[0]


def adacos_dynamic_scale(
    cosines: Tensor, labels: Tensor, scale: Tensor | float, *, ignored: int = -100
) -> Tensor:
    """The next scale of dynamic AdaCos, a tensor on the device of the cosines: `softargmax.adacos_dynamic_scale`."""
    _matrix("cosines", cosines)
    labels = _labels("labels", labels, len(cosines))
    with torch.no_grad():
        scale = _number(scale, cosines, "scale")
        return _operators.adacos_dynamic_scale(cosines, scale, labels, ignored)


@torch.no_grad()
def momentum_update(key: torch.nn.Module, query: torch.nn.Module, momentum: float) -> None:
    """The key encoder follows the query encoder: ``key ← m·key + (1 − m)·query`` for every parameter, in place.

    Buffers (running means of a batch norm) are copied: they are not learnt. (He et al. 2020, eq. 2, m = 0.999.)
    """
    if not 0 <= momentum <= 1:
        raise _wrong(f"momentum is {momentum}: it must be from 0 to 1")
    of_key, of_query = dict(key.named_parameters()), dict(query.named_parameters())
    if {n: p.shape for n, p in of_key.items()} != {n: p.shape for n, p in of_query.items()}:
        raise _wrong("the two encoders have different parameters")
    for name, parameter in of_key.items():
        # Not lerp: at m = 1 it is the key, at 0 the query, to the bit.
        parameter.mul_(momentum).add_(of_query[name], alpha=1 - momentum)
    buffers = dict(query.named_buffers())
    for name, buffer in key.named_buffers():
        if name in buffers:
            buffer.copy_(buffers[name])
