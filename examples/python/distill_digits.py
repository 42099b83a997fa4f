"""A student of 8 hidden units learns digits from 100 labels, or from what a teacher says of the same 100 pictures at T = 1, 4, 20.

    loss = 0.9 · T²·KL(softmax(teacher/T) ‖ softmax(student/T)) + 0.1 · cross-entropy with the label

    python distill_digits.py [folder for the picture]

Hinton, Vinyals & Dean 2015 say: soft targets teach a small model more than labels do, and T between 2.5 and 4 was best where it was
very small.
"""

import sys
from pathlib import Path

import numpy as np
from network import Network, digits
from picture import chart

import softargmax

SEEDS, STEPS = 10, 1500


def main(folder: Path | None) -> None:
    x, y, test, truth = digits()
    random = np.random.default_rng(0)
    teacher = Network(random, 64, 256, 10)
    for step in range(1200):
        rows = random.integers(0, len(x), 128)
        noisy = (x[rows] + random.normal(0, 0.2, (128, 64))).astype(np.float32)
        teacher.step(teacher.back(softargmax.cross_entropy(teacher(noisy), y[rows]).logits), 1e-3)
    print(f"teacher, 256 hidden units, 1347 labels: {100 * (teacher(test).argmax(1) == truth).mean():.1f} %")
    print("student of 8 hidden units, 100 pictures     accuracy (10 seeds)     of the teacher's answers")
    of_test, points = teacher(test).argmax(1), []
    for tau in (None, 1, 4, 20):
        right, same = [], []
        for seed in range(SEEDS):
            random = np.random.default_rng(100 + seed)
            few = random.permutation(len(x))[:100]
            pictures, labels, said = x[few], y[few], teacher(x[few])
            student = Network(random, 64, 8, 10)
            for step in range(STEPS):
                logits = student(pictures)
                if tau is None:
                    loss = softargmax.cross_entropy(logits, labels)
                else:
                    loss = softargmax.distillation(
                        logits, said, tau, soft_weight=0.9, hard_labels=labels, hard_weight=0.1
                    )
                student.step(student.back(loss.logits), 3e-3)
            answer = student(test).argmax(1)
            right.append(100 * (answer == truth).mean())
            same.append(100 * (answer == of_test).mean())
        name = "labels alone" if tau is None else f"T = {tau}"
        error = np.std(right, ddof=1) / np.sqrt(SEEDS)
        print(f"{name:>20} {np.mean(right):22.1f} ± {error:.1f} % {np.mean(same):24.1f} %")
        points.append((float(tau or 0), float(np.mean(right)), float(error)))
    if folder:
        chart(
            folder / "distill.svg", "A small student of digits, ten seeds", "T", "accuracy on test digits, %",
            {"teacher and labels": points[1:]}, {"labels alone": points[0][1]}, logarithmic="x",
        )  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
