"""The losses as operators of torch: one each, for any device, with what autograd and torch.compile need to know.

    on the CPU         the Rust kernels, on the tensor's own memory; float16 and bfloat16 are copied to float32
    anywhere else      torch's operations, _contrastive.py and _logits.py
    both               (loss, gradient in τ of each row, gradients …), all worked out at once: backward multiplies them

A compiled graph holds the operator as a whole, so that there is nothing in it that could break.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.library import custom_op

import softargmax
from softargmax.torch import _contrastive, _logits

_ON_THE_CPU = True


@contextmanager
def formulas_on_the_cpu() -> Iterator[None]:
    """What other devices do, done on the CPU: for tests."""
    global _ON_THE_CPU
    _ON_THE_CPU = False
    try:
        yield
    finally:
        _ON_THE_CPU = True


def by_rust(x: Tensor) -> bool:
    return _ON_THE_CPU and x.device.type == "cpu"


def array(x: Tensor | None) -> Any:
    """A tensor's own memory; a copy for the half types, which numpy does not know or the kernels would widen anyway."""
    if x is None:
        return None
    x = x.detach()
    if x.dtype in (torch.float16, torch.bfloat16):
        x = x.float()
    return x.numpy()


def number(tau: Tensor) -> Any:
    return tau.item() if tau.ndim == 0 else array(tau.double())


def of_values(values: Any, x: Tensor, reduction: str) -> Tensor:
    loss = torch.from_numpy(values).to(_contrastive.working(x))
    return loss if reduction == "per_row" else loss[0].clone()


def of_gradient(gradient: Any, x: Tensor) -> Tensor:
    return torch.from_numpy(gradient).to(x.dtype)


def vectors_of(how: str, *tensors: Tensor) -> str:
    """Of the half types, lengths round more coarsely than the float32 they are copied to: they are checked here."""
    if how != "unit" or tensors[0].element_size() != 2:
        return how
    for x in tensors:
        lengths = torch.linalg.vector_norm(x.float(), dim=1)
        wrong = ((lengths - 1).abs() > 1 / 64) | lengths.isnan()
        if wrong.any():
            row = int(wrong.int().argmax())
            raise softargmax.SoftargmaxError(f"row {row}: its length is not 1")
    return "as_given"


def of_tau(tau: Any, x: Tensor) -> Tensor:
    """The gradients in τ of rows: float64 where the CPU worked them out, as on the CPU everywhere."""
    tau = torch.from_numpy(tau) if isinstance(tau, np.ndarray) else tau
    return tau.to(tau_type(x))


def tau_type(x: Tensor) -> torch.dtype:
    return torch.float64 if x.device.type == "cpu" else _contrastive.working(x)


def outputs(loss: Any, reduction: str, *gradients: tuple[Any, Tensor]) -> tuple[Tensor, ...]:
    """What an operator gives back, of a loss of Rust's."""
    first = gradients[0][1]
    made = (of_gradient(gradient, x) for gradient, x in gradients)
    return of_values(loss.values, first, reduction), of_tau(loss.tau, first), *made


def by_torch(x: Tensor, results: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    values, tau, *gradients = results
    return values, of_tau(tau, x), *gradients


@custom_op("softargmax::cross_entropy", mutates_args=())
def cross_entropy(
    logits: Tensor, tau: Tensor, truth: Tensor, class_weights: Tensor | None, row_weights: Tensor | None,
    smoothing: float, reduction: str, ignored: int,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    if not by_rust(logits):
        results = _logits.cross_entropy(
            logits, truth, tau, class_weights, row_weights, smoothing, reduction, ignored
        )
        return by_torch(logits, results)  # type: ignore[return-value]
    loss = softargmax.cross_entropy(
        array(logits), array(truth), number(tau), smoothing=smoothing, class_weights=array(class_weights),
        row_weights=array(row_weights), reduction=reduction, ignored=ignored,  # type: ignore[arg-type]
    )  # fmt: skip
    return outputs(loss, reduction, (loss.logits, logits))  # type: ignore[return-value]


@custom_op("softargmax::distillation", mutates_args=())
def distillation(
    student: Tensor, tau: Tensor, teacher: Tensor, hard_labels: Tensor | None, row_weights: Tensor | None,
    divergence: str, factor: str, standardise: str, soft_weight: float, hard_weight: float, reduction: str, ignored: int,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    if not by_rust(student):
        results = _logits.distillation(
            student, teacher, tau, hard_labels, row_weights,
            divergence, factor, standardise, soft_weight, hard_weight, reduction, ignored,
        )  # fmt: skip
        return by_torch(student, results)  # type: ignore[return-value]
    loss = softargmax.distillation(
        array(student), array(teacher), number(tau), divergence=divergence, factor=factor,  # type: ignore[arg-type]
        standardise=standardise or None, soft_weight=soft_weight, hard_labels=array(hard_labels),  # type: ignore[arg-type]
        hard_weight=None if hard_labels is None else hard_weight, row_weights=array(row_weights),
        reduction=reduction, ignored=ignored,  # type: ignore[arg-type]
    )  # fmt: skip
    return outputs(loss, reduction, (loss.logits, student))  # type: ignore[return-value]


@custom_op("softargmax::decoupled_distillation", mutates_args=())
def decoupled_distillation(
    student: Tensor, tau: Tensor, teacher: Tensor, labels: Tensor, row_weights: Tensor | None,
    target_weight: float, rest_weight: float, reduction: str, ignored: int,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    if not by_rust(student):
        results = _logits.decoupled_distillation(
            student, teacher, labels, tau, row_weights, target_weight, rest_weight, reduction, ignored
        )
        return by_torch(student, results)  # type: ignore[return-value]
    loss = softargmax.decoupled_distillation(
        array(student), array(teacher), array(labels), number(tau), target_weight=target_weight, rest_weight=rest_weight,
        row_weights=array(row_weights), reduction=reduction, ignored=ignored,  # type: ignore[arg-type]
    ).loss  # fmt: skip
    return outputs(loss, reduction, (loss.logits, student))  # type: ignore[return-value]


@custom_op("softargmax::normalised_softmax", mutates_args=())
def normalised_softmax(
    cosines: Tensor, tau: Tensor, labels: Tensor, margin: str, amount: float, reduction: str, ignored: int
) -> tuple[Tensor, Tensor, Tensor]:
    if not by_rust(cosines):
        results = _contrastive.normalised_softmax(cosines, labels, tau, margin, amount, reduction, ignored)
        return by_torch(cosines, results)  # type: ignore[return-value]
    loss = softargmax.normalised_softmax(
        array(cosines), array(labels), number(tau), reduction=reduction, ignored=ignored,  # type: ignore[arg-type]
        cosine_margin=amount if margin == "cosine" else None, angle_margin=amount if margin == "angle" else None,
    )  # fmt: skip
    return outputs(loss, reduction, (loss.logits, cosines))  # type: ignore[return-value]


@custom_op("softargmax::info_nce", mutates_args=())
def info_nce(
    queries: Tensor, tau: Tensor, positives: Tensor, negatives: Tensor,
    vectors: str, denominator: str, reduction: str, fixed: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    if not by_rust(queries):
        results = _contrastive.info_nce(
            queries, positives, negatives, tau, vectors, denominator, reduction, fixed
        )
        return by_torch(queries, results)  # type: ignore[return-value]
    how = vectors_of(vectors, queries, positives, negatives)
    if fixed and vectors == "normalise" and queries.element_size() == 2:
        vectors_of("unit", negatives)
        # To float32's idea of a length of 1.
        negatives = torch.nn.functional.normalize(negatives.float(), dim=1)
    op = softargmax.info_nce_fixed if fixed else softargmax.info_nce
    loss = op(
        array(queries), array(positives), array(negatives), number(tau),
        vectors=how, denominator=denominator, reduction=reduction,  # type: ignore[arg-type]
    )  # fmt: skip
    given = np.empty((0, queries.shape[1]), dtype=np.float32) if loss.negatives is None else loss.negatives
    gradients = ((loss.queries, queries), (loss.keys, positives), (given, queries))
    return outputs(loss, reduction, *gradients)  # type: ignore[return-value]


def _pairs(op: Any, formula: Any, first: Tensor, second: Tensor, tau: Tensor, *how: str) -> Any:
    vectors, denominator, reduction = how
    if not by_rust(first):
        return by_torch(first, formula(first, second, tau, *how))
    loss = op(
        array(first), array(second), number(tau), vectors=vectors_of(vectors, first, second),
        denominator=denominator, reduction=reduction,
    )  # fmt: skip
    return outputs(loss, reduction, (loss.queries, first), (loss.keys, second))


@custom_op("softargmax::info_nce_in_batch", mutates_args=())
def info_nce_in_batch(
    queries: Tensor, tau: Tensor, keys: Tensor, vectors: str, denominator: str, reduction: str
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    rust, formula = softargmax.info_nce_in_batch, _contrastive.info_nce_in_batch
    return _pairs(rust, formula, queries, keys, tau, vectors, denominator, reduction)


@custom_op("softargmax::clip", mutates_args=())
def clip(
    queries: Tensor, tau: Tensor, keys: Tensor, vectors: str, denominator: str, reduction: str
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return _pairs(softargmax.clip, _contrastive.clip, queries, keys, tau, vectors, denominator, reduction)


@custom_op("softargmax::nt_xent", mutates_args=())
def nt_xent(
    first: Tensor, tau: Tensor, second: Tensor, vectors: str, denominator: str, reduction: str
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return _pairs(softargmax.nt_xent, _contrastive.nt_xent, first, second, tau, vectors, denominator, reduction)


@custom_op("softargmax::sup_con", mutates_args=())
def sup_con(
    vectors: Tensor, tau: Tensor, labels: Tensor, taken: str, reduction: str, ignored: int
) -> tuple[Tensor, Tensor, Tensor]:
    if not by_rust(vectors):
        results = _contrastive.sup_con(vectors, labels, tau, taken, reduction, ignored)
        return by_torch(vectors, results)  # type: ignore[return-value]
    loss = softargmax.sup_con(
        array(vectors), array(labels), number(tau), taken=vectors_of(taken, vectors),  # type: ignore[arg-type]
        reduction=reduction, ignored=ignored,  # type: ignore[arg-type]
    )  # fmt: skip
    return outputs(loss, reduction, (loss.vectors, vectors))  # type: ignore[return-value]


@custom_op("softargmax::sig_lip", mutates_args=())
def sig_lip(
    queries: Tensor, tau: Tensor, bias: Tensor, keys: Tensor, vectors: str, reduction: str
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    if not by_rust(queries):
        values, of_t, of_bias, *gradients = _contrastive.sig_lip(queries, keys, tau, bias, vectors, reduction)
        return values, of_tau(of_t, queries), of_tau(of_bias, queries), *gradients  # type: ignore[return-value]
    loss = softargmax.sig_lip(
        array(queries), array(keys), number(tau), bias.item(), vectors=vectors_of(vectors, queries, keys),  # type: ignore[arg-type]
        reduction=reduction,  # type: ignore[arg-type]
    )  # fmt: skip
    values, of_t, *gradients = outputs(loss, reduction, (loss.queries, queries), (loss.keys, keys))
    return values, of_t, of_tau(loss.bias, queries), *gradients  # type: ignore[return-value]


def _shapes(op: Any, rows: Callable[[Tensor], int], numbers: int, *at: int) -> None:
    """Tells torch the shapes of what an operator gives back, and how to go back through it.

    The first `numbers` arguments after the first are τ and what is like it; `at` are the tensors that get a gradient.
    """

    def fake(*arguments: Any) -> tuple[Tensor, ...]:
        first, how = arguments[0], dict(zip(names, arguments, strict=True))
        n = rows(first)
        values = first.new_empty(
            (n,) if how["reduction"] == "per_row" else (), dtype=_contrastive.working(first)
        )
        lists = [first.new_empty((n,), dtype=tau_type(first)) for _ in range(numbers)]
        gradients = []
        for i in at:
            shape = tuple(arguments[i].shape)
            if names[i] == "negatives" and how["fixed"]:
                shape = (0, shape[1])
            gradients.append(first.new_empty(shape))
        return values, *lists, *gradients

    def keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.save_for_backward(*output[1:])
        ctx.set_materialize_grads(False)
        ctx.numbers = [(x.shape, x.dtype, x.device) for x in inputs[1 : 1 + numbers]]
        ctx.arguments, ctx.fixed = len(inputs), dict(zip(names, inputs, strict=True)).get("fixed", False)

    def back(ctx: Any, g: Tensor | None, *others: Tensor | None) -> tuple[Tensor | None, ...]:
        # What is saved are outputs of this very operator: who goes back through a gradient comes here.
        if any(x is not None for x in others):
            raise RuntimeError(f"{name} has first derivatives only: its gradients are not differentiable")
        result: list[Tensor | None] = [None] * ctx.arguments
        if g is None:
            return tuple(result)
        saved = ctx.saved_tensors
        for i, (shape, dtype, device) in enumerate(ctx.numbers):
            if ctx.needs_input_grad[1 + i]:
                of_rows = saved[i] * g
                result[1 + i] = (of_rows.sum() if len(shape) == 0 else of_rows).to(device, dtype)
        for i, gradient in zip(at, saved[numbers:], strict=True):
            if ctx.needs_input_grad[i] and not (names[i] == "negatives" and ctx.fixed):
                scaled = gradient * (g if g.ndim == 0 else g[:, None])
                result[i] = scaled.to(gradient.dtype)
        return tuple(result)

    name = op._name.removeprefix("softargmax::")
    names = [argument.name for argument in op._opoverload._schema.arguments]
    op.register_fake(fake)
    op.register_autograd(back, setup_context=keep)


for _op in (cross_entropy, distillation, decoupled_distillation, normalised_softmax, sup_con):
    _shapes(_op, len, 1, 0)
_shapes(info_nce, len, 1, 0, 2, 3)
_shapes(info_nce_in_batch, len, 1, 0, 2)
_shapes(clip, len, 1, 0, 2)
_shapes(nt_xent, lambda first: 2 * len(first), 1, 0, 2)
_shapes(sig_lip, len, 2, 0, 3)


@custom_op("softargmax::adacos_dynamic_scale", mutates_args=())
def adacos_dynamic_scale(cosines: Tensor, scale: Tensor, labels: Tensor, ignored: int) -> Tensor:
    if not by_rust(cosines):
        return _contrastive.adacos_dynamic_scale(cosines, labels, scale, ignored)
    of = softargmax.adacos_dynamic_scale(array(cosines), array(labels), scale.item(), ignored=ignored)
    return torch.tensor(of, dtype=_contrastive.working(cosines))


@adacos_dynamic_scale.register_fake
def _(cosines: Tensor, scale: Tensor, labels: Tensor, ignored: int) -> Tensor:
    return cosines.new_empty((), dtype=_contrastive.working(cosines))
