"""Gradients against central differences in float64, in the logits and in τ."""

import numpy as np
import pytest

import softargmax
from softargmax import SoftargmaxError

RNG = np.random.default_rng(22)
PAIRS = [
    (softargmax.softmax, softargmax.softmax_vjp),
    (softargmax.log_softmax, softargmax.log_softmax_vjp),
    (softargmax.logsumexp, softargmax.logsumexp_vjp),
]


@pytest.mark.parametrize(("function", "vjp"), PAIRS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("axis", [0, -1, None, (0, 2)])
def test_gradients_are_differences(function: object, vjp: object, axis: object) -> None:
    x = RNG.normal(scale=2, size=(3, 4, 2))
    tau = 0.7
    g = RNG.normal(size=np.shape(function(x, axis=axis)))  # type: ignore[operator]

    def loss(x: np.ndarray, tau: float) -> float:
        return float((g * function(x, axis=axis, temperature=tau)).sum())  # type: ignore[operator]

    gradient = vjp(x, g, axis=axis, temperature=tau)  # type: ignore[operator]
    h = 1e-6
    for where in np.ndindex(*x.shape):
        step = np.zeros_like(x)
        step[where] = h
        difference = (loss(x + step, tau) - loss(x - step, tau)) / (2 * h)
        assert abs(gradient.logits[where] - difference) < 1e-7
    difference = (loss(x, tau + h) - loss(x, tau - h)) / (2 * h)
    assert abs(np.sum(gradient.tau) - difference) < 1e-7
    assert np.allclose(gradient.tau, -gradient.scale / tau**2, rtol=1e-14)


def test_masked_entries_get_nothing() -> None:
    x, g = RNG.normal(size=5), RNG.normal(size=5)
    seen = np.array([True, False, True, True, False])
    for _, vjp in PAIRS:
        cotangent = 1.5 if vjp is softargmax.logsumexp_vjp else g
        gradient = vjp(x, cotangent, where=seen)
        assert (gradient.logits[~seen] == 0).all()
        inner = vjp(x[seen], cotangent if np.ndim(cotangent) == 0 else g[seen])
        if vjp is not softargmax.log_softmax_vjp:
            assert np.allclose(gradient.logits[seen], inner.logits, rtol=1e-14)


def test_types_and_shapes() -> None:
    x = RNG.normal(size=(3, 4)).astype("f4")
    gradient = softargmax.softmax_vjp(x, np.ones((3, 4)), axis=-1)
    assert gradient.logits.dtype == np.float32
    assert gradient.tau.shape == gradient.scale.shape == (3,)
    assert gradient.tau.dtype == np.float64
    with pytest.raises(SoftargmaxError, match=r"cotangent has shape \[4\], expected \[3, 4\]"):
        softargmax.softmax_vjp(x, np.ones(4), axis=-1)
    with pytest.raises(SoftargmaxError, match=r"cotangent has shape \[3, 4\], expected \[3\]"):
        softargmax.logsumexp_vjp(x, np.ones((3, 4)), axis=-1)
