"""softargmax.torch: gradients by gradcheck, both ways of computing against each other, and torch.compile."""

import contextlib
import math
import shutil

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: make test-torch installs it")

import softargmax as sa  # noqa: E402
from softargmax.torch import _contrastive, _operators  # noqa: E402
from softargmax.torch import functional as F  # noqa: E402

ROWS, CLASSES = 6, 5
LABELS = torch.tensor([0, 4, -100, 2, 2, 1])


def noise(rows, width, seed, dtype=torch.float64):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(rows, width))).to(dtype)


def weights(dtype):
    return torch.tensor([1.0, 0.5, 2.0, 0.0, 1.0, 3.0], dtype=dtype)


def of(x, how, **more):
    """Arguments in the dtype of the logits."""
    return how | {name: value.to(x.dtype) for name, value in more.items()}


# name: (loss of tensors and τ, which tensors)
LOSSES = {}


def loss(name, *tensors):
    def add(function):
        LOSSES[name] = (function, tensors)
        return function

    return add


LOGITS = (ROWS, CLASSES, 1)
TEACHER = noise(ROWS, CLASSES, 2)
OTHER = (7, CLASSES, 3)
QUEUE = torch.nn.functional.normalize(noise(*OTHER), dim=1)
for reduction in ("mean", "sum", "weighted_mean", "per_row"):
    LOSSES[f"cross_entropy {reduction}"] = (
        lambda x, t, r=reduction: F.cross_entropy(
            x, LABELS, t, smoothing=0.1, reduction=r,
            class_weights=torch.tensor([1.0, 2.0, 0.5, 1.0, 3.0], dtype=x.dtype), row_weights=weights(x.dtype),
        ),
        (LOGITS,),
    )  # fmt: skip
LOSSES["cross_entropy of distributions"] = (
    lambda x, t: F.cross_entropy(x, torch.softmax(TEACHER, 1).to(x.dtype), t),
    (LOGITS,),
)
for divergence in ("teacher_to_student", "student_to_teacher", "jensen_shannon"):
    for factor in ("tau_squared", "one"):
        LOSSES[f"distillation {divergence} {factor}"] = (
            lambda x, t, d=divergence, f=factor: F.distillation(x, TEACHER.to(x.dtype), t, divergence=d, factor=f),
            (LOGITS,),
        )
for deviation in ("population", "sample"):
    LOSSES[f"distillation of z-scores {deviation}"] = (
        lambda x, t, d=deviation: F.distillation(
            x, TEACHER.to(x.dtype), t, standardise=d, soft_weight=0.9, hard_labels=LABELS, hard_weight=0.1
        ),
        (LOGITS,),
    )
LOSSES["decoupled_distillation"] = (
    lambda x, t: F.decoupled_distillation(x, TEACHER.to(x.dtype), LABELS, t, row_weights=weights(x.dtype)),
    (LOGITS,),
)
for margin in ({}, {"cosine_margin": 0.35}, {"angle_margin": 0.5}):
    LOSSES[f"normalised_softmax {margin}"] = (
        lambda x, t, m=margin: F.normalised_softmax(0.999 * torch.tanh(x), LABELS, t, **m),
        (LOGITS,),
    )
for how in ({}, {"denominator": "negatives_only"}, {"vectors": "as_given", "reduction": "sum"}):
    LOSSES[f"info_nce {how}"] = (
        lambda q, k, n, t, h=how: F.info_nce(q, k, n, t, **h),
        (LOGITS, (ROWS, CLASSES, 4), OTHER),
    )
    LOSSES[f"moco {how}"] = (
        lambda q, k, t, h=how: F.moco(q, k, QUEUE.to(q.dtype), t, **h),
        (LOGITS, (ROWS, CLASSES, 4)),
    )
    for name in ("info_nce_in_batch", "clip", "nt_xent"):
        LOSSES[f"{name} {how}"] = (
            lambda q, k, t, n=name, h=how: getattr(F, n)(q, k, t, **h),
            (LOGITS, (ROWS, CLASSES, 4)),
        )
LOSSES["sup_con"] = (
    lambda x, t: F.sup_con(x, torch.tensor([3, 3, 3, 9, 9, 7]), t),
    (LOGITS,),
)
LOSSES["sup_con ignored"] = (
    lambda x, t: F.sup_con(x, torch.tensor([3, 3, 3, -1, -1, 3]), t, ignored=-1, taken="as_given"),
    (LOGITS,),
)
LOSSES["sig_lip"] = (
    lambda q, k, b, t: F.sig_lip(q, k, t, b[0, 0]),
    (LOGITS, (ROWS, CLASSES, 4), (1, 1, 5)),
)
ANY = pytest.mark.parametrize("name", LOSSES)


def inputs(name, dtype, tau=0.7):
    function, tensors = LOSSES[name]
    given = [noise(*tensor, dtype).requires_grad_() for tensor in tensors]
    return function, [*given, torch.tensor(tau, dtype=dtype, requires_grad=True)]


def with_gradients(name, dtype, tau=0.7):
    function, given = inputs(name, dtype, tau)
    value = function(*given)
    weight = torch.linspace(1, 2, value.numel(), dtype=value.dtype).reshape(value.shape)
    return [value.detach(), *torch.autograd.grad((value * weight).sum(), given)]


@contextlib.contextmanager
def chunks_of(numbers):
    before, _contrastive.CHUNK = _contrastive.CHUNK, numbers
    try:
        yield
    finally:
        _contrastive.CHUNK = before


@ANY
def test_gradcheck(name):
    function, given = inputs(name, torch.float64)
    assert torch.autograd.gradcheck(function, given)


@ANY
def test_gradcheck_of_torchs_operations(name):
    function, given = inputs(name, torch.float64)
    with _operators.formulas_on_the_cpu(), chunks_of(2 * ROWS + 3):
        assert torch.autograd.gradcheck(function, given)


@ANY
@pytest.mark.parametrize("tau", [0.05, 0.7, 20.0])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_both_ways_agree(name, dtype, tau):
    want = with_gradients(name, dtype, tau)
    with _operators.formulas_on_the_cpu(), chunks_of(17):
        got = with_gradients(name, dtype, tau)
    # In units of the largest: similarities of float32 are rounded, and 1/τ makes that larger. The gradient in τ is a
    # difference of terms of the size of loss/τ, which at a large τ is nearly 0.
    within = 1e-12 if dtype == torch.float64 else 1e-6 * max(1.0, 0.5 / tau)
    for i, (a, b) in enumerate(zip(got, want, strict=True)):
        assert a.dtype == b.dtype and a.shape == b.shape
        size = float(b.abs().max())
        if i + 1 == len(want):
            size = max(size, float(want[0].sum()) / tau)
        torch.testing.assert_close(a, b, rtol=0, atol=within * max(size, 1e-30))


@ANY
def test_second_derivatives_are_refused(name):
    function, given = inputs(name, torch.float64)
    value = function(*given).sum()
    gradients = torch.autograd.grad(value, given, create_graph=True)
    with pytest.raises(RuntimeError, match="first derivatives only"):
        sum(g.square().sum() for g in gradients).backward()


@ANY
def test_half_types_are_those_of_float32_rounded(name):
    if "z-scores" in name:
        pytest.skip("a test of one conversion; z-scores are another")
    for dtype in (torch.bfloat16, torch.float16):
        function, given = inputs(name, dtype)
        value = function(*given)
        assert value.dtype == torch.float32
        gradients = torch.autograd.grad(value.sum(), given)
        assert all(g.dtype == dtype for g in gradients)
        long = [x.detach().float().requires_grad_() for x in given]
        want = function(*long)
        # tanh and softmax of the test itself are rounded to 16 bits.
        within = 0.05 if any(word in name for word in ("normalised", "distribut", "distill", "moco")) else 1e-6
        torch.testing.assert_close(value, want, rtol=within, atol=within)


@ANY
def test_compiled_whole(name):
    """fullgraph: there is nothing in it that a compiler could not see through or past."""
    function, given = inputs(name, torch.float64)
    want = [function(*given), *torch.autograd.grad(function(*given).sum(), given)]
    torch.compiler.reset()
    compiled = torch.compile(lambda *x: function(*x) * 2, backend="aot_eager", fullgraph=True)
    value = compiled(*given)
    gradients = torch.autograd.grad(value.sum(), given)
    for a, b in zip([value, *gradients], want, strict=True):
        torch.testing.assert_close(a, 2 * b, rtol=1e-13, atol=1e-13)


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs g++, which is not there")
@pytest.mark.filterwarnings("ignore")
def test_compiled_by_inductor():
    function, given = inputs("clip {}", torch.float32)
    torch.compiler.reset()
    value = torch.compile(lambda q, k, t: function(q.exp(), k, t), fullgraph=True)(*given)
    value.backward()
    torch.testing.assert_close(value, function(given[0].exp(), *given[1:]))
    assert all(x.grad is not None for x in given)


@pytest.mark.parametrize(
    "op", ["cross_entropy", "clip", "info_nce", "sup_con", "sig_lip", "distillation"]
)
def test_operators_are_what_they_say(op):
    q, k, tau = (noise(ROWS, CLASSES, i).requires_grad_() for i in (1, 2, 3))
    tau = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    labels = LABELS.clamp(min=0)
    arguments = {
        "cross_entropy": (q, tau, labels, None, None, 0.0, "mean", -100),
        "clip": (q, tau, k, "normalise", "with_positive", "mean"),
        "info_nce": (q, tau, k, noise(3, CLASSES, 7), "normalise", "with_positive", "mean", False),
        "sup_con": (q, tau, labels, "normalise", "mean", -1),
        "sig_lip": (q, tau, tau.detach(), k, "normalise", "mean"),
        "distillation": (q, tau, k.detach(), None, None, "jensen_shannon", "one", "", 1.0, 0.0, "per_row", -100),
    }
    utils = ("test_schema", "test_faketensor", "test_autograd_registration")
    torch.library.opcheck(getattr(torch.ops.softargmax, op).default, arguments[op], test_utils=utils)


# Values.


def test_the_same_bits_as_numpy():
    x, y = noise(ROWS, CLASSES, 1), LABELS.clamp(min=0)
    for dtype in (torch.float64, torch.float32):
        q, k = x.clone().to(dtype).detach().requires_grad_(), noise(ROWS, CLASSES, 2, dtype)
        F.cross_entropy(q, y, 0.3).backward()
        want = sa.cross_entropy(q.detach().numpy(), y.numpy(), 0.3)
        np.testing.assert_array_equal(q.grad.numpy(), want.logits)
        q.grad = None
        value = F.clip(q, k, 0.3)
        value.backward()
        want = sa.clip(q.detach().numpy(), k.numpy(), 0.3)
        np.testing.assert_array_equal(q.grad.numpy(), want.queries)
        assert value.item() == torch.tensor(want.value, dtype=dtype).item()


def test_against_torchs_own():
    x, y = noise(ROWS, CLASSES, 1), LABELS
    c = torch.tensor([1.0, 2.0, 0.5, 1.0, 3.0], dtype=torch.float64)
    got = F.cross_entropy(x, y, 0.5, smoothing=0.2, class_weights=c, reduction="weighted_mean")
    # torch smooths before it weighs by class in the same way.
    want = torch.nn.functional.cross_entropy(x / 0.5, y, weight=c, label_smoothing=0.2)
    torch.testing.assert_close(got, want, rtol=1e-13, atol=0)
    p, q = torch.log_softmax(TEACHER / 4, 1), torch.log_softmax(x / 4, 1)
    want = 16 * torch.nn.functional.kl_div(q, p, log_target=True, reduction="batchmean")
    torch.testing.assert_close(F.distillation(x, TEACHER, 4), want, rtol=1e-12, atol=0)
    a, b = (torch.nn.functional.normalize(noise(ROWS, CLASSES, i), dim=1) for i in (1, 2))
    s, i = a @ b.T / 0.07, torch.arange(ROWS)
    want = (torch.nn.functional.cross_entropy(s, i) + torch.nn.functional.cross_entropy(s.T, i)) / 2
    torch.testing.assert_close(F.clip(a, b, 0.07), want, rtol=1e-12, atol=0)


@pytest.mark.parametrize("rust", [True, False])
def test_a_loss_of_1e84_is_not_0(rust):
    q = torch.tensor([[1.0, 0.0]], dtype=torch.float64, requires_grad=True)
    n = torch.tensor([[-1.0, 0.0]], dtype=torch.float64).repeat(1023, 1)
    with contextlib.nullcontext() if rust else _operators.formulas_on_the_cpu():
        value = F.info_nce(q, q.detach(), n, sa.Temperature("0.01"))
        assert value.item() == pytest.approx(1.4157261468516825e-84, rel=1e-13, abs=0)
        short = F.info_nce(q.float(), q.detach().float(), n.float(), "0.07")
        assert short.item() == pytest.approx(3.9944948443973564e-10, rel=1e-5, abs=0)


@pytest.mark.parametrize("rust", [True, False])
def test_special_values(rust):
    x = torch.tensor([[1.0, -math.inf, 0.5]], dtype=torch.float64, requires_grad=True)
    v = torch.tensor([[0.5, -math.inf, 1.0]], dtype=torch.float64)
    with contextlib.nullcontext() if rust else _operators.formulas_on_the_cpu():
        value = F.cross_entropy(x, torch.tensor([0]), 1.0)
        (g,) = torch.autograd.grad(value, x)
        assert g[0, 1] == 0 and g.isfinite().all()
        assert F.cross_entropy(x, torch.tensor([1]), 1.0) == math.inf
        torch.testing.assert_close(F.cross_entropy(x, torch.tensor([0]), math.inf).item(), math.log(2))
        torch.testing.assert_close(F.distillation(x, v, math.inf).item(), 0.125)
        torch.testing.assert_close(F.distillation(x, v, 1e9).item(), 0.125)
        for which in ("student_to_teacher", "jensen_shannon"):
            assert F.distillation(x, v, 2.0, divergence=which).isfinite()
        y = torch.tensor([[1.0, 0.0, 2.0, 4.0]], dtype=torch.float64)
        big = F.decoupled_distillation(y, y.flip(1), torch.tensor([1]), 1e8)
        torch.testing.assert_close(big, F.decoupled_distillation(y, y.flip(1), torch.tensor([1]), math.inf))
        assert F.clip(y, y, 0.1) == 0
        assert F.nt_xent(y, y, 0.1) == 0
        assert F.info_nce(y, y, y[:0], 0.1) == 0
        empty = y[:0]
        assert F.clip(empty, empty, 0.1, reduction="sum") == 0
        assert F.cross_entropy(empty, torch.zeros(0, dtype=torch.long), reduction="sum") == 0


@pytest.mark.parametrize(
    "call",
    [
        lambda x, y: F.cross_entropy(x, y, 0.0),
        lambda x, y: F.cross_entropy(x, y, -1.0),
        lambda x, y: F.cross_entropy(torch.where(x > 0, torch.nan, x), y),
        lambda x, y: F.cross_entropy(x, y + 100),
        lambda x, y: F.cross_entropy(torch.full_like(x, -math.inf), y),
        lambda x, y: F.cross_entropy(x, y * 0 - 100),
        lambda x, y: F.clip(torch.zeros_like(x), x, 1.0),
        lambda x, y: F.clip(x, torch.where(x > 0, torch.inf, x), 1.0),
        lambda x, y: F.clip(2 * x, x, 1.0, vectors="unit"),
        lambda x, y: F.clip(x[:0], x[:0], 1.0),
        lambda x, y: F.normalised_softmax(x * 0 + 1.5, y, 1.0),
        lambda x, y: F.sup_con(x, torch.arange(len(x)), 1.0),
    ],
)
def test_what_the_cpu_refuses_is_nan_elsewhere(call):
    x, y = noise(ROWS, CLASSES, 1), LABELS.clamp(min=0)
    with pytest.raises(sa.SoftargmaxError):
        call(x, y)
    with _operators.formulas_on_the_cpu():
        assert call(x, y).isnan()


def test_shapes_and_types_are_refused_with_their_names():
    x, y = noise(ROWS, CLASSES, 1), LABELS
    q = x.clone().requires_grad_()
    for call, error, words in (
        (lambda: F.cross_entropy(x[0], y), sa.SoftargmaxError, "logits has shape"),
        (lambda: F.cross_entropy(x, y[:2]), sa.SoftargmaxError, "truth has shape"),
        (lambda: F.cross_entropy(x, y, torch.ones(3)), sa.SoftargmaxError, "tau has shape"),
        (lambda: F.cross_entropy(x, y, torch.tensor(1)), TypeError, "tau has dtype"),
        (lambda: F.cross_entropy(x, y, reduction="none"), sa.SoftargmaxError, '"per_row"'),
        (lambda: F.distillation(x, q, 1.0), sa.SoftargmaxError, "teacher.detach"),
        (lambda: F.distillation(x, x.float(), 1.0), TypeError, "teacher has dtype"),
        (lambda: F.moco(x, x, q, 1.0), sa.SoftargmaxError, "queue.detach"),
        (lambda: F.clip(q, x, 1.0, reduction="per_row"), sa.SoftargmaxError, "no gradient"),
        (lambda: F.clip(x, x[:, :2], 1.0), sa.SoftargmaxError, "columns"),
        (lambda: F.info_nce(x, x, x[:0], 1.0, denominator="negatives_only"), sa.SoftargmaxError, "no negatives"),
        (lambda: F.sup_con(x, x[:, 0], 1.0), TypeError, "integers"),
    ):
        with pytest.raises(error, match=words):
            call()
    assert F.clip(x, x, 1.0, reduction="per_row").shape == (ROWS,)


def test_strides_do_not_matter():
    x, k = noise(ROWS, CLASSES, 1), noise(ROWS, CLASSES, 2)
    want = F.clip(x, k, 0.2)
    q = x.T.contiguous().T.requires_grad_()
    assert not q.is_contiguous()
    got = F.clip(q, k.flip(0).flip(0), 0.2)
    got.backward()
    assert got == want and q.grad.shape == x.shape


def test_one_tau_per_row():
    x = noise(ROWS, CLASSES, 1).requires_grad_()
    tau = torch.linspace(0.5, 2, ROWS, dtype=torch.float64, requires_grad=True)
    y = LABELS
    for call in (
        lambda x, t: F.cross_entropy(x, y, t),
        lambda x, t: F.distillation(x, TEACHER, t),
        lambda x, t: F.decoupled_distillation(x, TEACHER, y, t, reduction="per_row"),
    ):
        assert torch.autograd.gradcheck(call, (x, tau))
        with _operators.formulas_on_the_cpu(), chunks_of(11):
            assert torch.autograd.gradcheck(call, (x, tau))


def test_memory_does_not_grow_with_rows_times_columns():
    """What torch's operations hold of [rows, K] is a chunk."""
    seen = []

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            if isinstance(out, torch.Tensor):
                seen.append(out.numel())
            return out

    q, k = noise(64, 4, 1), noise(64, 4, 2)
    with chunks_of(256), Watch():
        _contrastive.clip(q, k, torch.tensor(0.1), "normalise", "with_positive", "mean")
    assert 64 < max(seen) <= 256 < 64 * 64
