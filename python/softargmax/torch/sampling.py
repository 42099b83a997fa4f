"""`sample`, `log_prob` and `probabilities` of tensors on the CPU, read where they lie; the arguments are those of `softargmax`.

Float16 and bfloat16 are copied to float32, in which they would be computed anyway: the draws are the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

import softargmax
from softargmax.torch import _operators


def _array(name: str, value: Any) -> Any:
    if not isinstance(value, Tensor):
        return value
    if value.device.type != "cpu":
        raise softargmax.SoftargmaxError(
            f"{name} is on {value.device}: tokens are drawn on the CPU, pass {name}.cpu()"
        )
    return _operators.array(value)


def _arrays(arguments: dict[str, Any]) -> dict[str, Any]:
    return {name: _array(name, value) for name, value in arguments.items()}


def _tensor(result: Any) -> Tensor:
    return torch.from_numpy(np.asarray(result))


def sample(logits: Tensor, n: int | None = None, **arguments: Any) -> Tensor:
    """Tokens drawn from softmax(x/τ) after filters, ``[B]`` or ``[B, n]`` in int64: `softargmax.sample`."""
    return _tensor(softargmax.sample(_array("logits", logits), n, **_arrays(arguments)))


def log_prob(logits: Tensor, tokens: Tensor, **arguments: Any) -> Tensor:
    """ln of the probability with which tokens are drawn, in nats and float64: `softargmax.log_prob`. It has no gradient."""
    arrays = _array("logits", logits), _array("tokens", tokens)
    return _tensor(softargmax.log_prob(*arrays, **_arrays(arguments)))


def probabilities(logits: Tensor, **arguments: Any) -> Tensor:
    """The probabilities with which tokens are drawn, in float64: `softargmax.probabilities`. They have no gradient."""
    return _tensor(softargmax.probabilities(_array("logits", logits), **_arrays(arguments)))
