"""Embeds the held-out digits twice, as they are and shifted by half a pixel, for contrastive figures.

    pip install -r requirements.txt
    python views.py

Writes queries.npy and keys.npy (float16, [897, 32], rows of length 1) beside itself, in the order of labels.npy. The
embedding is deliberately plain: the first 32 principal axes of the training images, each divided by the root of its
spread. A key is its query's image moved by half a pixel (the mean of itself and itself a pixel on), up, down, left or right,
drawn with a fixed seed.
"""

import pathlib

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from train import HELD_OUT, SEED

DIMENSIONS = 32
MOVES = [(-1, 0), (1, 0), (0, -1), (0, 1)]


def moved(image, move):
    """The image moved by half a pixel, with an empty edge behind it."""
    shifted = np.zeros_like(image)
    down, right = move
    shifted[max(down, 0) : 8 + min(down, 0), max(right, 0) : 8 + min(right, 0)] = image[
        max(-down, 0) : 8 + min(-down, 0), max(-right, 0) : 8 + min(-right, 0)
    ]
    return (image + shifted) / 2


def main():
    images, labels = load_digits(return_X_y=True)
    images = images / 16.0
    train, held_out, _, _ = train_test_split(
        images, labels, test_size=HELD_OUT, random_state=SEED, stratify=labels
    )
    mean = train.mean(axis=0)
    _, spread, axes = np.linalg.svd(train - mean, full_matrices=False)
    axes = axes[:DIMENSIONS] / np.sqrt(spread[:DIMENSIONS, None])
    # The sign of an axis is nobody's choice; here its largest entry is positive.
    axes *= np.sign(axes[np.arange(DIMENSIONS), np.abs(axes).argmax(axis=1)])[:, None]

    def embedded(images):
        vectors = (images - mean) @ axes.T
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors.astype(np.float16)

    moves = np.random.default_rng(SEED).integers(len(MOVES), size=HELD_OUT)
    shifted = [moved(x.reshape(8, 8), MOVES[move]).ravel() for x, move in zip(held_out, moves)]
    here = pathlib.Path(__file__).parent
    queries, keys = embedded(held_out), embedded(np.array(shifted))
    np.save(here / "queries.npy", queries)
    np.save(here / "keys.npy", keys)
    similarities = queries.astype(np.float64) @ keys.astype(np.float64).T
    right = similarities.argmax(axis=1) == np.arange(HELD_OUT)
    print(f"similarity of pairs    {np.diag(similarities).mean():.4f}")
    print(f"nearest key is its own {right.mean():.4f}")


if __name__ == "__main__":
    main()
