"""Softmax with temperature, p_i = exp(x_i/τ) / Σ_j exp(x_j/τ), done properly."""

from softargmax._softargmax import (
    SoftargmaxError,
    Temperature,
    get_num_threads,
    log_softmax,
    set_num_threads,
    softmax,
)

__all__ = [
    "SoftargmaxError",
    "Temperature",
    "get_num_threads",
    "log_softmax",
    "set_num_threads",
    "softmax",
]
