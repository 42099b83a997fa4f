"""Trains a small network on scikit-learn's handwritten digits and keeps its held-out logits.

    pip install -r requirements.txt
    python train.py

Writes logits.npy (float32, [897, 10]: what stands before the softmax) and labels.npy (int64, [897]) beside itself, and
prints what README.md quotes. The network is deliberately ordinary: one hidden layer, trained until it fits its training
images, no regularisation. That is how overconfident classifiers come about.
"""

import pathlib

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

SEED = 20150310
HELD_OUT = 897


def main():
    images, labels = load_digits(return_X_y=True)
    images = images / 16.0
    train_x, test_x, train_y, test_y = train_test_split(
        images, labels, test_size=HELD_OUT, random_state=SEED, stratify=labels
    )
    network = MLPClassifier(
        hidden_layer_sizes=(128,),
        alpha=0.0,
        learning_rate_init=0.003,
        batch_size=50,
        max_iter=500,
        tol=0.0,
        n_iter_no_change=500,
        random_state=SEED,
    ).fit(train_x, train_y)

    (w1, w2), (b1, b2) = network.coefs_, network.intercepts_
    logits = (np.maximum(test_x @ w1 + b1, 0.0) @ w2 + b2).astype(np.float32)
    assert np.array_equal(logits.argmax(axis=1), network.predict(test_x))

    here = pathlib.Path(__file__).parent
    np.save(here / "logits.npy", logits)
    np.save(here / "labels.npy", test_y.astype(np.int64))

    def nll(tau):
        scores = log_softmax(logits.astype(np.float64) / tau, axis=1)
        return -scores[np.arange(len(test_y)), test_y].mean()

    best = minimize_scalar(nll, bounds=(0.05, 50.0), method="bounded", options={"xatol": 1e-9})
    confidence = np.exp(log_softmax(logits.astype(np.float64), axis=1)).max(axis=1).mean()
    print(f"training images  {len(train_y)}, accuracy {network.score(train_x, train_y):.4f}")
    print(f"held-out images  {len(test_y)}, accuracy {(logits.argmax(axis=1) == test_y).mean():.4f}")
    print(f"mean confidence  {confidence:.4f}")
    print(f"nll at tau = 1   {nll(1.0):.5f}")
    print(f"nll at its best  {best.fun:.5f}, tau = {best.x:.4f}")


if __name__ == "__main__":
    main()
