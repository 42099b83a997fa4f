"""A network of two layers, and digits to train it on: numpy alone, so that one sees where a loss's gradients go.

    hidden = max(x·W₁ + b₁, 0)        output = hidden·W₂ + b₂
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

Array = NDArray[np.float32]


def digits() -> tuple[Array, NDArray[np.int64], Array, NDArray[np.int64]]:
    """1347 pictures of 8 × 8 to train on and 450 to test on, with their labels."""
    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype(np.float32)
    train, test, of_train, of_test = train_test_split(x, y, test_size=450, random_state=0, stratify=y)
    return train, of_train, test, of_test


class Network:
    """Its parameters, and Adam's averages of their gradients."""

    def __init__(self, random: np.random.Generator, inputs: int, hidden: int, outputs: int) -> None:
        def layer(n: int, m: int) -> Array:
            return (random.normal(size=(n, m)) * np.sqrt(2 / n)).astype(np.float32)

        zeros = np.zeros
        self.parameters = [
            layer(inputs, hidden), zeros(hidden, np.float32), layer(hidden, outputs), zeros(outputs, np.float32)
        ]  # fmt: skip
        self.averages = [(np.zeros_like(p), np.zeros_like(p)) for p in self.parameters]
        self.steps = 0

    def __call__(self, x: Array) -> Array:
        w1, b1, w2, b2 = self.parameters
        self.x, self.hidden = x, np.maximum(x @ w1 + b1, 0)
        return self.hidden @ w2 + b2

    def back(self, of_output: Array) -> list[Array]:
        """The gradients of the parameters, from that of the last output."""
        inside = (of_output @ self.parameters[2].T) * (self.hidden > 0)
        return [self.x.T @ inside, inside.sum(0), self.hidden.T @ of_output, of_output.sum(0)]

    def step(self, gradients: list[Array], rate: float) -> None:
        """One of Adam's."""
        self.steps += 1
        for p, g, (first, second) in zip(self.parameters, gradients, self.averages, strict=True):
            first += 0.1 * (g - first)
            second += 0.001 * (g * g - second)
            size = np.sqrt(second / (1 - 0.999**self.steps)) + 1e-8
            p -= rate * first / (1 - 0.9**self.steps) / size


def batches(random: np.random.Generator, rows: int, size: int) -> list[NDArray[np.int64]]:
    order = random.permutation(rows)
    return [order[i : i + size] for i in range(0, rows - size + 1, size)]
