"""A sampler of this package in transformers' `generate`. Neither transformers nor torch is imported.

    from softargmax.transformers import Sampling

    sampling = Sampling(temperature=0.7, min_p=0.05, seed=1)
    model.generate(**inputs, do_sample=True, temperature=1.0, top_k=0, logits_processor=[sampling])

`generate` applies what its own configuration says as well: its temperature, top_k and top_p must be off, as above.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import softargmax

__all__ = ["Sampling"]


class Sampling:
    """A `LogitsProcessor`: scores become ln P(i) of what `softargmax.sample` draws from, −∞ for what it does not draw.

    Without a seed, `generate` draws from that distribution with torch's random numbers. With a seed this draws: the token gets
    0 and all others −∞, so that `generate` can take no other. Row r of a batch draws from stream `stream` + r, and its position
    is how many tokens it has, the prompt included: the same prompt gives the same text again, in any batch.

    Parameters
    ----------
    seed : int, optional
        The seed of the draws.
    stream : int or array_like of ints
        As in `softargmax.sample`.
    **parameters
        Those of `softargmax.sample`, and its ``where`` and ``method``; penalties are for the tokens in ``input_ids``, the
        prompt included.

    Examples
    --------
    >>> import numpy as np
    >>> from softargmax.transformers import Sampling
    >>> scores = np.array([[1.0, 5.0, 7.0, 10.0, 9.0]])
    >>> np.exp(Sampling(temperature=2, top_p=0.95)(np.array([[0]]), scores)).round(4)
    array([[0.    , 0.    , 0.122 , 0.5465, 0.3315]])
    >>> Sampling(temperature=2, top_p=0.95, seed=1)(np.array([[0]]), scores)
    array([[-inf, -inf, -inf,   0., -inf]])
    """

    def __init__(self, *, seed: int | None = None, stream: Any = 0, method: Any = "inverse", **parameters: Any) -> None:
        self.seed, self.stream, self.method, self.parameters = seed, stream, method, parameters

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """What `generate` calls: ``[B, T]`` tokens and ``[B, V]`` scores, numpy's or torch's, to scores of the same kind."""
        tokens, logits = _array(input_ids), _array(scores)
        how = {"history": tokens, **self.parameters}
        if self.seed is None:
            with np.errstate(divide="ignore"):
                result = np.log(softargmax.probabilities(logits, **how))
        else:
            drawn = softargmax.sample(
                logits, seed=self.seed, stream=self.stream, position=tokens.shape[-1], method=self.method, **how
            )
            result = np.full(logits.shape, -np.inf)
            np.put_along_axis(result, drawn[..., None], 0.0, axis=-1)
        if isinstance(scores, np.ndarray):
            return result.astype(scores.dtype)
        return scores.new_tensor(result)

    def __repr__(self) -> str:
        given = {"seed": self.seed, "stream": self.stream, "method": self.method, **self.parameters}
        return f"Sampling({', '.join(f'{name}={value!r}' for name, value in given.items())})"


def _array(x: Any) -> Any:
    """A tensor as an array: of half types by way of float32, from an accelerator by way of a copy."""
    if isinstance(x, np.ndarray):
        return x
    x = x.detach().cpu()
    return (x.float() if x.is_floating_point() and x.element_size() < 4 else x).numpy()
