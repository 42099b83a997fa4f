"""Losses of numpy arrays: values worked out elsewhere, gradients against differences, and what is refused."""

import threading

import numpy as np
import pytest

import softargmax as sa

ONE_STUDENT = [[1.0, 5.0, 7.0, 10.0]]
ONE_TEACHER = [[2.0, 8.0, 6.0, 3.0]]


def vectors(rows, width, seed, dtype=np.float64):
    return np.random.default_rng(seed).normal(size=(rows, width)).astype(dtype)


# Values that mpmath gave at 40 digits.


def test_mocos_first_number_is_not_zero():
    similarities = np.full((1, 1024), -1.0)
    similarities[0, 0] = 1.0
    for dtype, within in ((np.float64, 1e-14), (np.float32, 1e-5)):
        loss = sa.cross_entropy(similarities.astype(dtype), [0], "0.07")
        assert loss.value == pytest.approx(3.9944948443973564e-10, rel=within, abs=0)
        assert loss.logits.dtype == dtype and loss.tau.dtype == np.float64
    query, negatives = np.array([[1.0, 0.0]]), np.tile([-1.0, 0.0], (1023, 1))
    for loss in (sa.info_nce, sa.info_nce_fixed):
        got = loss(query, query, negatives, "0.07").value
        assert got == pytest.approx(3.9944948443973564e-10, rel=1e-14, abs=0)
    got = sa.info_nce(query, query, negatives, "0.01").value
    assert got == pytest.approx(1.4157261468516825e-84, rel=1e-13, abs=0)


@pytest.mark.parametrize(
    ("tau", "value"),
    [(1, 4.38391554986318574), (2, 6.28839047836295619), (4, 7.12726900637543853), (20, 7.13481402614662139), ("inf", 7.0)],
)
def test_distillation_at(tau, value):
    assert sa.distillation(ONE_STUDENT, ONE_TEACHER, tau).value == pytest.approx(value, rel=1e-14)


def test_distillation_with_labels_and_z_scores():
    mixed = sa.distillation(ONE_STUDENT, ONE_TEACHER, 4, soft_weight=0.9, hard_labels=[3], hard_weight=0.1)
    assert mixed.value == pytest.approx(0.9 * 7.12726900637543853 + 0.1 * 0.0551020358269917687, rel=1e-14)
    for ddof, value in (("population", 0.896742521965662651), ("sample", 0.673127077687307195)):
        assert sa.distillation(ONE_STUDENT, ONE_TEACHER, 2, standardise=ddof).value == pytest.approx(value, rel=1e-13)


def test_decoupled_distillation():
    both = sa.decoupled_distillation(ONE_STUDENT, ONE_TEACHER, [3], 4)
    assert both.target == pytest.approx([5.63978867996506818], rel=1e-13)
    assert both.rest == pytest.approx([1.72040341473670506], rel=1e-13)
    assert both.loss.value == pytest.approx(19.4030159978587087, rel=1e-13)


def test_normalised_softmax_and_its_floor():
    assert sa.normface_lower_bound(10575, 1) == 8.266315928710399
    assert sa.normface_scale_for_probability(10575, 0.999) == pytest.approx(16.17137886242121, rel=1e-14)
    assert sa.adacos_fixed_scale(65537) == pytest.approx(15.684130295496755, rel=1e-15)
    scale = sa.normface_scale_for_loss(65537, 0.1)
    assert sa.normface_lower_bound(65537, scale) == pytest.approx(0.1, rel=1e-13)
    # Corners of a simplex reach the floor.
    corners = np.eye(4) - 0.25
    cosines = corners @ corners.T / 0.75
    loss = sa.normalised_softmax(cosines, np.arange(4), sa.Temperature.from_scale(2))
    assert loss.value == pytest.approx(sa.normface_lower_bound(4, 2), rel=1e-14)
    # Without the clip of a cosine at the label: 60 degrees count as 45.
    assert sa.adacos_dynamic_scale([[0.5, 0.0, 0.0]], [0], 10.0) == pytest.approx(np.log(2) * np.sqrt(2), rel=1e-14)


def test_margins():
    cosines, tau = [[0.9, 0.1, -0.2]], sa.Temperature.from_scale(8)
    others = np.exp(8 * 0.1) + np.exp(-8 * 0.2)
    for how, target in (
        ({}, 0.9),
        ({"cosine_margin": 0.35}, 0.55),
        ({"angle_margin": 0.5}, np.cos(np.arccos(0.9) + 0.5)),
    ):
        want = np.log1p(others / np.exp(8 * target))
        assert sa.normalised_softmax(cosines, [0], tau, **how).value == pytest.approx(want, rel=1e-13)
    with pytest.raises(sa.SoftargmaxError, match="exclude each other"):
        sa.normalised_softmax(cosines, [0], tau, cosine_margin=0.1, angle_margin=0.1)


def test_contrastive_losses_agree_where_they_are_one():
    q, k = vectors(6, 4, 0), vectors(6, 4, 1)
    one, other = sa.clip(q, k, 0.3), sa.clip(k, q, 0.3)
    assert one.value == pytest.approx(other.value, rel=1e-14)
    np.testing.assert_allclose(one.queries, other.keys, rtol=1e-12, atol=1e-14)
    halves = sa.info_nce_in_batch(q, k, 0.3).value + sa.info_nce_in_batch(k, q, 0.3).value
    assert one.value == pytest.approx(halves / 2, rel=1e-14)
    pairs = sa.sup_con(np.concatenate([q, k]), np.tile(np.arange(6), 2), 0.3)
    views = sa.nt_xent(q, k, 0.3)
    assert pairs.value == pytest.approx(views.value, rel=1e-14)
    np.testing.assert_allclose(pairs.vectors, np.concatenate([views.queries, views.keys]), rtol=1e-12, atol=1e-14)
    # Labels are names: what they are does not matter.
    named = sa.sup_con(np.concatenate([q, k]), np.tile([-5, 2**62, 7, 0, 1, -(2**63)], 2), 0.3)
    assert named.value == pairs.value and named.anchors == 12


def test_sig_lip_begins_where_the_paper_says():
    loss = sa.sig_lip([[1.0, 0.0]], [[0.0, 1.0]], "0.1", -10.0)
    assert loss.value == pytest.approx(10.000045398899218, rel=1e-15)
    assert loss.bias_sum == pytest.approx(-1 / (1 + np.exp(-10.0)), rel=1e-14)


# Gradients.

LABELS = np.array([2, 0, -100, 1])
WEIGHTS = np.array([1.0, 0.5, 1.0, 2.0])
TRUTH = np.random.default_rng(7).dirichlet(np.ones(3), size=4)
OF_LOGITS = {
    "cross_entropy": lambda x, t: sa.cross_entropy(
        x, LABELS, t, smoothing=0.1, class_weights=[1, 2, 0.5], row_weights=WEIGHTS, reduction="weighted_mean", ignored=-100
    ),
    "soft targets": lambda x, t: sa.cross_entropy(x, TRUTH, t),
    "distillation": lambda x, t: sa.distillation(x, vectors(4, 3, 9), t, hard_labels=LABELS, hard_weight=0.3, ignored=-100),
    "reverse": lambda x, t: sa.distillation(x, vectors(4, 3, 9), t, divergence="student_to_teacher", factor="one"),
    "jensen_shannon": lambda x, t: sa.distillation(x, vectors(4, 3, 9), t, divergence="jensen_shannon", standardise="sample"),
    "decoupled": lambda x, t: sa.decoupled_distillation(x, vectors(4, 3, 9), LABELS, t, ignored=-100).loss,
    "normface": lambda x, t: sa.normalised_softmax(np.tanh(x), LABELS, t, ignored=-100),
}


@pytest.mark.parametrize("name", OF_LOGITS)
def test_gradients_of_logits(name):
    loss, x, tau, h = OF_LOGITS[name], vectors(4, 3, 3), 0.7, 1e-5
    got = loss(x, tau)
    slope = (loss(x, tau + h).value - loss(x, tau - h).value) / (2 * h)
    assert got.tau_sum == pytest.approx(slope, rel=1e-7, abs=1e-8)
    assert got.tau.sum() == pytest.approx(got.tau_sum, rel=1e-13)
    inner = 1 - np.tanh(x) ** 2 if name == "normface" else np.ones_like(x)
    for at in np.ndindex(x.shape):
        there = np.zeros_like(x)
        there[at] = h
        slope = (loss(x + there, tau).value - loss(x - there, tau).value) / (2 * h)
        assert got.logits[at] * inner[at] == pytest.approx(slope, rel=1e-6, abs=1e-8)


NEGATIVES = vectors(5, 3, 11) / np.linalg.norm(vectors(5, 3, 11), axis=1, keepdims=True)
OF_PAIRS = {
    "info_nce": lambda q, k, t: sa.info_nce(q, k, NEGATIVES, t),
    "info_nce_fixed": lambda q, k, t: sa.info_nce_fixed(q, k, NEGATIVES, t, denominator="negatives_only"),
    "in batch": lambda q, k, t: sa.info_nce_in_batch(q, k, t, vectors="as_given"),
    "clip": sa.clip,
    "nt_xent": lambda q, k, t: sa.nt_xent(q, k, t, reduction="sum"),
    "sig_lip": lambda q, k, t: sa.sig_lip(q, k, t, -1.5),
}


@pytest.mark.parametrize("name", OF_PAIRS)
def test_gradients_of_vectors(name):
    loss, q, k, tau, h = OF_PAIRS[name], vectors(4, 3, 5), vectors(4, 3, 6), 0.4, 1e-5
    got = loss(q, k, tau)
    assert got.tau_sum == pytest.approx((loss(q, k, tau + h).value - loss(q, k, tau - h).value) / (2 * h), rel=1e-6)
    for at in np.ndindex(q.shape):
        there = np.zeros_like(q)
        there[at] = h
        slope = (loss(q + there, k, tau).value - loss(q - there, k, tau).value) / (2 * h)
        assert got.queries[at] == pytest.approx(slope, rel=1e-6, abs=1e-8)
        slope = (loss(q, k + there, tau).value - loss(q, k - there, tau).value) / (2 * h)
        assert got.keys[at] == pytest.approx(slope, rel=1e-6, abs=1e-8)


def test_negatives_get_a_gradient_unless_they_are_fixed():
    q, k, h = vectors(2, 3, 5), vectors(2, 3, 6), 1e-5
    got = sa.info_nce(q, k, NEGATIVES, 0.4)
    assert sa.info_nce_fixed(q, k, NEGATIVES, 0.4).negatives is None
    for at in np.ndindex(NEGATIVES.shape):
        there = np.zeros_like(NEGATIVES)
        there[at] = h
        slope = (sa.info_nce(q, k, NEGATIVES + there, 0.4).value - sa.info_nce(q, k, NEGATIVES - there, 0.4).value) / (2 * h)
        assert got.negatives[at] == pytest.approx(slope, rel=1e-6, abs=1e-9)


def test_per_row_adds_up():
    x = vectors(4, 3, 1)
    rows = sa.cross_entropy(x, [0, 1, 2, 0], [0.5, 1.0, 2.0, 4.0], reduction="per_row")
    assert rows.values.shape == (4,)
    for i, tau in enumerate([0.5, 1.0, 2.0, 4.0]):
        one = sa.cross_entropy(x[i : i + 1], [[0, 1, 2, 0][i]], tau)
        assert rows.values[i] == one.value and rows.tau[i] == one.tau_sum
        np.testing.assert_array_equal(rows.logits[i : i + 1], one.logits)


# The queue and the momentum.


def test_queue_is_first_in_first_out():
    queue = sa.Queue(3, 2, vectors="as_given", dtype=np.float64)
    assert len(queue) == 0 and queue.capacity == 3
    for i in range(5):
        queue.push([[i, -i]])
    np.testing.assert_array_equal(queue.oldest_first(), [[2, -2], [3, -3], [4, -4]])
    with pytest.raises(sa.SoftargmaxError, match="row 1"):
        queue.push([[9, 9], [np.nan, 0]])
    np.testing.assert_array_equal(queue.oldest_first(), [[2, -2], [3, -3], [4, -4]])


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_moco_is_info_nce_with_the_queue(dtype):
    if dtype == "bfloat16":
        dtype = pytest.importorskip("ml_dtypes").bfloat16
    q, k = vectors(4, 8, 1, dtype), vectors(4, 8, 2, dtype)
    queue = sa.Queue(16, 8, dtype=dtype)
    for i in range(3):
        queue.push(vectors(7, 8, 10 + i, dtype))
    got = sa.moco(q, k, queue, 0.2)
    want = sa.info_nce_fixed(q, k, queue.oldest_first(), 0.2)
    assert got.value == pytest.approx(want.value, rel=1e-6)
    assert got.queries.dtype == np.dtype(dtype) and got.negatives is None


def test_queue_from_two_threads():
    queue, wrong = sa.Queue(4096, 64), []

    def work(seed):
        q = vectors(64, 64, seed, np.float32)
        for _ in range(20):
            try:
                queue.push(q)
                if not np.isfinite(sa.moco(q, q, queue, 0.1).value):
                    wrong.append("a loss that is not finite")
            except sa.SoftargmaxError as error:
                if "in use by another call" not in str(error):
                    wrong.append(str(error))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong and not any(thread.is_alive() for thread in threads)


def test_momentum_update():
    key = np.array([[1.0, 2.0]], dtype=np.float32)
    sa.momentum_update(key, [[3.0, 2.0]], 0.75)
    np.testing.assert_array_equal(key, [[1.5, 2.0]])
    for wrong in (np.array([1, 2]), [1.0, 2.0], np.float64(1.0)):
        with pytest.raises(TypeError):
            sa.momentum_update(wrong, [1.0, 2.0], 0.5)
    fixed = np.zeros(2)
    fixed.flags.writeable = False
    with pytest.raises(sa.SoftargmaxError, match="read-only"):
        sa.momentum_update(fixed, [1.0, 2.0], 0.5)
    with pytest.raises(sa.SoftargmaxError, match="momentum"):
        sa.momentum_update(key, key.copy(), 1.5)


# Arrays of any kind.


def test_layout_does_not_matter():
    x, t = vectors(5, 4, 1), vectors(5, 4, 2)
    want = sa.distillation(x, t, 2.0)
    for a, b in ((np.asfortranarray(x), t), (x, np.asfortranarray(t)), (x[::-1][::-1], np.repeat(t, 2, axis=1)[:, ::2])):
        got = sa.distillation(a, b, 2.0)
        assert got.value == want.value
        np.testing.assert_array_equal(got.logits, want.logits)
    got = sa.clip(np.asfortranarray(x), t, 0.1)
    np.testing.assert_array_equal(got.queries, sa.clip(x, t, 0.1).queries)


def test_no_rows():
    none = np.zeros((0, 3))
    assert sa.cross_entropy(none, np.zeros(0, int), reduction="sum").value == 0
    assert sa.clip(none, none, 1.0, reduction="sum").queries.shape == (0, 3)
    with pytest.raises(sa.SoftargmaxError):
        sa.cross_entropy(none, np.zeros(0, int))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: sa.cross_entropy([1.0, 2.0], [0]), ValueError, "two axes"),
        (lambda: sa.cross_entropy([[1.0, 2.0]], [2]), ValueError, "label"),
        (lambda: sa.cross_entropy([[1.0, 2.0]], [0, 1]), ValueError, "shape"),
        (lambda: sa.cross_entropy([[1.0, 2.0]], [0], 0), ValueError, "temperature 0"),
        (lambda: sa.cross_entropy([[1.0, np.nan]], [0]), ValueError, "NaN"),
        (lambda: sa.cross_entropy([[1.0, 2.0]], [0], reduction="none"), ValueError, 'one of "mean", "sum"'),
        (lambda: sa.cross_entropy([[1.0, 2.0]], [[0.5, -0.5]]), ValueError, "negative"),
        (lambda: sa.cross_entropy([[1.0, 2.0]], [0], class_weights=[1.0]), ValueError, "class weights"),
        (lambda: sa.cross_entropy([[1j, 2.0]], [0]), TypeError, "complex"),
        (lambda: sa.cross_entropy(np.ma.masked_equal([[1.0, 2.0]], 2), [0]), TypeError, "masked"),
        (lambda: sa.distillation([[1.0, 2.0]], [[1.0]], 1), ValueError, "classes of the teacher"),
        (lambda: sa.distillation([[1.0, 2.0]], [[1.0, 2.0]], 1, hard_labels=[0]), ValueError, "together"),
        (lambda: sa.info_nce([[0.0, 0.0]], [[1.0, 0.0]], [[1.0, 0.0]], 1), ValueError, "no direction"),
        (lambda: sa.info_nce_fixed([[1.0, 0.0]], [[1.0, 0.0]], [[3.0, 0.0]], 1), ValueError, "length is not 1"),
        (lambda: sa.clip([[1.0, 0.0]], [[1.0, 0.0]], 0), ValueError, "temperature"),
        (lambda: sa.sup_con([[1.0, 0.0]], [0.5], 1), TypeError, "integers"),
        (lambda: sa.sig_lip([[1.0]], [[1.0]], 1, np.inf), ValueError, "bias"),
        (lambda: sa.normalised_softmax([[1.5, 0.0]], [0], 1), ValueError, "no cosine"),
        (lambda: sa.Queue(2**62, 2**62), ValueError, "memory"),
        (lambda: sa.Queue(2, 2, dtype=int), TypeError, "dtype"),
        (lambda: sa.linear_temperature("inf", 1, 0, 1), ValueError, "finite"),
    ],
)
def test_refusals(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_schedules():
    assert sa.linear_temperature(1, 0.5, 15, 30).tau == 0.75
    assert sa.cosine_temperature(1, 0.5, 50, 100).tau == 0.75
    assert sa.exponential_temperature(4, 0.25, 1, 2).tau == 1.0
    assert sa.cyclic_temperature(0.1, 1, 500, 400).tau == 0.55
    assert sa.gumbel_softmax_temperature(1e-4, 0.5, 1000).tau == 0.9048374180359595
    assert sa.linear_temperature(1, "0.07", 99, 30) == sa.Temperature("0.07")


def test_the_lock_is_given_away():
    """While a loss is computed, another thread of Python counts."""
    q, n = vectors(2048, 128, 1, np.float32), 0
    done = threading.Event()

    def work():
        sa.clip(q, q, 0.1)
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    while not done.is_set():
        n += 1
    thread.join()
    assert n > 1000
