"""A NormFace classifier of digits with and without its scale, against the least that the loss can be.

    loss = −ln softmax(s·cos)_y         cos: of the feature with the vector of each class, both normalised
    floor: ln(1 + (n − 1)·exp(−s·n/(n − 1)))

    python normface_digits.py [folder for the picture]

Wang et al. 2017 say: without the scale (s = 1) the loss stays near the floor, which is high, and the network does not converge; with it
the loss falls.
"""

import sys
from pathlib import Path

import numpy as np
from network import Array, Network, batches, digits
from picture import chart

import softargmax

WIDTH, EPOCHS = 16, 60


def normalised(x: Array) -> tuple[Array, Array]:
    lengths = np.linalg.norm(x, axis=1, keepdims=True)
    return x / lengths, lengths


def back(gradient: Array, direction: Array, lengths: Array) -> Array:
    """Through the normalisation: (g − v(v·g))/|u|."""
    return (gradient - direction * (gradient * direction).sum(1, keepdims=True)) / lengths


def main(folder: Path | None) -> None:
    x, y, test, truth = digits()
    lines, floors = {}, {}
    print("scale     floor       loss after 1 epoch      after 60    test accuracy    label's probability")
    for scale in (1.0, 4.0, 16.0):
        random = np.random.default_rng(0)
        network = Network(random, 64, 128, WIDTH)
        classes = Network(random, 10, 1, 1)  # for its Adam: the vectors of the classes are its only parameter
        classes.parameters = [random.normal(size=(10, WIDTH)).astype(np.float32)]
        classes.averages = [(np.zeros((10, WIDTH), np.float32), np.zeros((10, WIDTH), np.float32))]
        tau = softargmax.Temperature.from_scale(scale)
        line = []
        for epoch in range(EPOCHS):
            losses = []
            for rows in batches(random, len(x), 64):
                features, lengths = normalised(network(x[rows]))
                vectors, of_vectors = normalised(classes.parameters[0])
                loss = softargmax.normalised_softmax(features @ vectors.T, y[rows], tau)
                losses.append(loss.value)
                network.step(network.back(back(loss.logits @ vectors, features, lengths)), 1e-3)
                classes.step([back(loss.logits.T @ features, vectors, of_vectors)], 1e-3)
            line.append((epoch + 1.0, float(np.mean(losses))))
        floor = softargmax.normface_lower_bound(10, scale)
        cosines = normalised(network(test))[0] @ normalised(classes.parameters[0])[0].T
        accuracy = (cosines.argmax(1) == truth).mean()
        p = softargmax.softmax(cosines, axis=-1, temperature=tau)[np.arange(len(truth)), truth].mean()
        print(
            f"{scale:5.0f} {floor:10.3g} {line[0][1]:20.3f} {line[-1][1]:18.3g} {100 * accuracy:14.1f} % {p:18.3f}"
        )
        lines[f"s = {scale:.0f}"], floors[f"floor of s = {scale:.0f}"] = line, floor
    if folder:
        chart(
            folder / "normface.svg", "NormFace on digits", "epoch", "loss", lines,
            # That of s = 16 is far below the picture.
            {name: floor for name, floor in floors.items() if floor >= 1e-4}, logarithmic="y",
        )  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
