"""The losses as modules.

A temperature that is an `nn.Parameter` is learnt, and one that is a plain tensor is a buffer. A temperature of 0 or below, where an
optimiser may step, is refused by the next forward: `LogScale` is a way to learn one that stays within bounds.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

import softargmax
from softargmax.torch import functional as F
from softargmax.torch.functional import Tau

if TYPE_CHECKING:
    from softargmax.torch.functional import _Denominator, _Reduction, _Vectors


class LogScale(nn.Module):
    """A scale s = 1/τ that is learnt as its logarithm, and never leaves its bounds: called, it gives τ = exp(−log_scale).

    By default CLIP's: ln(1/0.07) at first, from 0 (τ = 1) to ln 100 (τ = 0.01). What an optimiser's step took out of the
    bounds is brought back by the next forward. (Radford et al. 2021, section 2.5.)
    """

    def __init__(
        self, log_scale: float = math.log(1 / 0.07), least: float = 0.0, most: float = math.log(100)
    ) -> None:
        super().__init__()
        if not least <= log_scale <= most:
            raise softargmax.SoftargmaxError(
                f"log_scale is {log_scale}: it must be from {least} to {most}"
            )
        self.least, self.most = least, most
        self.log_scale = nn.Parameter(torch.tensor(log_scale, dtype=torch.float32))

    def forward(self) -> Tensor:
        with torch.no_grad():
            self.log_scale.clamp_(self.least, self.most)
        return torch.exp(-self.log_scale)

    def extra_repr(self) -> str:
        return f"least={self.least}, most={self.most}"


class _Loss(nn.Module):
    """A module with a temperature, and the options of a function."""

    tau: Any

    def __init__(self, tau: Tau | LogScale, **options: Any) -> None:
        super().__init__()
        if isinstance(tau, Tensor) and not isinstance(tau, nn.Parameter):
            self.register_buffer("tau", tau)
        elif isinstance(tau, nn.Module | nn.Parameter):
            self.tau = tau
        else:
            self.tau = F.as_tau(tau)
        self.options = options

    def temperature(self) -> Tensor | float:
        """τ as it is now."""
        tau: Tensor | float = self.tau() if isinstance(self.tau, LogScale) else self.tau
        return tau

    def extra_repr(self) -> str:
        tau = [] if isinstance(self.tau, nn.Module) else [f"tau={self.tau}"]
        return ", ".join(tau + [f"{name}={value!r}" for name, value in self.options.items()])


class CrossEntropy(_Loss):
    """Cross-entropy at a temperature, of logits and labels or distributions: `functional.cross_entropy`."""

    class_weights: Tensor | None

    def __init__(
        self,
        tau: Tau | LogScale = 1.0,
        *,
        smoothing: float = 0.0,
        class_weights: Tensor | None = None,
        reduction: _Reduction = "mean",
        ignored: int = -100,
    ) -> None:
        super().__init__(tau, smoothing=smoothing, reduction=reduction, ignored=ignored)
        self.register_buffer("class_weights", class_weights)

    def forward(self, logits: Tensor, truth: Tensor, row_weights: Tensor | None = None) -> Tensor:
        return F.cross_entropy(
            logits, truth, self.temperature(), class_weights=self.class_weights, row_weights=row_weights, **self.options
        )


class Distillation(_Loss):
    """T²·KL(teacher ‖ student), with a part of hard labels on request: `functional.distillation`.

    `soft_weight` and `hard_weight` are α and 1 − α of a mixture. Labels are given to `forward`.
    """

    def __init__(
        self,
        tau: Tau | LogScale,
        *,
        divergence: Literal["teacher_to_student", "student_to_teacher", "jensen_shannon"] = "teacher_to_student",
        factor: Literal["tau_squared", "one"] = "tau_squared",
        standardise: Literal["population", "sample"] | None = None,
        soft_weight: float = 1.0,
        hard_weight: float | None = None,
        reduction: _Reduction = "mean",
        ignored: int = -100,
    ) -> None:
        super().__init__(
            tau, divergence=divergence, factor=factor, standardise=standardise, soft_weight=soft_weight,
            hard_weight=hard_weight, reduction=reduction, ignored=ignored,
        )  # fmt: skip

    def forward(
        self, student: Tensor, teacher: Tensor, hard_labels: Tensor | None = None, row_weights: Tensor | None = None
    ) -> Tensor:
        return F.distillation(
            student, teacher.detach(), self.temperature(), hard_labels=hard_labels, row_weights=row_weights, **self.options
        )


class DecoupledDistillation(_Loss):
    """T²(α·TCKD + β·NCKD): `functional.decoupled_distillation`."""

    def __init__(
        self,
        tau: Tau | LogScale,
        *,
        target_weight: float = 1.0,
        rest_weight: float = 8.0,
        reduction: _Reduction = "mean",
        ignored: int = -100,
    ) -> None:
        super().__init__(
            tau, target_weight=target_weight, rest_weight=rest_weight, reduction=reduction, ignored=ignored
        )

    def forward(
        self, student: Tensor, teacher: Tensor, labels: Tensor, row_weights: Tensor | None = None
    ) -> Tensor:
        return F.decoupled_distillation(
            student, teacher.detach(), labels, self.temperature(), row_weights=row_weights, **self.options
        )


class _Contrastive(_Loss):
    def __init__(
        self,
        tau: Tau | LogScale,
        *,
        vectors: _Vectors = "normalise",
        denominator: _Denominator = "with_positive",
        reduction: _Reduction = "mean",
    ) -> None:
        super().__init__(tau, vectors=vectors, denominator=denominator, reduction=reduction)


class InfoNCE(_Contrastive):
    """InfoNCE of queries and their positives; negatives are those given, or the other positives: `functional.info_nce`."""

    def forward(self, queries: Tensor, positives: Tensor, negatives: Tensor | None = None) -> Tensor:
        tau = self.temperature()
        if negatives is None:
            return F.info_nce_in_batch(queries, positives, tau, **self.options)
        return F.info_nce(queries, positives, negatives, tau, **self.options)


class NTXent(_Contrastive):
    """NT-Xent, SimCLR's loss of two views: `functional.nt_xent`."""

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        return F.nt_xent(first, second, self.temperature(), **self.options)


class MoCoLoss(_Contrastive):
    """MoCo's loss with its queue of the last K keys, which is part of the module's state.

    `forward(queries, keys)` takes the queue as it is as negatives and then, in training, adds the keys to it. Until it is full
    only the keys that came are negatives; a batch need not divide K. Each process has a queue of its own. `momentum_update` lets the key encoder follow.
    (He et al. 2020, algorithm 1: τ = 0.07, K = 65536.)
    """

    queue: Tensor

    def __init__(
        self,
        width: int,
        capacity: int,
        tau: Tau | LogScale,
        *,
        vectors: _Vectors = "normalise",
        denominator: _Denominator = "with_positive",
        reduction: _Reduction = "mean",
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(tau, vectors=vectors, denominator=denominator, reduction=reduction)
        if width < 1 or capacity < 1:
            raise softargmax.SoftargmaxError(
                f"a queue of {capacity} keys of {width} numbers: both must be 1 or more"
            )
        self.register_buffer("queue", torch.zeros(capacity, width, dtype=dtype))
        # Numbers of Python's: slices need them, and should not wait for a device.
        self.filled, self.at = 0, 0

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        keys = keys.detach()
        loss = F.moco(queries, keys, self.keys().to(queries.dtype), self.temperature(), **self.options)
        if self.training:
            self.push(keys)
        return loss

    # Numbers that change at each step would have a compiler at each step.
    @torch.compiler.disable
    def keys(self) -> Tensor:
        """The keys in the queue, in the order in which they lie."""
        return self.queue[: self.filled]

    @torch.compiler.disable
    @torch.no_grad()
    def push(self, keys: Tensor) -> None:
        """Adds keys; once the queue is full each takes the place of the oldest. Of more than fit, the last stay."""
        capacity = len(self.queue)
        if self.options["vectors"] == "normalise":
            # In float32 at least, so that what is stored is of length 1.
            long = keys.double() if keys.dtype == torch.float64 else keys.float()
            keys = nn.functional.normalize(long, dim=1)
        keys = keys[-capacity:].to(self.queue.dtype)
        first = min(len(keys), capacity - self.at)
        self.queue[self.at : self.at + first] = keys[:first]
        self.queue[: len(keys) - first] = keys[first:]
        self.filled = min(capacity, max(self.filled, self.at + len(keys)))
        self.at = (self.at + len(keys)) % capacity

    def get_extra_state(self) -> dict[str, int]:
        return {"filled": self.filled, "at": self.at}

    def set_extra_state(self, state: dict[str, int]) -> None:
        self.filled, self.at = state["filled"], state["at"]

    @staticmethod
    def momentum_update(key: nn.Module, query: nn.Module, momentum: float = 0.999) -> None:
        """The key encoder follows the query encoder: `functional.momentum_update`."""
        F.momentum_update(key, query, momentum)


class ClipLoss(_Contrastive):
    """CLIP's symmetric loss, with the learnt and bounded temperature of `LogScale` unless another is given: `functional.clip`."""

    def __init__(
        self,
        tau: Tau | LogScale | None = None,
        *,
        vectors: _Vectors = "normalise",
        denominator: _Denominator = "with_positive",
        reduction: _Reduction = "mean",
    ) -> None:
        tau = LogScale() if tau is None else tau
        super().__init__(tau, vectors=vectors, denominator=denominator, reduction=reduction)

    def forward(self, images: Tensor, texts: Tensor) -> Tensor:
        return F.clip(images, texts, self.temperature(), **self.options)


class SupCon(_Loss):
    """Supervised contrastive loss, L_out: `functional.sup_con`."""

    def __init__(
        self,
        tau: Tau | LogScale,
        *,
        taken: _Vectors = "normalise",
        reduction: _Reduction = "mean",
        ignored: int | None = None,
    ) -> None:
        super().__init__(tau, taken=taken, reduction=reduction, ignored=ignored)

    def forward(self, vectors: Tensor, labels: Tensor) -> Tensor:
        return F.sup_con(vectors, labels, self.temperature(), **self.options)


class SigLIP(_Loss):
    """SigLIP's loss with its learnt temperature and bias, at first 0.1 and −10: `functional.sig_lip`."""

    def __init__(
        self,
        tau: Tau | LogScale | None = None,
        bias: float = -10.0,
        *,
        vectors: _Vectors = "normalise",
        reduction: _Reduction = "mean",
    ) -> None:
        # The paper's has no bounds; these are far.
        tau = LogScale(math.log(10), -20.0, 20.0) if tau is None else tau
        super().__init__(tau, vectors=vectors, reduction=reduction)
        self.bias = nn.Parameter(torch.tensor(bias))

    def forward(self, images: Tensor, texts: Tensor) -> Tensor:
        return F.sig_lip(images, texts, self.temperature(), self.bias, **self.options)


class NormFace(_Loss):
    """A normalised softmax layer and its loss: cosines of features with the vectors of classes, over τ.

    `weight` is ``[classes, width]``. `forward` gives the loss, `cosines` what a prediction takes the largest of.
    """

    def __init__(
        self,
        width: int,
        classes: int,
        tau: Tau | LogScale,
        *,
        reduction: _Reduction = "mean",
        ignored: int = -100,
        **margin: float,
    ) -> None:
        super().__init__(tau, reduction=reduction, ignored=ignored, **margin)
        self.weight = nn.Parameter(torch.empty(classes, width))
        nn.init.normal_(self.weight)

    def cosines(self, features: Tensor) -> Tensor:
        """Of features ``[rows, width]`` with the vectors of the classes, ``[rows, classes]``."""
        normalize = nn.functional.normalize
        return normalize(features, dim=1) @ normalize(self.weight, dim=1).T

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        return F.normalised_softmax(self.cosines(features), labels, self.temperature(), **self.options)


class CosFace(NormFace):
    """`NormFace` with a margin on the cosine of the label, cos θ − m: by default m = 0.35 and s = 64. (Wang et al. 2018)"""

    def __init__(
        self,
        width: int,
        classes: int,
        tau: Tau | LogScale = 1 / 64,
        margin: float = 0.35,
        *,
        reduction: _Reduction = "mean",
        ignored: int = -100,
    ) -> None:
        super().__init__(width, classes, tau, reduction=reduction, ignored=ignored, cosine_margin=margin)


class ArcFace(NormFace):
    """`NormFace` with a margin on the angle to the label, cos(θ + m): by default m = 0.5 and s = 64. (Deng et al. 2019)"""

    def __init__(
        self,
        width: int,
        classes: int,
        tau: Tau | LogScale = 1 / 64,
        margin: float = 0.5,
        *,
        reduction: _Reduction = "mean",
        ignored: int = -100,
    ) -> None:
        super().__init__(width, classes, tau, reduction=reduction, ignored=ignored, angle_margin=margin)


class AdaCos(NormFace):
    """`NormFace` at the scale that dynamic AdaCos works out of each batch in training; it begins at √2·ln(n − 1).

    With ``dynamic=False`` it stays there. The scale is a buffer. (Zhang et al. 2019, algorithm 1)
    """

    scale: Tensor

    def __init__(
        self,
        width: int,
        classes: int,
        *,
        dynamic: bool = True,
        reduction: _Reduction = "mean",
        ignored: int = -100,
    ) -> None:
        if classes < 3:
            raise softargmax.SoftargmaxError(f"for {classes} classes the scale of AdaCos is 0: it takes 3")
        super().__init__(width, classes, 1.0, reduction=reduction, ignored=ignored)
        self.dynamic = dynamic
        self.register_buffer("scale", torch.tensor(softargmax.adacos_fixed_scale(classes)))

    def temperature(self) -> Tensor:
        return 1 / self.scale

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        cosines = self.cosines(features)
        if self.training and self.dynamic:
            ignored = self.options["ignored"]
            scale = F.adacos_dynamic_scale(cosines.detach(), labels, self.scale, ignored=ignored)
            self.scale = scale.to(self.scale)
        return F.normalised_softmax(cosines, labels, self.temperature(), **self.options)
