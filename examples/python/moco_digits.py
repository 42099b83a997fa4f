"""MoCo on digits at three temperatures: a queue, a momentum encoder, no labels.

    loss = −ln(exp(q·k₊/τ) / (exp(q·k₊/τ) + Σ_queue exp(q·k/τ)))       q, k: two views of a picture
    key encoder ← m·key encoder + (1 − m)·query encoder

    python moco_digits.py [folder for the picture]

Wang & Liu 2021, "Understanding the behaviour of contrastive loss", say: the colder, the more uniformly are features spread over the
sphere, and the less are those of one class alike (tolerance); in between there is a best τ.
"""

import sys
from pathlib import Path

import numpy as np
from network import Array, Network, batches, digits
from picture import chart

import softargmax

WIDTH, QUEUE, MOMENTUM, EPOCHS = 32, 1024, 0.995, 200


def view(random: np.random.Generator, x: Array) -> Array:
    """Pictures moved by up to a pixel, fainter or stronger, with noise and a hole."""
    pictures = np.pad(x.reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)))
    out = np.empty((len(x), 8, 8), np.float32)
    moves, holes = random.integers(0, 3, (len(x), 2)), random.integers(0, 7, (len(x), 2))
    for i, ((a, b), (c, d)) in enumerate(zip(moves, holes, strict=True)):
        out[i] = pictures[i, a : a + 8, b : b + 8]
        out[i, c : c + 2, d : d + 2] = 0
    out *= random.uniform(0.7, 1.3, (len(x), 1, 1))
    out += random.normal(0, 0.05, out.shape)
    return out.reshape(-1, 64).astype(np.float32)


def train(tau: str, x: Array, seed: int) -> tuple[Network, float]:
    random = np.random.default_rng(seed)
    encoder, key_encoder = Network(random, 64, 256, WIDTH), Network(random, 64, 256, WIDTH)
    for key, query in zip(key_encoder.parameters, encoder.parameters, strict=True):
        key[...] = query
    queue, last, mean = softargmax.Queue(QUEUE, WIDTH), [], x.mean(0)
    for epoch in range(EPOCHS):
        for rows in batches(random, len(x), 64):
            keys = key_encoder(view(random, x[rows]) - mean)
            loss = softargmax.moco(encoder(view(random, x[rows])), keys, queue, tau)
            encoder.step(encoder.back(loss.queries), 1e-3)
            for key, query in zip(key_encoder.parameters, encoder.parameters, strict=True):
                softargmax.momentum_update(key, query, MOMENTUM)
            queue.push(keys)
            if epoch >= EPOCHS - 5:
                last.append(loss.value)
    return encoder, float(np.mean(last))


def unit(x: Array) -> Array:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def of_neighbours(train: Array, labels: np.ndarray, test: Array, truth: np.ndarray, k: int = 5) -> float:
    """The accuracy of the vote of the k nearest."""
    nearest = np.argsort(-(test @ train.T), axis=1, kind="stable")[:, :k]
    votes = np.apply_along_axis(np.bincount, 1, labels[nearest], minlength=10)
    return float((votes.argmax(1) == truth).mean())


def main(folder: Path | None) -> None:
    x, y, test, truth = digits()
    print("  τ       loss   kNN accuracy   uniformity   tolerance")
    measured = {}
    for tau in ("0.07", "0.2", "1"):
        encoder, loss = train(tau, x, seed=1)
        of_train, of_test = unit(encoder(x - x.mean(0))), unit(encoder(test - x.mean(0)))
        accuracy = of_neighbours(of_train, y, of_test, truth)
        s = (of_test @ of_test.T).astype(np.float64)
        pairs = ~np.eye(len(s), dtype=bool)
        # |a − b|² = 2 − 2 a·b
        uniformity = np.log(np.exp(-2 * (2 - 2 * s[pairs])).mean())
        tolerance = s[(truth[:, None] == truth) & pairs].mean()
        measured[float(tau)] = (accuracy, uniformity, tolerance)
        print(f"{tau:>5} {loss:9.4f} {100 * accuracy:12.1f} % {uniformity:12.3f} {tolerance:11.3f}")
    # The pixels themselves, for comparison.
    print(f"the pixels alone: {100 * of_neighbours(unit(x), y, unit(test), truth):.1f} %")
    if folder:
        chart(
            folder / "moco.svg", "MoCo on digits", "τ", "measured on 450 test digits",
            {
                "kNN accuracy": [(tau, accuracy) for tau, (accuracy, _, _) in measured.items()],
                "−uniformity / 4": [(tau, -uniformity / 4) for tau, (_, uniformity, _) in measured.items()],
                "tolerance": [(tau, tolerance) for tau, (_, _, tolerance) in measured.items()],
            },
            logarithmic="x",
        )  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
