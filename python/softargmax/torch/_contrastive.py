"""The contrastive losses and the normalised softmax in torch's own operations, for tensors that are not on the CPU.

    a chunk of rows:  s = q·kᵀ          hidden entries −∞        w = exp((s − m)/τ)
                      x = (m − s₊)/τ + ln Σw                     loss = softplus(x), 1 − p₊ = sigmoid(x)
                      G = (1 − p₊)/τ · w/Σw                      dq = G·k − (1 − p₊)/τ·k₊,  dk += Gᵀ·q

As in Rust the gradients are computed together with the loss, so that no chunk has to be kept. What the CPU refuses becomes NaN
here: to raise an error, the device would have to be waited for.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

#: Numbers in a chunk of similarities or logits.
CHUNK = 1 << 24


def chunks(rows: int, columns: int) -> Iterator[slice]:
    at_once = max(1, CHUNK // max(1, columns))
    for first in range(0, rows, at_once):
        yield slice(first, min(rows, first + at_once))


def working(x: Tensor) -> torch.dtype:
    """What is computed in: float64 stays, everything shorter is float32."""
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def allowed(tau: Tensor, x: Tensor) -> Tensor:
    tau = tau.to(working(x))
    return torch.where(tau > 0, tau, torch.nan)


def whole(reduction: str, rows: int | Tensor) -> float | Tensor:
    """What every row's loss is multiplied by."""
    if reduction in ("per_row", "sum"):
        return 1.0
    if isinstance(rows, Tensor):
        return 1.0 / rows
    return 1.0 / rows if rows else torch.nan


def reduced(losses: Tensor, reduction: str, factor: float | Tensor) -> Tensor:
    # The mean of nothing is not 0.
    return losses if reduction == "per_row" else losses.sum() + 0 * factor


def softplus(x: Tensor) -> Tensor:
    # torch's own leaves out e^-x from x = 20 on.
    return x.clamp(min=0) + torch.log1p(torch.exp(-x.abs()))


class Vectors:
    """Vectors as the products take them, and the way back for a gradient."""

    def __init__(self, given: Tensor, how: str) -> None:
        self.dtype = given.dtype
        x = given.to(working(given))
        self.lengths: Tensor | None = None
        if how == "as_given":
            self.data = x
            return
        # Scaled, so that no square overflows or is lost.
        most = x.abs().amax(1, keepdim=True)
        lengths = most * torch.linalg.vector_norm(x / most, dim=1, keepdim=True)
        if how == "unit":
            tolerance = 1 / 64 if given.element_size() == 2 else 1 / 1024
            self.data = torch.where((lengths - 1).abs() <= tolerance, x, torch.nan)
        else:
            self.lengths = lengths
            self.data = x / lengths

    def gradient(self, of_prepared: Tensor) -> Tensor:
        if self.lengths is None:
            return of_prepared.to(self.dtype)
        along = (of_prepared * self.data).sum(1, keepdim=True)
        return ((of_prepared - self.data * along) / self.lengths).to(self.dtype)


class Rows(NamedTuple):
    loss: Tensor
    #: dL/ds of what is in the sum, [rows, columns].
    pull: Tensor
    #: −dL/ds₊.
    push: Tensor
    tau: Tensor


def rows_of(s: Tensor, positive: Tensor, tau: Tensor, without: bool | Tensor, factor: float | Tensor) -> Rows:
    """Of similarities, −∞ where there is none; `without`: the positive is not in the denominator."""
    if s.shape[1] == 0:
        most = torch.zeros_like(positive)
    else:
        most = s.amax(1)
        most = torch.where(most == -torch.inf, 0, most)
    distance = s - most[:, None]
    w = torch.where(s == -torch.inf, 0, torch.exp(distance / tau))
    total = w.sum(1)
    x = (most - positive) / tau + total.log()
    without = torch.as_tensor(without, device=s.device)
    loss = torch.where(without, x, softplus(x))
    rest = torch.where(without, 1.0, torch.sigmoid(x)) * factor
    share = torch.where(total == 0, 0, 1 / total)
    mean = torch.where(w == 0, 0, w * distance).sum(1) * share + (most - positive)
    push = rest / tau
    return Rows(factor * loss, w * (push * share)[:, None], push, -(push * mean) / tau)


def info_nce(
    queries: Tensor, positives: Tensor, negatives: Tensor, tau: Tensor,
    vectors: str, denominator: str, reduction: str, fixed: bool,
) -> tuple[Tensor, ...]:  # fmt: skip
    q, k = Vectors(queries, vectors), Vectors(positives, vectors)
    n = Vectors(negatives, "unit" if fixed and vectors == "normalise" else vectors)
    tau, factor = allowed(tau, queries), whole(reduction, len(queries))
    without = denominator == "negatives_only"
    losses, taus, dq, dk = [], [], torch.empty_like(q.data), torch.empty_like(k.data)
    dn = torch.zeros_like(n.data)
    for part in chunks(len(queries), len(negatives)):
        a, b = q.data[part], k.data[part]
        rows = rows_of(a @ n.data.T, (a * b).sum(1), tau, without, factor)
        dq[part] = rows.pull @ n.data - rows.push[:, None] * b
        dk[part] = -rows.push[:, None] * a
        if not fixed:
            dn += rows.pull.T @ a
        losses.append(rows.loss)
        taus.append(rows.tau)
    values, of_tau = together(losses, q), together(taus, q)
    of_negatives = queries.new_empty((0, queries.shape[1])) if fixed else n.gradient(dn)
    return reduced(values, reduction, factor), of_tau, q.gradient(dq), k.gradient(dk), of_negatives


def together(parts: list[Tensor], like: Vectors) -> Tensor:
    return torch.cat(parts) if parts else like.data.new_empty(0)


def one_way(q: Tensor, k: Tensor, tau: Tensor, without: bool, factor: float | Tensor) -> tuple[Tensor, ...]:
    losses, taus, dq, dk = [q.new_empty(0)], [q.new_empty(0)], torch.empty_like(q), torch.zeros_like(k)
    for part in chunks(len(q), len(k)):
        a, b = q[part], k[part]
        s = a @ k.T
        s.diagonal(part.start).fill_(-torch.inf)
        rows = rows_of(s, (a * b).sum(1), tau, without, factor)
        dq[part] = rows.pull @ k - rows.push[:, None] * b
        dk += rows.pull.T @ a
        dk[part] -= rows.push[:, None] * a
        losses.append(rows.loss)
        taus.append(rows.tau)
    return torch.cat(losses), torch.cat(taus), dq, dk


def info_nce_in_batch(
    queries: Tensor, keys: Tensor, tau: Tensor, vectors: str, denominator: str, reduction: str
) -> tuple[Tensor, ...]:
    q, k = Vectors(queries, vectors), Vectors(keys, vectors)
    tau, factor = allowed(tau, queries), whole(reduction, len(queries))
    losses, taus, dq, dk = one_way(q.data, k.data, tau, denominator == "negatives_only", factor)
    return reduced(losses, reduction, factor), taus, q.gradient(dq), k.gradient(dk)


def clip(
    queries: Tensor, keys: Tensor, tau: Tensor, vectors: str, denominator: str, reduction: str
) -> tuple[Tensor, ...]:
    q, k = Vectors(queries, vectors), Vectors(keys, vectors)
    tau, half = allowed(tau, queries), whole(reduction, len(queries)) / 2
    without = denominator == "negatives_only"
    losses, taus, dq, dk = one_way(q.data, k.data, tau, without, half)
    more = one_way(k.data, q.data, tau, without, half)
    losses, taus = losses + more[0], taus + more[1]
    return reduced(losses, reduction, half), taus, q.gradient(dq + more[3]), k.gradient(dk + more[2])


def among(
    z: Tensor, labels: Tensor, counts: Tensor, tau: Tensor, without: bool, factor: float | Tensor
) -> tuple[Tensor, ...]:
    """Vectors among themselves. Where a class is a pair, the positive is kept out of the sum; where it has more, all are in it.

    `labels` are equal for positives of each other, −1 for vectors without one; `counts` are how many positives there are.
    """
    losses, taus, dz = [z.new_empty(0)], [z.new_empty(0)], torch.zeros_like(z)
    for part in chunks(len(z), len(z)):
        s = z[part] @ z.T
        same = (labels[part, None] == labels[None, :]) & (labels[part, None] >= 0)
        itself = torch.zeros_like(same)
        itself.diagonal(part.start).fill_(True)
        same &= ~itself
        count = counts[part].to(z.dtype)
        lone, pair = count == 0, count == 1
        positive = torch.where(same, s, 0).sum(1) / torch.where(lone, 1, count)
        s = torch.where(itself | (same & pair[:, None]), -torch.inf, s)
        rows = rows_of(s, positive, tau, ~pair | without, (~lone).to(z.dtype) * factor)
        g = rows.pull - same * (rows.push / torch.where(lone, 1, count))[:, None]
        # 0 times a loss that may be infinite
        losses.append(torch.where(lone, 0, rows.loss))
        taus.append(torch.where(lone, 0, rows.tau))
        g = torch.where(lone[:, None], 0, g)
        dz[part] += g @ z
        dz += g.T @ z[part]
    return torch.cat(losses), torch.cat(taus), dz


def nt_xent(
    first: Tensor, second: Tensor, tau: Tensor, vectors: str, denominator: str, reduction: str
) -> tuple[Tensor, ...]:
    n = len(first)
    z = Vectors(torch.cat([first, second]), vectors)
    labels = torch.arange(n, device=first.device).repeat(2)
    factor = whole(reduction, 2 * n)
    without = denominator == "negatives_only"
    losses, taus, dz = among(z.data, labels, torch.ones_like(labels), allowed(tau, first), without, factor)
    d = z.gradient(dz)
    return reduced(losses, reduction, factor), taus, d[:n].clone(), d[n:].clone()


def sup_con(
    vectors: Tensor, labels: Tensor, tau: Tensor, taken: str, reduction: str, ignored: int
) -> tuple[Tensor, ...]:
    z = Vectors(vectors, taken)
    counted = labels != ignored
    _, names, sizes = torch.unique(labels, return_inverse=True, return_counts=True)
    names = torch.where(counted, names, -1)
    counts = torch.where(counted, sizes[names.clamp(min=0)] - 1, 0)
    anchors = (counts > 0).sum().to(z.data.dtype)
    factor = whole(reduction, anchors)
    losses, taus, dz = among(z.data, names, counts, allowed(tau, vectors), False, factor)
    return reduced(losses, reduction, factor), taus, z.gradient(dz)


def sig_lip(
    queries: Tensor, keys: Tensor, tau: Tensor, bias: Tensor, vectors: str, reduction: str
) -> tuple[Tensor, ...]:
    q, k = Vectors(queries, vectors), Vectors(keys, vectors)
    tau, factor = allowed(tau, queries), whole(reduction, len(queries))
    bias = bias.to(q.data.dtype)
    losses, taus, biases = ([q.data.new_empty(0)] for _ in range(3))
    dq, dk = torch.empty_like(q.data), torch.zeros_like(k.data)
    for part in chunks(len(queries), len(keys)):
        s = q.data[part] @ k.data.T
        sign = torch.ones_like(s)
        sign.diagonal(part.start).fill_(-1)
        x = sign * (s / tau + bias)
        g = factor * sign * torch.sigmoid(x)
        losses.append(factor * softplus(x).sum(1))
        taus.append(-(g * s).sum(1) / tau / tau)
        biases.append(g.sum(1))
        dq[part] = g @ k.data / tau
        dk += g.T @ q.data[part] / tau
    values = reduced(torch.cat(losses), reduction, factor)
    return values, torch.cat(taus), torch.cat(biases), q.gradient(dq), k.gradient(dk)


def with_margin(cosine: Tensor, margin: str, m: float) -> tuple[Tensor, Tensor]:
    """The label's cosine after the margin, and its slope in the cosine."""
    if margin == "none":
        return cosine, torch.ones_like(cosine)
    if margin == "cosine":
        return cosine - m, torch.ones_like(cosine)
    angle = torch.tensor(m, dtype=torch.float64)
    sin, cos = float(angle.sin()), float(angle.cos())
    sine = ((1 - cosine) * (1 + cosine)).clamp(min=0).sqrt()
    beyond = cosine <= -cos
    target = torch.where(beyond, cosine - m * sin, cosine * cos - sine * sin)
    return target, torch.where(beyond, 1.0, cos + sin * cosine / sine.clamp(min=2.0**-26))


def normalised_softmax(
    cosines: Tensor, labels: Tensor, tau: Tensor, margin: str, amount: float, reduction: str, ignored: int
) -> tuple[Tensor, ...]:
    classes = cosines.shape[1]
    tau, counted = allowed(tau, cosines), labels != ignored
    factor = whole(reduction, counted.sum().to(working(cosines)))
    wrong = counted & ((labels < 0) | (labels >= classes))
    gradient = torch.empty_like(cosines, memory_format=torch.contiguous_format)
    losses, taus = [], []
    for part in chunks(len(cosines), classes):
        s = cosines[part].to(working(cosines))
        s = torch.where(s.abs() <= 1 + 1 / 512, s, torch.nan)
        label = labels[part].clamp(0, classes - 1)[:, None]
        cosine = torch.where(wrong[part], torch.nan, s.gather(1, label)[:, 0])
        target, slope = with_margin(cosine, margin, amount)
        rows = rows_of(s.scatter(1, label, -torch.inf), target, tau, False, factor)
        g = rows.pull.scatter(1, label, -(rows.push * slope)[:, None])
        there = counted[part]
        gradient[part] = torch.where(there[:, None], g, 0).to(cosines.dtype)
        losses.append(torch.where(there, rows.loss, 0))
        taus.append(torch.where(there, rows.tau, 0))
    none = cosines.new_empty(0, dtype=working(cosines))
    values = reduced(torch.cat([none, *losses]), reduction, factor)
    return values, torch.cat([none, *taus]), gradient


def adacos_dynamic_scale(cosines: Tensor, labels: Tensor, scale: Tensor, ignored: int) -> Tensor:
    counted = labels != ignored
    label = labels.clamp(0, cosines.shape[1] - 1)[:, None]
    s = cosines.to(working(cosines)).masked_fill(~counted[:, None], -torch.inf)
    count = counted.sum()
    others = torch.where(s == -torch.inf, s, s * scale).scatter(1, label, -torch.inf)
    log_b = others.flatten().logsumexp(0) - count.to(s.dtype).log()
    # The lower median of the angles is the upper one of the cosines; rows that do not count come first.
    targets = s.gather(1, label)[:, 0].sort().values
    median = targets.gather(0, (len(targets) - count + count // 2).clamp(max=len(targets) - 1)[None])[0]
    return (log_b / median.clamp(0.5**0.5, 1)).clamp(min=0)
