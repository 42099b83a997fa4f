"""Temperature scaling as a scikit-learn estimator."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import check_cv, cross_val_predict
from sklearn.utils import Tags, get_tags, indexable
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    check_is_fitted,
    column_or_1d,
    has_fit_parameter,
    validate_data,
)

from softargmax._softargmax import SoftargmaxError, Temperature, fit_temperature, log_softmax, softmax

__all__ = ["TemperatureScaling"]

_METHODS = ("decision_function", "predict_proba")


class TemperatureScaling(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier whose probabilities are softmax(logits/τ), τ fitted to labels: honest in the mean, with the same decisions.

    Parameters
    ----------
    estimator : classifier, optional
        What makes the logits: its ``decision_function``, or ``log(predict_proba)``. It is cloned and fitted; one that is
        fitted already goes in as ``sklearn.frozen.FrozenEstimator(estimator)``. Without an estimator, X are the logits.
    cv : int, cross-validation generator or iterable, optional
        τ is fitted to logits of rows that the estimator was not fitted on, by ``cross_val_predict``; then the estimator is
        fitted to all rows. Not used without an estimator, and for a frozen one.
    response_method : {"auto", "decision_function", "predict_proba"}
        Which of the two the logits come from; "auto" is the first that the estimator has.
    classes : array_like, optional
        Without an estimator: the class of each column of X, where some may not occur in y. By default those of y in order.
    epsilon : float
        Probabilities of ``predict_proba`` below it count as it. With 0, a label whose probability is exactly 0 is an error.
    prior : float or tuple, optional
        As in `softargmax.fit_temperature`: for few rows, and for those that have no best temperature.
    n_jobs : int, optional
        For ``cross_val_predict``.

    Attributes
    ----------
    temperature_ : softargmax.Temperature
        τ. ``float(temperature_)`` is its number.
    std_error_, p_value_tau_is_one_ : float
        Its standard error, and a test of τ = 1.
    interval_ : tuple of float
        95 %.
    nll_before_, nll_after_ : float
        The mean negative log-likelihood of the rows that τ was fitted to, at τ = 1 and at τ.
    classes_ : ndarray
        The classes, in the order of the columns.
    estimator_ : classifier
        The fitted estimator, where there is one.
    n_features_in_, feature_names_in_
        As the estimator has them.

    Notes
    -----
    A decision function of two classes is one number d: the logits are (0, d), so that p = 1/(1 + exp(−d/τ)). Where no
    temperature is best (every label has the largest logit, say) `fit` raises a `SoftargmaxError` with the reason.

    References
    ----------
    Guo, Pleiss, Sun & Weinberger, ICML 2017, section 4.2.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from softargmax.sklearn import TemperatureScaling
    >>> X, y = load_digits(return_X_y=True)
    >>> model = TemperatureScaling(GaussianNB(), epsilon=1e-300).fit(X, y)
    >>> round(float(model.temperature_), 1)  # so many times too sure
    40.6
    """

    temperature_: Temperature
    std_error_: float
    p_value_tau_is_one_: float
    interval_: tuple[float, float]
    nll_before_: float
    nll_after_: float
    classes_: NDArray[Any]
    estimator_: Any

    def __init__(
        self,
        estimator: Any = None,
        *,
        cv: Any = None,
        response_method: Literal["auto", "decision_function", "predict_proba"] = "auto",
        classes: ArrayLike | None = None,
        epsilon: float = 0.0,
        prior: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.estimator = estimator
        self.cv = cv
        self.response_method = response_method
        self.classes = classes
        self.epsilon = epsilon
        self.prior = prior
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fits τ to labels, and the estimator where it is not frozen.

        Parameters
        ----------
        X : array_like
            What the estimator takes; without one, logits ``[rows, classes]``, −∞ for a mask.
        y : array_like
            The label of every row.
        sample_weight : array_like, optional
            How much each row counts, for τ and for the estimator.

        Returns
        -------
        self
        """
        if self.estimator is None:
            logits, labels = self._given(X, y)
        else:
            logits, labels = self._held_out(X, y, sample_weight)
        weights = None if sample_weight is None else _check_sample_weight(sample_weight, labels, dtype=np.float64)
        fit = fit_temperature(logits, labels, weights=weights, prior=self.prior)
        if fit.temperature is None:
            if fit.outcome == "infinite_nll":
                remedy = "epsilon=1e-12 keeps probabilities away from 0"
            else:
                remedy = "prior=0.5 settles on one, and so may more rows"
            raise SoftargmaxError(f"no temperature fits these {fit.rows} rows best ({fit.outcome}): {remedy}")
        self.temperature_ = fit.temperature
        self.std_error_, self.interval_ = fit.std_error, fit.interval
        self.p_value_tau_is_one_ = fit.p_value_tau_is_one
        self.nll_before_, self.nll_after_ = fit.nll_before, fit.nll_after
        return self

    def _given(self, X: Any, y: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32], ensure_all_finite=False)
        check_classification_targets(y)
        self.classes_ = np.unique(y) if self.classes is None else np.asarray(self.classes)
        if X.shape[1] != len(self.classes_):
            whose = "y has" if self.classes is None else "there are"
            raise SoftargmaxError(
                f"X has {X.shape[1]} columns of logits, and {whose} {len(self.classes_)} classes: "
                "classes= names the class of each column; features need an estimator"
            )
        return X, self._numbered(y)

    def _held_out(self, X: Any, y: Any, weights: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        X, y, weights = indexable(X, y, weights)
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        fit_params = {}
        if weights is not None:
            weights = _check_sample_weight(weights, y)
            if has_fit_parameter(self.estimator, "sample_weight"):
                fit_params["sample_weight"] = weights
        is_frozen = isinstance(self.estimator, FrozenEstimator)
        fitted = clone(self.estimator)
        if not is_frozen:
            out = cross_val_predict(
                clone(self.estimator),
                X,
                y,
                cv=check_cv(self.cv, y, classifier=True),
                method=self._method(),
                n_jobs=self.n_jobs,
                params=fit_params,
            )
            fitted.fit(X, y, **fit_params)
        else:
            out = getattr(fitted, self._method())(X)
        self.estimator_ = fitted
        self.classes_ = fitted.classes_
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(fitted, name):
                setattr(self, name, getattr(fitted, name))
        return self._logits_of(out), self._numbered(y)

    def _method(self) -> str:
        if self.response_method == "auto":
            for method in _METHODS:
                if hasattr(self.estimator, method):
                    return method
            raise SoftargmaxError(f"the estimator has neither {_METHODS[0]} nor {_METHODS[1]}")
        if self.response_method not in _METHODS:
            raise SoftargmaxError(f"response_method is {self.response_method!r}: it must be auto or one of {_METHODS}")
        return self.response_method

    def _logits_of(self, out: NDArray[Any]) -> NDArray[Any]:
        if self._method() == "predict_proba":
            with np.errstate(divide="ignore"):
                return np.log(np.maximum(out, self.epsilon))
        if out.ndim == 1:
            return np.stack([np.zeros_like(out), out], axis=1)
        return out

    def _numbered(self, y: NDArray[Any]) -> NDArray[np.int64]:
        """Which column each label is."""
        order = np.argsort(self.classes_, kind="stable")
        place = np.searchsorted(self.classes_, y, sorter=order).clip(max=len(order) - 1)
        columns = order[place]
        unknown = self.classes_[columns] != y
        if unknown.any():
            row = int(np.argmax(unknown))
            raise SoftargmaxError(f"row {row} has the label {y[row]!r}, which is no class")
        return columns.astype(np.int64)

    def _logits(self, X: Any) -> NDArray[Any]:
        check_is_fitted(self, "temperature_")
        if self.estimator is None:
            return validate_data(self, X, reset=False, dtype=[np.float64, np.float32], ensure_all_finite=False)
        return self._logits_of(getattr(self.estimator_, self._method())(X))

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """softmax(logits/τ), a column for each of `classes_`."""
        p: NDArray[Any] = softmax(_checked(self._logits(X)), axis=1, temperature=self.temperature_)
        return p

    def predict_log_proba(self, X: Any) -> NDArray[Any]:
        """log softmax(logits/τ), with the digits that the logarithm of a probability near 1 loses."""
        p: NDArray[Any] = log_softmax(_checked(self._logits(X)), axis=1, temperature=self.temperature_)
        return p

    def predict(self, X: Any) -> NDArray[Any]:
        """The class of the largest logit; τ does not change it."""
        largest = np.argmax(_checked(self._logits(X)), axis=1)
        chosen: NDArray[Any] = self.classes_[largest]
        return chosen

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        if self.estimator is None:
            tags.input_tags.allow_nan = False
        else:
            inner = get_tags(self.estimator).input_tags
            tags.input_tags.sparse, tags.input_tags.allow_nan = inner.sparse, inner.allow_nan
        return tags


def _checked(logits: NDArray[Any]) -> NDArray[Any]:
    """Rows that have a distribution; −∞ is a mask."""
    wrong = ~(logits.max(axis=1, initial=-np.inf) > -np.inf) | (logits == np.inf).any(axis=1)
    if wrong.any():
        raise SoftargmaxError(f"row {int(np.argmax(wrong))} of the logits holds a NaN, +inf, or nothing but -inf")
    return logits
