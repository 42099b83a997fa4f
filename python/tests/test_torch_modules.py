"""The modules: what they keep, what they learn, and that they are the functions."""

import copy
import io
import math

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: make test-torch installs it")

import softargmax as sa  # noqa: E402
import softargmax.torch as st  # noqa: E402
from softargmax.torch import _operators  # noqa: E402
from softargmax.torch import functional as F  # noqa: E402
from torch import nn  # noqa: E402


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def unit(x):
    return nn.functional.normalize(x, dim=1)


def test_they_are_the_functions():
    x, k, v = torch.randn(6, 5), torch.randn(6, 5), torch.randn(6, 5)
    y = torch.tensor([0, 1, 2, 3, 4, 0])
    for module, arguments, want in (
        (st.CrossEntropy(0.5, smoothing=0.1), (x, y), F.cross_entropy(x, y, 0.5, smoothing=0.1)),
        (st.CrossEntropy(class_weights=torch.arange(5.0)), (x, y), F.cross_entropy(x, y, class_weights=torch.arange(5.0))),
        (st.Distillation(4), (x, v), F.distillation(x, v, 4)),
        (
            st.Distillation("4", soft_weight=0.9, hard_weight=0.1),
            (x, v, y),
            F.distillation(x, v, 4, soft_weight=0.9, hard_labels=y, hard_weight=0.1),
        ),
        (st.DecoupledDistillation(4), (x, v, y), F.decoupled_distillation(x, v, y, 4)),
        (st.InfoNCE(0.07), (x, k), F.info_nce_in_batch(x, k, 0.07)),
        (st.InfoNCE(0.07), (x, k, v), F.info_nce(x, k, v, 0.07)),
        (st.NTXent(0.5), (x, k), F.nt_xent(x, k, 0.5)),
        (st.ClipLoss(), (x, k), F.clip(x, k, torch.exp(-torch.tensor(math.log(1 / 0.07))))),
        (st.SupCon(0.1), (x, y), F.sup_con(x, y, 0.1)),
        (st.SigLIP(0.1), (x, k), F.sig_lip(x, k, 0.1, -10.0)),
    ):
        assert module(*arguments) == want, module
        assert "tau" in repr(module) or "LogScale" in repr(module)
    # A teacher that asks for a gradient gets none.
    teacher = v.clone().requires_grad_()
    student = x.clone().requires_grad_()
    st.Distillation(4)(student, teacher).backward()
    assert teacher.grad is None and student.grad is not None


def test_a_learnt_temperature_goes_where_the_loss_falls():
    x, y = torch.randn(256, 5), torch.randint(5, (256,))
    x[torch.arange(256), y] += 1
    loss = st.CrossEntropy(nn.Parameter(torch.tensor(0.2)))
    optimiser = torch.optim.LBFGS(loss.parameters(), lr=0.5, max_iter=60, line_search_fn="strong_wolfe")

    def step():
        optimiser.zero_grad()
        value = loss(x, y)
        value.backward()
        return value

    optimiser.step(step)
    tau = loss.tau.item()
    best = F.cross_entropy(x, y, tau)
    assert tau > 0.5 and best <= F.cross_entropy(x, y, tau * 1.05) and best <= F.cross_entropy(x, y, tau / 1.05)
    assert "tau" in dict(loss.named_parameters()) and "tau" in st.CrossEntropy(torch.tensor(2.0)).state_dict()
    with pytest.raises(sa.SoftargmaxError, match="temperature"):
        loss.tau.data.fill_(-1.0)
        loss(x, y)


def test_log_scale_stays_within_its_bounds():
    loss = st.ClipLoss()
    x = torch.randn(8, 4)
    optimiser = torch.optim.SGD(loss.parameters(), lr=1e3)
    loss(x, x + 0.01 * torch.randn(8, 4)).backward()
    assert loss.tau.log_scale.grad < 0
    optimiser.step()
    assert loss.tau.log_scale > math.log(100)
    value = loss(x, x)
    value.backward()
    assert loss.tau.log_scale.item() == pytest.approx(math.log(100))
    assert value == F.clip(x, x, torch.exp(-loss.tau.log_scale.detach()))
    with pytest.raises(sa.SoftargmaxError, match="log_scale"):
        st.LogScale(5.0)


def test_mocos_queue_is_that_of_the_library():
    loss, queue = st.MoCoLoss(4, 10, 0.2).double(), sa.Queue(10, 4, dtype=float)
    for step in range(8):
        q, k = torch.randn(3, 4, dtype=torch.float64, requires_grad=True), torch.randn(3, 4, dtype=torch.float64)
        want = sa.moco(q.detach().numpy(), k.numpy(), queue, 0.2)
        value = loss(q, k)
        value.backward()
        assert value.item() == pytest.approx(want.value, rel=1e-12), step
        torch.testing.assert_close(q.grad, torch.from_numpy(want.queries), rtol=1e-9, atol=1e-12)
        queue.push(k.numpy())
        oldest_first = torch.cat([loss.keys()[loss.at :], loss.keys()[: loss.at]]) if loss.filled == 10 else loss.keys()
        torch.testing.assert_close(oldest_first, torch.from_numpy(queue.oldest_first()), rtol=1e-14, atol=1e-15)
    loss.push(torch.randn(25, 4, dtype=torch.float64))
    assert loss.filled == 10
    # Evaluating changes nothing.
    before = loss.queue.clone()
    loss.eval()
    loss(q, k)
    assert torch.equal(loss.queue, before)


def test_mocos_queue_is_saved():
    loss = st.MoCoLoss(4, 10, 0.2)
    loss(torch.randn(7, 4), torch.randn(7, 4))
    file = io.BytesIO()
    torch.save(loss.state_dict(), file)
    file.seek(0)
    again = st.MoCoLoss(4, 10, 0.2)
    again.load_state_dict(torch.load(file))
    q, k = torch.randn(7, 4), torch.randn(7, 4)
    assert (again.filled, again.at) == (7, 7) and again(q, k) == loss(q, k)
    assert torch.equal(again.queue, loss.queue) and "queue" in loss.state_dict()
    assert copy.deepcopy(loss)(q, k) == loss(q, k)


def test_an_update_between_forward_and_backward():
    """The queue changes while an earlier loss waits: gradients were worked out already."""
    loss = st.MoCoLoss(4, 6, 0.2)
    loss.push(torch.randn(6, 4))
    q, k = torch.randn(3, 4, requires_grad=True), torch.randn(3, 4)
    want = torch.autograd.grad(F.moco(q, k, loss.keys().clone(), 0.2), q)[0]
    first = loss(q, k)
    loss(q, torch.randn(3, 4))
    first.backward()
    assert torch.equal(q.grad, want)


def test_momentum_update():
    query = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    key = copy.deepcopy(query)
    for parameter in query.parameters():
        parameter.data.add_(1.0)
    query(torch.randn(9, 3))
    before = copy.deepcopy(key.state_dict())
    st.MoCoLoss.momentum_update(key, query, 0.75)
    for name, parameter in key.named_parameters():
        torch.testing.assert_close(parameter.data, before[name] + 0.25)
    assert torch.equal(key[1].running_mean, query[1].running_mean)
    with pytest.raises(sa.SoftargmaxError, match="momentum"):
        st.MoCoLoss.momentum_update(key, query, 1.1)
    with pytest.raises(sa.SoftargmaxError, match="different parameters"):
        st.MoCoLoss.momentum_update(nn.Linear(3, 3), query)


@pytest.mark.parametrize("kind", [st.NormFace, st.CosFace, st.ArcFace, st.AdaCos])
def test_heads(kind):
    width, classes = 4, 5
    head = kind(width, classes, 0.1) if kind is st.NormFace else kind(width, classes)
    head = head.double()
    x, y = torch.randn(7, width, dtype=torch.float64), torch.randint(classes, (7,))
    how = {st.CosFace: {"cosine_margin": 0.35}, st.ArcFace: {"angle_margin": 0.5}}.get(kind, {})
    cosines = unit(x) @ unit(head.weight).T
    value = head(x, y)
    torch.testing.assert_close(value, F.normalised_softmax(cosines, y, head.temperature(), **how))
    value.backward()
    assert head.weight.grad.abs().sum() > 0
    if kind is not st.AdaCos:
        return
    want = sa.adacos_dynamic_scale(cosines.detach().numpy(), y.numpy(), sa.adacos_fixed_scale(classes))
    assert head.scale.item() == pytest.approx(want, rel=1e-7)
    scale = head.scale.clone()
    head.eval()(x, y)
    assert torch.equal(head.scale, scale) and "scale" in head.state_dict()
    with pytest.raises(sa.SoftargmaxError, match="takes 3"):
        st.AdaCos(width, 2)


def test_adacos_elsewhere():
    cosines = torch.rand(40, 6, dtype=torch.float64) * 2 - 1
    for n, labels in ((40, torch.randint(6, (40,))), (7, torch.full((40,), -100))):
        labels[:n] = torch.randint(6, (n,))
        want = F.adacos_dynamic_scale(cosines, labels, 5.0)
        with _operators.formulas_on_the_cpu():
            torch.testing.assert_close(F.adacos_dynamic_scale(cosines, labels, 5.0), want, rtol=1e-13, atol=0)


@pytest.mark.filterwarnings("ignore")
def test_modules_compile():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.loss = nn.Linear(4, 4), st.ClipLoss()

        def forward(self, x, k):
            return self.loss(self.body(x), k)

    x, k, model = torch.randn(6, 4), torch.randn(6, 4), Both()
    want = model(x, k)
    torch.compiler.reset()
    torch.testing.assert_close(torch.compile(model, backend="aot_eager", fullgraph=True)(x, k), want)
    moco = st.MoCoLoss(4, 6, 0.2)
    compiled, plain = torch.compile(moco, backend="aot_eager"), copy.deepcopy(moco)
    for _ in range(5):
        q, k = torch.randn(2, 4, requires_grad=True), torch.randn(2, 4)
        got, want = compiled(q, k), plain(q, k)
        torch.testing.assert_close(got, want)
        got.backward()
        assert q.grad is not None
