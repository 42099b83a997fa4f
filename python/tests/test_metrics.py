"""evaluate and softargmax.metrics: the program's figures to the bit, and plain numpy's and scikit-learn's."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import program, same_bits

import softargmax
from softargmax import SoftargmaxError, evaluate, metrics

WITH_NULL = ("classwise_ece", "ece_equal_mass", "kolmogorov_smirnov", "smooth_ece")


@pytest.fixture(scope="module")
def digits(repository: Path) -> tuple[np.ndarray, np.ndarray]:
    folder = repository / "examples/digits"
    return np.load(folder / "logits.npy"), np.load(folder / "labels.npy")


@pytest.fixture(scope="module")
def rows() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(size=(400, 5)) * 2, rng.integers(0, 5, 400)
    logits[np.arange(400), labels] += 2.0
    return logits, labels


def test_the_program_says_the_same(digits: tuple[np.ndarray, np.ndarray], repository: Path) -> None:
    logits, labels = digits
    files = [repository / "examples/digits" / name for name in ("logits.npy", "labels.npy")]
    for options, arguments in [
        (["-t", "1"], {}),
        (["-t", "2.25", "--bins", "10", "--replicates", "200", "--seed", "7"],
         {"temperature": "2.25", "bins": 10, "replicates": 200, "seed": 7}),
    ]:  # fmt: skip
        want = json.loads(program("eval", files[0], "--labels", files[1], "--json", *options))
        got = evaluate(logits, labels, **arguments)
        for name in WITH_NULL:
            error = getattr(got, name)
            mine = [error.value, error.null.mean, error.null.quantile_95, error.null.p_value]
            assert mine == [want[name][key] for key in ("value", "null_mean", "null_quantile_95", "p_value")]
        names = [name for name in dir(got) if not name.startswith("_") and name not in WITH_NULL]
        assert len(names) == 23
        assert {name: getattr(got, name) for name in names} == {name: want[name] for name in names}


def test_evaluate_is_its_parts(rows: tuple[np.ndarray, np.ndarray]) -> None:
    scores = metrics.scores(*rows, temperature=1.5)
    summary, whole = metrics.summarise(scores), evaluate(*rows, temperature=1.5)
    assert (whole.nll, whole.nll_std_error) == (summary.nll.value, summary.nll.std_error)
    assert (whole.accuracy, whole.brier) == (summary.accuracy.value, summary.brier.value)
    assert whole.overconfidence == summary.overconfidence.value
    error = metrics.calibration_error(scores)
    assert (whole.ece, whole.mce, whole.ece_debiased) == (error.ece, error.max, error.debiased)
    assert whole.ece_p_value == error.null.p_value and error.null.replicates == 1000
    mass = metrics.calibration_error(scores, binning="equal_mass")
    assert whole.ece_equal_mass.value == mass.ece != error.ece
    assert {bin.rows for bin in mass.bins} <= {26, 27}
    assert repr(whole.smooth_ece) == repr(metrics.smooth_calibration_error(scores))
    assert repr(whole.kolmogorov_smirnov) == repr(metrics.kolmogorov_smirnov(scores))
    classwise = metrics.classwise_calibration_error(*rows, temperature=1.5)
    assert whole.classwise_ece.value == classwise.ece == pytest.approx(np.mean(classwise.per_class))
    risk, parts = metrics.risk_coverage(scores), metrics.brier_parts(scores)
    assert (whole.aurc, whole.excess_aurc) == (risk.aurc, risk.excess_aurc)
    assert whole.miscalibration == parts.miscalibration


def test_against_plain_numpy(rows: tuple[np.ndarray, np.ndarray]) -> None:
    logits, labels = rows
    tau, weights = 1.7, np.linspace(0.1, 2, len(labels))
    p = np.exp(logits / tau)
    p /= p.sum(1, keepdims=True)
    confidence, correct = p.max(1), p.argmax(1) == labels
    scores = metrics.scores(logits, labels, temperature=tau, weights=weights)
    np.testing.assert_allclose(scores.nll, -np.log(p[np.arange(400), labels]), rtol=1e-12)
    np.testing.assert_allclose(scores.brier, ((p - np.eye(5)[labels]) ** 2).sum(1), rtol=1e-12)
    np.testing.assert_allclose(scores.confidence, confidence, rtol=1e-13)
    np.testing.assert_allclose(scores.doubt, 1 - confidence, rtol=1e-10)
    assert (scores.correct == correct).all() and same_bits(scores.weight, weights)
    assert len(scores) == 400
    ece = 0.0
    for low in np.arange(15) / 15:
        inside = (confidence > low) & (confidence <= low + 1 / 15)
        ece += abs((weights * (confidence - correct))[inside].sum())
    error = metrics.calibration_error(scores, replicates=0)
    assert error.ece == pytest.approx(ece / weights.sum(), rel=1e-12)
    assert np.isnan(error.null.mean) and error.null.replicates == 0
    assert sum(bin.weight for bin in error.bins) == pytest.approx(weights.sum())
    order = np.argsort(confidence)
    sums = np.cumsum((weights * (correct - confidence))[order])
    assert metrics.kolmogorov_smirnov(scores).value == pytest.approx(abs(sums).max() / weights.sum(), rel=1e-12)
    plain = metrics.scores(logits, labels, temperature=tau)
    errors = np.cumsum(~correct[np.argsort(-confidence)])
    assert metrics.risk_coverage(plain).aurc == pytest.approx(np.mean(errors / np.arange(1, 401)), rel=1e-12)
    point = metrics.coverage_at_risk(plain, 0.1)
    assert point is not None and point.risk <= 0.1 < metrics.risk_coverage(plain).full_risk
    answered = confidence >= point.threshold
    assert answered.mean() == point.coverage and (~correct)[answered].mean() == pytest.approx(point.risk)
    assert metrics.coverage_at_risk(plain, -1) is None


def test_against_scikit_learn(rows: tuple[np.ndarray, np.ndarray]) -> None:
    sklearn_metrics = pytest.importorskip("sklearn.metrics")
    from sklearn.isotonic import IsotonicRegression

    logits, labels = rows
    p = softargmax.softmax(logits, axis=-1)
    got = evaluate(logits, labels)
    assert got.nll == pytest.approx(sklearn_metrics.log_loss(labels, p), rel=1e-12)
    assert got.accuracy == sklearn_metrics.accuracy_score(labels, p.argmax(1))
    assert got.brier == pytest.approx(sklearn_metrics.brier_score_loss(labels, p, scale_by_half=False), rel=1e-12)
    scores = metrics.scores(logits, labels)
    curve = IsotonicRegression().fit_transform(scores.confidence, scores.correct)
    steps = metrics.isotonic(scores)
    mine = np.concatenate([[step.accuracy] * int(step.weight) for step in steps])
    np.testing.assert_allclose(mine, np.sort(curve), atol=1e-12)
    parts = metrics.brier_parts(scores)
    assert parts.miscalibration == pytest.approx(
        np.mean((scores.confidence - scores.correct) ** 2) - np.mean((curve - scores.correct) ** 2)
    )


def test_band_and_bootstrap(rows: tuple[np.ndarray, np.ndarray]) -> None:
    logits, labels = rows
    before, after = metrics.scores(logits, labels), metrics.scores(logits, labels, temperature=2.0)
    band = metrics.consistency_band(before, np.linspace(0.5, 0.95, 10))
    assert (band.lower <= band.at).all() and (band.at <= band.upper).all()
    wider = metrics.consistency_band(before, band.at, 0.99)
    assert (wider.lower <= band.lower).all() and (wider.upper >= band.upper).all()
    difference = metrics.paired_bootstrap(before, after)
    want = metrics.summarise(after).nll.value - metrics.summarise(before).nll.value
    assert difference.nll.value == pytest.approx(want, rel=1e-10)
    assert difference.nll.low < difference.nll.value < difference.nll.high
    assert (difference.accuracy.low, difference.accuracy.high) == (0, 0)
    assert repr(metrics.paired_bootstrap(before, after)) == repr(difference)
    assert repr(metrics.paired_bootstrap(before, after, seed=1)) != repr(difference)
    with pytest.raises(SoftargmaxError, match="after"):
        metrics.paired_bootstrap(before, metrics.scores(logits[1:], labels[1:]))


def test_confident_rows_ignored_rows_masks_and_a_temperature_each() -> None:
    scores = metrics.scores([[22.0, 0.0], [0.0, 50.0]], [0, 1])
    assert scores.nll[0] == pytest.approx(np.log1p(np.exp(-22)), rel=1e-14)
    assert scores.doubt[0] == pytest.approx(1 / (1 + np.exp(22)), rel=1e-14)
    assert scores.confidence[1] == 1 and scores.doubt[1] > 0
    logits = np.array([[3.0, 1.0, 2.0], [np.nan] * 3, [0.0, 2.0, 1.0]])
    left = metrics.scores(logits, [0, -1, 2], ignored=-1)
    assert len(left) == 2 and left.correct.tolist() == [True, False]
    got = evaluate(logits, [0, -1, 2], ignored=-1, replicates=0)
    assert (got.rows, got.ignored, got.classes) == (2, 1, 3)
    logits[1] = 0
    each = metrics.scores(logits, [0, 0, 2], temperature=[1.0, 2.0, np.inf])
    assert each.nll[2] == pytest.approx(np.log(3)) and each.nll[1] == pytest.approx(np.log(3))
    one = metrics.scores(logits[:1], [0], where=[True, True, False])
    assert one.nll[0] == pytest.approx(np.log1p(np.exp(-2)))
    assert metrics.scores(logits[:1], [2], where=[True, True, False]).nll[0] == np.inf


def test_refusals() -> None:
    x = np.zeros((3, 2))
    for function in (metrics.scores, metrics.classwise_calibration_error, evaluate):
        with pytest.raises(SoftargmaxError, match="row 1"):
            function([[0.0, 1.0], [np.nan, 1.0]], [0, 0])
        with pytest.raises(SoftargmaxError, match="label 2 "):
            function(x, [0, 1, 2])
        with pytest.raises((SoftargmaxError, TypeError), match="labels has"):
            function(x, np.full((3, 2), 0.5))
        with pytest.raises(SoftargmaxError, match="row 2"):
            function(x, [0, 0, 0], weights=[1.0, 1.0, np.inf])
        with pytest.raises(SoftargmaxError, match="temperature"):
            function(x, [0, 0, 0], temperature=-1)
    with pytest.raises(SoftargmaxError, match="nothing to measure"):
        evaluate(x, [-1, -1, -1], ignored=-1)
    for bins in (0, 4097):
        with pytest.raises(SoftargmaxError, match="bins"):
            evaluate(x, [0, 1, 0], bins=bins)
    with pytest.raises(SoftargmaxError, match="0 bins"):
        metrics.calibration_error(metrics.scores(x, [0, 1, 0]), 0)
    with pytest.raises(SoftargmaxError, match="binning is"):
        metrics.calibration_error(metrics.scores(x, [0, 1, 0]), binning="mass")
    with pytest.raises((SoftargmaxError, OverflowError)):
        evaluate(x, [0, 1, 0], replicates=-1)
