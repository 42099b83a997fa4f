"""The losses of logits in torch's own operations, for tensors that are not on the CPU.

    gap_i = (max − x_i)/τ       rest = Σ exp(−gap) without the largest      ln Z = log1p(rest)
    p_i = exp(−gap_i)/Z         1 − p of the largest = rest/Z: a confident row keeps the digits of what it leaves over

As in Rust, a chunk of rows at a time, with the gradients. What the CPU refuses becomes NaN or infinite.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from softargmax.torch._contrastive import allowed, chunks, reduced, working


class Distribution:
    """softmax(x/τ) of rows."""

    def __init__(self, x: Tensor, tau: Tensor) -> None:
        most, top = x.max(1, keepdim=True)
        self.there = x > -torch.inf
        self.gaps = torch.where(x == -torch.inf, torch.inf, (most - x) / tau)
        w = torch.exp(-self.gaps)
        rest = w.scatter(1, top, 0).sum(1, keepdim=True)
        # Nothing but −∞ is no distribution.
        rest = torch.where(most == -torch.inf, torch.nan, rest)
        self.log_normaliser = torch.log1p(rest)
        self.p = w / (1 + rest)
        self.missed = (1 + rest - w).scatter(1, top, rest) / (1 + rest)


def over(values: Tensor, where: Tensor) -> Tensor:
    """The sum of a row, of what is there."""
    return torch.where(where, values, 0).sum(1, keepdim=True)


class Shares(NamedTuple):
    """How much of each row's loss is in the whole: 0 where it does not count."""

    weights: Tensor
    divisor: Tensor | float

    def factor(self, part: slice) -> Tensor:
        return (self.weights[part] / self.divisor)[:, None]


def shares(weights: Tensor | None, like: Tensor, counted: Tensor | None, reduction: str, masses: Tensor | None) -> Shares:
    dtype = working(like)
    all_rows = torch.ones(len(like), dtype=dtype, device=like.device) if weights is None else weights.to(dtype)
    all_rows = torch.where((all_rows >= 0) & (all_rows < torch.inf), all_rows, torch.nan)
    if counted is not None:
        all_rows = torch.where(counted, all_rows, 0)
    if reduction in ("per_row", "sum"):
        return Shares(all_rows, 1.0)
    if reduction == "mean":
        divisor = (all_rows != 0).sum().to(dtype)
    else:
        divisor = (all_rows if masses is None else torch.where(all_rows != 0, all_rows * masses, 0)).sum()
    return Shares(all_rows, torch.where(divisor > 0, divisor, torch.nan))


class Sums:
    """Where losses and gradients of rows go, chunk by chunk."""

    def __init__(self, logits: Tensor, shares: Shares) -> None:
        self.gradient = torch.empty_like(logits, memory_format=torch.contiguous_format)
        self.losses = [logits.new_empty(0, dtype=working(logits))]
        self.taus = [logits.new_empty(0, dtype=working(logits))]
        self.shares = shares

    def add(self, part: slice, loss: Tensor, dx: Tensor, dtau: Tensor) -> None:
        factor = self.shares.factor(part)
        counts = factor != 0
        self.gradient[part] = torch.where(counts, factor * dx, 0).to(self.gradient.dtype)
        self.losses.append(torch.where(counts, factor * loss, 0)[:, 0])
        self.taus.append(torch.where(counts, factor * dtau, 0)[:, 0])

    def all(self, reduction: str) -> tuple[Tensor, Tensor, Tensor]:
        return reduced(torch.cat(self.losses), reduction, 1 / self.shares.divisor), torch.cat(self.taus), self.gradient


def of_rows(tau: Tensor, part: slice) -> Tensor:
    return tau[part, None] if tau.ndim == 1 else tau


def one_hot(labels: Tensor, classes: int, dtype: torch.dtype) -> Tensor:
    """NaN where a label is no class."""
    right = (labels >= 0) & (labels < classes)
    hot = torch.zeros((len(labels), classes), dtype=dtype, device=labels.device)
    value = torch.where(right, 1.0, torch.nan).to(dtype)
    return hot.scatter(1, labels.clamp(0, classes - 1)[:, None], value[:, None])


def surprise(d: Distribution, a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """−Σ a ln p, τ times its gradient in the logits, and τ times that in τ."""
    total = a.sum(1, keepdim=True)
    excess = d.p * (total - a) - a * d.missed
    loss = total * d.log_normaliser + over(a * d.gaps, a != 0)
    slope = over(excess * d.gaps, excess != 0)
    return loss, torch.where(d.there, excess, 0), slope


def cross_entropy(
    logits: Tensor, truth: Tensor, tau: Tensor, class_weights: Tensor | None, row_weights: Tensor | None,
    smoothing: float, reduction: str, ignored: int,
) -> tuple[Tensor, ...]:  # fmt: skip
    dtype, classes = working(logits), logits.shape[1]
    tau = allowed(tau, logits)
    labelled = not truth.is_floating_point()
    counted = truth != ignored if labelled else None
    c = torch.ones(classes, dtype=dtype, device=logits.device) if class_weights is None else class_weights.to(dtype)
    c = torch.where((c >= 0) & (c < torch.inf), c, torch.nan)
    masses = None
    if reduction == "weighted_mean":
        masses = c[truth.clamp(0, classes - 1)] if labelled else truth.to(dtype) @ c
    sums = Sums(logits, shares(row_weights, logits, counted, reduction, masses))
    for part in chunks(len(logits), classes):
        t = of_rows(tau, part)
        d = Distribution(logits[part].to(dtype), t)
        if labelled:
            q = one_hot(truth[part], classes, dtype)
        else:
            q = truth[part].to(dtype)
            q = torch.where((q >= 0) & (q < torch.inf), q, torch.nan)
        if smoothing > 0:
            even = smoothing * q.sum(1, keepdim=True) / d.there.sum(1, keepdim=True)
            q = (1 - smoothing) * q + torch.where(d.there, even, 0)
        loss, excess, slope = surprise(d, q * c)
        sums.add(part, loss, excess / t, slope / t)
    return sums.all(reduction)


def excess_of_exp(d: Tensor) -> Tensor:
    """e^−d − 1 + d, to the last digits for small d too: d²/2 − d³/6 + … ."""
    series = torch.ones_like(d)
    for n in range(16, 2, -1):
        series = 1 - series * d / n
    return torch.where(d.abs() < 0.5, 0.5 * d * d * series, torch.expm1(-d) + d)


def term(p: Tensor, d: Tensor, q: Tensor) -> Tensor:
    """p (e^−d − 1 + d) where q = p e^−d: what of Σ p d is from 0 up."""
    far = (q - p) + torch.where(p == 0, 0, p * d)
    return torch.where(d.abs() < 0.5, p * excess_of_exp(d), far)


def difference(p: Tensor, d: Tensor, q: Tensor) -> Tensor:
    """q − p."""
    return torch.where(d.abs() < 0.5, p * torch.expm1(-d), q - p)


def covariance(p: Tensor, a: Tensor, b: Tensor) -> Tensor:
    there = p != 0
    return over(p * (a - over(p * a, there)) * (b - over(p * b, there)), there)


def log_of_half(d: Tensor) -> Tensor:
    """−ln((1 + e^d)/2)."""
    near = -torch.log1p(torch.expm1(d) / 2)
    far = -(torch.logaddexp(torch.zeros_like(d), d) - torch.log(torch.full_like(d, 2)))
    return torch.where(d.abs() < 0.5, near, far)


class Divergence(NamedTuple):
    loss: Tensor
    #: τ times the gradient in the student's logits.
    error: Tensor
    #: τ times the derivative in τ.
    slope: Tensor
    #: ln Z of the student less that of the teacher.
    normalisers: Tensor


def divergence_of(which: str, teacher: Distribution, student: Distribution) -> Divergence:
    p, q, b, a = teacher.p, student.p, teacher.gaps, student.gaps
    normalisers = student.log_normaliser - teacher.log_normaliser
    d = torch.where(~teacher.there & ~student.there, 0, a - b + normalisers)
    # What the logarithms have rounded away shows where the ratios are near 1.
    near = (d.abs() <= 0.5).all(1, keepdim=True)
    lost = torch.where(near, torch.log1p(over(p * torch.expm1(-d), near & teacher.there)), 0)
    d = torch.where(near & teacher.there, d + lost, d)
    normalisers = normalisers + lost
    ones, others = p != 0, q != 0
    if which == "teacher_to_student":
        loss, error = term(p, d, q).sum(1, keepdim=True), difference(p, d, q)
        slope = over(error * a, error != 0) + covariance(p, b, d)
    elif which == "student_to_teacher":
        loss = term(q, -d, p).sum(1, keepdim=True)
        error = torch.where(others, -q * (d + loss), 0)
        back = -difference(p, d, q)
        slope = over(back * b, back != 0) - covariance(q, a, d)
    else:
        m, of_p, of_q = (p + q) / 2, log_of_half(-d), log_of_half(d)
        both = torch.where(ones, term(p, of_p, m), m) + torch.where(others, term(q, of_q, m), m)
        loss = both.sum(1, keepdim=True) / 2
        error = torch.where(others, q * (of_q - over(q * of_q, others)), 0) / 2
        slope = (covariance(q, a, of_q) + covariance(p, b, of_p)) / 2
    return Divergence(loss, error, slope, normalisers)


def limit(which: str, z: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """τ²·loss and its gradient in z at τ = ∞."""
    there = z > -torch.inf
    count = there.sum(1, keepdim=True)
    apart = z - v
    apart = torch.where(there, apart - over(apart, there) / count, 0)
    quarter = 0.25 if which == "jensen_shannon" else 1.0
    loss = quarter * (apart * apart).sum(1, keepdim=True) / (2 * count)
    # Masks that differ make it infinite.
    same = (there == (v > -torch.inf)).all(1, keepdim=True)
    return torch.where(same, loss, torch.inf), quarter * apart / count


class Standardised:
    """z-scores, and the way back for a gradient."""

    def __init__(self, x: Tensor, deviation: str) -> None:
        self.there = x > -torch.inf
        count = self.there.sum(1, keepdim=True)
        centred = torch.where(self.there, x - over(x, self.there) / count, 0)
        self.divisor = count - 1 if deviation == "sample" else count
        self.sigma = ((centred * centred).sum(1, keepdim=True) / self.divisor).sqrt()
        self.scores = torch.where(self.there, centred / self.sigma, 0)
        self.count = count
        self.logits = torch.where(self.there, self.scores, -torch.inf)

    def back(self, g: Tensor) -> Tensor:
        mean, product = over(g, self.there) / self.count, over(g * self.scores, self.there) / self.divisor
        return torch.where(self.there, (g - mean - self.scores * product) / self.sigma, 0)


def distillation(
    student: Tensor, teacher: Tensor, tau: Tensor, hard_labels: Tensor | None, row_weights: Tensor | None,
    divergence: str, factor: str, standardise: str, soft_weight: float, hard_weight: float, reduction: str, ignored: int,
) -> tuple[Tensor, ...]:  # fmt: skip
    dtype, classes = working(student), student.shape[1]
    tau = allowed(tau, student)
    counted = None if hard_labels is None else hard_labels != ignored
    sums = Sums(student, shares(row_weights, student, counted, reduction, None))
    for part in chunks(len(student), classes):
        t, z, v = of_rows(tau, part), student[part].to(dtype), teacher[part].to(dtype)
        given, scores = z, None
        if standardise:
            scores = Standardised(z, standardise)
            z, v = scores.logits, Standardised(v, standardise).logits
        of = divergence_of(divergence, Distribution(v, t), Distribution(z, t))
        if factor == "one":
            loss, error, slope = of.loss, of.error / t, of.slope / t
        else:
            at_limit, of_limit = limit(divergence, z, v)
            far = t == torch.inf
            loss = torch.where(far, at_limit, t * (t * of.loss))
            error = torch.where(far, of_limit, t * of.error)
            slope = torch.where(far, 0, t * (2 * of.loss + of.slope))
        if scores is not None:
            error = scores.back(error)
        loss, error, slope = soft_weight * loss, soft_weight * error, soft_weight * slope
        if hard_labels is not None:
            plain = Distribution(given, torch.ones_like(t))
            of_label, excess, _ = surprise(plain, one_hot(hard_labels[part], classes, dtype))
            loss, error = loss + hard_weight * of_label, error + hard_weight * excess
        sums.add(part, loss, error, slope)
    return sums.all(reduction)


class Side:
    """One of teacher and student, split at the target."""

    def __init__(self, x: Tensor, label: Tensor, tau: Tensor) -> None:
        self.target = x.gather(1, label)
        self.others = x.scatter(1, label, -torch.inf)
        self.rest = Distribution(self.others, tau)
        self.lead = (self.target - self.others.amax(1, keepdim=True)) / tau
        self.drift = -self.lead - over(self.rest.p * self.rest.gaps, self.rest.p != 0)
        u = self.lead - self.rest.log_normaliser
        self.pair = torch.sigmoid(u), torch.sigmoid(-u)
        self.logs = torch.nn.functional.logsigmoid(u), torch.nn.functional.logsigmoid(-u)


def decoupled_distillation(
    student: Tensor, teacher: Tensor, labels: Tensor, tau: Tensor, row_weights: Tensor | None,
    target_weight: float, rest_weight: float, reduction: str, ignored: int,
) -> tuple[Tensor, ...]:  # fmt: skip
    dtype, classes = working(student), student.shape[1]
    tau, counted = allowed(tau, student), labels != ignored
    sums = Sums(student, shares(row_weights, student, counted, reduction, None))
    for part in chunks(len(student), classes):
        t, label = of_rows(tau, part), labels[part].clamp(0, classes - 1)[:, None]
        wrong = (labels[part] != label[:, 0])[:, None]
        z = Side(torch.where(wrong, torch.nan, student[part].to(dtype)), label, t)
        v = Side(teacher[part].to(dtype), label, t)
        of = divergence_of("teacher_to_student", v.rest, z.rest)
        apart = (v.lead - z.lead) + of.normalisers
        (b, c), (x, y) = v.pair, z.pair
        shift = torch.log1p(b * torch.expm1(-apart))
        near = apart.abs() <= 0.5
        ratio = torch.where(near, apart + shift, v.logs[0] - z.logs[0])
        ratio_rest = torch.where(near, shift, v.logs[1] - z.logs[1])
        of_target = term(b, ratio, x) + term(c, ratio_rest, y)
        error = torch.where(b < c, difference(b, ratio, x), -difference(c, ratio_rest, y))
        slope = error * z.drift + b * c * apart * v.drift
        target, rest, far = t * (t * of_target), t * (t * of.loss), t == torch.inf
        error, errors = t * error, t * of.error
        slopes = t * (2 * of_target + slope), t * (2 * of.loss + of.slope)
        # The limits at τ = ∞.
        at_limit, of_limit = limit("teacher_to_student", z.others, v.others)
        there = z.rest.there
        count = there.sum(1, keepdim=True)
        gap = (v.target - z.target) - over(v.others - z.others, there) / count
        at_error = -count / ((count + 1.0) * (count + 1.0)) * gap
        target, rest = torch.where(far, -at_error * gap / 2, target), torch.where(far, at_limit, rest)
        error, errors = torch.where(far, at_error, error), torch.where(far, of_limit, errors)
        dx = rest_weight * errors - target_weight * error * z.rest.p
        dx = dx.scatter(1, label, target_weight * error)
        loss = target_weight * target + rest_weight * rest
        dtau = torch.where(far, 0, target_weight * slopes[0] + rest_weight * slopes[1])
        sums.add(part, loss, dx, dtau)
    return sums.all(reduction)
