"""softargmax.sklearn: scikit-learn's own checks, its temperature scaling's facts, and the same optimum."""

import pickle
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits, make_classification
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_score, train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

import softargmax
from softargmax import SoftargmaxError, Temperature, fit_temperature
from softargmax.sklearn import TemperatureScaling

# Without an estimator X are logits, a column for each class; these checks give it features.
FEATURES = dict.fromkeys(
    """check_estimators_overwrite_params check_estimators_fit_returns_self check_readonly_memmap_input
    check_n_features_in_after_fitting check_positive_only_tag_during_fit check_estimators_dtypes
    check_all_zero_sample_weights_error check_sample_weight_equivalence_on_dense_data check_dtype_object
    check_pipeline_consistency check_estimators_nan_inf check_estimators_pickle check_classifiers_classes
    check_classifiers_train check_fit2d_1feature""".split(),
    "X are logits, a column for each class, and this check's are features of another number",
)


@parametrize_with_checks(
    [
        TemperatureScaling(LogisticRegression(), cv=2, prior=0.5),
        TemperatureScaling(prior=0.5),
    ],
    expected_failed_checks=lambda model: FEATURES if model.estimator is None else {},
    xfail_strict=True,
)
@pytest.mark.filterwarnings("default")
def test_the_checks_of_scikit_learn(estimator: Any, check: Any) -> None:
    check(estimator)


def data(classes: int, rows: int = 1000) -> tuple[np.ndarray, ...]:
    X, y = make_classification(
        rows, 10, n_informative=8, n_redundant=0, n_classes=classes, n_clusters_per_class=1, flip_y=0.1, random_state=7
    )
    return tuple(train_test_split(X, y, random_state=1))


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    "estimator", [LogisticRegression(C=100), LinearSVC(), GaussianNB()], ids=lambda model: type(model).__name__
)
def test_the_optimum_is_that_of_scikit_learn(estimator: Any, weighted: bool, classes: int) -> None:
    X, other, y, _ = data(classes)
    weights = np.random.default_rng(2).uniform(0.1, 2, len(y)) if weighted else None
    cv = StratifiedKFold(4)
    want = CalibratedClassifierCV(clone(estimator), method="temperature", cv=cv, ensemble=False)
    want.fit(X, y, sample_weight=weights)
    got = TemperatureScaling(clone(estimator), cv=cv).fit(X, y, sample_weight=weights)
    beta = want.calibrated_classifiers_[0].calibrators[0].beta_
    # A decision function d is (−d, d) there, and (0, d) here.
    if classes == 2 and hasattr(estimator, "decision_function"):
        beta = 2 * beta
    assert float(got.temperature_) == pytest.approx(1 / beta, rel=1e-6)
    # To probabilities it adds 1e-12 before it takes their logarithm, which small ones show.
    np.testing.assert_allclose(got.predict_proba(other), want.predict_proba(other), rtol=1e-5, atol=1e-9)
    assert (got.classes_ == want.classes_).all()


@pytest.mark.parametrize("classes", [2, 3])
def test_what_temperature_scaling_leaves_alone(classes: int) -> None:
    """Decisions and the order of the probabilities stay, the loss on the rows fitted to does not rise."""
    X, held, y, y_held = data(classes)
    plain = LogisticRegression(C=100).fit(X, y)
    model = TemperatureScaling(FrozenEstimator(plain)).fit(held, y_held)
    p, q = plain.predict_proba(held), model.predict_proba(held)
    assert accuracy_score(y_held, model.predict(held)) == accuracy_score(y_held, plain.predict(held))
    assert (model.predict(held) == model.classes_[q.argmax(1)]).all()
    if classes == 2:
        assert roc_auc_score(y_held, q[:, 1]) == pytest.approx(roc_auc_score(y_held, p[:, 1]), abs=1e-12)
    assert log_loss(y_held, q) <= log_loss(y_held, p)
    assert model.nll_after_ == pytest.approx(log_loss(y_held, q), rel=1e-9)
    assert model.nll_before_ == pytest.approx(log_loss(y_held, p), rel=1e-9)
    np.testing.assert_allclose(q.sum(1), 1, rtol=1e-12)
    np.testing.assert_allclose(np.exp(model.predict_log_proba(held)), q, rtol=1e-12)
    # Fitted again to what it made, τ is 1.
    again = TemperatureScaling().fit(model.predict_log_proba(held), y_held)
    assert float(again.temperature_) == pytest.approx(1, abs=1e-9)
    assert again.interval_[0] < 1 < again.interval_[1] and again.p_value_tau_is_one_ > 0.999


def test_logits_probabilities_and_decisions_are_one() -> None:
    X, held, y, y_held = data(3)
    frozen = FrozenEstimator(LogisticRegression(C=100).fit(X, y))
    by_decision = TemperatureScaling(frozen).fit(held, y_held)
    by_probability = TemperatureScaling(frozen, response_method="predict_proba").fit(held, y_held)
    by_logits = TemperatureScaling().fit(frozen.decision_function(held), y_held)
    assert float(by_logits.temperature_) == float(by_decision.temperature_)
    assert float(by_probability.temperature_) == pytest.approx(float(by_decision.temperature_), rel=1e-9)
    np.testing.assert_allclose(by_probability.predict_proba(held), by_decision.predict_proba(held), rtol=1e-9)
    want = fit_temperature(frozen.decision_function(held), y_held)
    assert by_decision.temperature_ == want.temperature and by_decision.std_error_ == want.std_error
    # A shift of a row's logits changes nothing; single precision stays single.
    moved = frozen.decision_function(held) + np.arange(len(held))[:, None]
    assert float(TemperatureScaling().fit(moved, y_held).temperature_) == pytest.approx(want.tau, rel=1e-9)
    single = frozen.decision_function(held).astype("f4")
    model = TemperatureScaling().fit(single, y_held)
    assert model.predict_proba(single).dtype == np.float32
    assert float(model.temperature_) == pytest.approx(want.tau, rel=1e-5)


def test_a_fitted_classifier_is_not_fitted_again() -> None:
    X, held, y, y_held = data(3)
    plain = LogisticRegression().fit(X, y)
    before = plain.coef_.copy()
    model = TemperatureScaling(FrozenEstimator(plain)).fit(held, y_held)
    assert (plain.coef_ == before).all() and model.estimator_.estimator is plain
    unfitted = TemperatureScaling(plain).fit(held, y_held)
    assert (plain.coef_ == before).all() and not np.allclose(unfitted.estimator_.coef_, before)


def test_pipelines_scores_names_and_pickles() -> None:
    X, y = load_digits(return_X_y=True)
    names = np.array([f"digit {label}" for label in range(10)])[y]
    model = make_pipeline(StandardScaler(), TemperatureScaling(GaussianNB(), epsilon=1e-300))
    plain = make_pipeline(StandardScaler(), GaussianNB())
    scaled = cross_val_score(model, X, names, scoring="neg_log_loss", cv=3)
    assert (scaled > 3 * cross_val_score(plain, X, names, scoring="neg_log_loss", cv=3)).all()
    same = cross_val_score(model, X, names, cv=3) == cross_val_score(plain, X, names, cv=3)
    assert same.all()
    model.fit(X, names)
    assert list(model.classes_) == sorted(set(names)) and set(model.predict(X[:50])) <= set(names)
    again = pickle.loads(pickle.dumps(model))
    assert isinstance(again[-1].temperature_, Temperature)
    assert (again.predict_proba(X) == model.predict_proba(X)).all()
    outer = TemperatureScaling(make_pipeline(StandardScaler(), LogisticRegression())).fit(X[:600], names[:600])
    assert outer.n_features_in_ == 64 and outer.predict_proba(X).shape == (len(X), 10)
    logits = outer.estimator_.decision_function(X)
    assert cross_val_score(TemperatureScaling(), logits, names, scoring="neg_log_loss", cv=3).shape == (3,)


def test_classes_that_do_not_occur_and_other_orders() -> None:
    rng = np.random.default_rng(4)
    logits, y = rng.normal(size=(60, 4)), rng.integers(0, 3, 60)
    with pytest.raises(SoftargmaxError, match="X has 4 columns of logits, and y has 3 classes"):
        TemperatureScaling(prior=0.5).fit(logits, y)
    model = TemperatureScaling(prior=0.5, classes=range(4)).fit(logits, y)
    assert model.temperature_ == fit_temperature(logits, y, prior=0.5).temperature
    names = np.array(["d", "b", "c", "a"])
    other = TemperatureScaling(prior=0.5, classes=names).fit(logits, names[y])
    assert other.temperature_ == model.temperature_
    assert (other.predict(logits) == names[logits.argmax(1)]).all()
    with pytest.raises(SoftargmaxError, match="row 1 has the label"):
        TemperatureScaling(classes=names).fit(logits[:2], ["a", "e"])


def test_where_no_temperature_is_best() -> None:
    """scikit-learn's answer to these rows is the end of its search, without a word."""
    logits = np.array([[3.0, 0.0], [0.0, 2.0], [1.0, 0.0], [0.0, 1.0]])
    with pytest.raises(SoftargmaxError, match=r"separable.*prior=0\.5"):
        TemperatureScaling().fit(logits, [0, 1, 0, 1])
    with pytest.raises(SoftargmaxError, match="no_signal"):
        TemperatureScaling().fit(logits, [1, 0, 1, 0])
    with pytest.raises(SoftargmaxError, match="constant_logits"):
        TemperatureScaling().fit(np.zeros((4, 2)), [0, 1, 0, 1])
    assert float(TemperatureScaling(prior=0.5).fit(logits, [0, 1, 0, 1]).temperature_) < 1
    X, held, y, y_held = data(3)
    tree = FrozenEstimator(DecisionTreeClassifier(random_state=0).fit(X, y))
    with pytest.raises(SoftargmaxError, match=r"infinite_nll.*epsilon"):
        TemperatureScaling(tree).fit(held, y_held)
    model = TemperatureScaling(tree, epsilon=1e-9).fit(held, y_held)
    assert float(model.temperature_) > 5 and np.isfinite(model.predict_log_proba(held)).all()
    with pytest.raises(SoftargmaxError, match="response_method is 'logits'"):
        TemperatureScaling(tree, response_method="logits").fit(held, y_held)  # type: ignore[arg-type]


def test_masked_classes_and_rows_without_a_distribution() -> None:
    logits = np.array([[3.0, 0.0, -np.inf], [1.0, 2.0, 0.0], [0.0, 1.0, 2.0], [2.0, 1.0, 0.0]])
    model = TemperatureScaling(prior=0.5).fit(logits, [0, 1, 2, 1])
    assert model.predict_proba(logits)[0, 2] == 0
    assert (model.predict(logits) == [0, 1, 2, 0]).all()
    for bad in ([np.nan, 0, 0], [np.inf, 0, 0], [-np.inf] * 3):
        rows = np.array([[1.0, 0.0, 0.0], bad])
        for method in (model.predict, model.predict_proba, model.predict_log_proba):
            with pytest.raises(SoftargmaxError, match="row 1"):
                method(rows)
        with pytest.raises(SoftargmaxError, match="row 1"):
            TemperatureScaling(classes=[0, 1, 2]).fit(rows, [0, 1])


def test_the_module_is_loaded_only_when_asked_for() -> None:
    assert "sklearn" not in softargmax.__all__ and not hasattr(softargmax, "TemperatureScaling")
