"""The examples that train, run whole: what they show is what docs/training.md says they show."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed: it has the digits")

ONE_CORE = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")}


def run(repository: Path, name: str, folder: Path) -> str:
    script = repository / "examples/python" / f"{name}_digits.py"
    if not script.exists():
        pytest.skip("not in a checkout: examples/python is missing")
    result = subprocess.run(
        [sys.executable, script, folder], env=os.environ | ONE_CORE, capture_output=True, text=True, timeout=600
    )
    assert result.returncode == 0, result.stderr
    picture = folder / f"{name}.svg"
    assert picture.stat().st_size <= 60_000 and picture.read_text().startswith("<svg")
    return result.stdout


def numbers(line: str) -> list[float]:
    return [float(word) for word in re.findall(r"-?\d+(?:\.\d+)?(?:e-?\d+)?", line)]


def agrees_with_the_document(repository: Path, output: str) -> None:
    """Line for line, numbers within what another machine's products of matrices make of the same seeds."""
    document = (repository / "docs/training.md").read_text()
    for line in output.splitlines():
        words = re.sub(r"[-\d.e+]+", "#", line).split()
        same = [of for of in document.splitlines() if re.sub(r"[-\d.e+]+", "#", of).split() == words]
        # Percentages to 2.5 of a hundred more than the rest.
        near = [
            of
            for of in same
            if all(
                abs(a - b) <= 0.15 * abs(b) + (2.5 if b > 20 else 0.05)
                for a, b in zip(numbers(line), numbers(of), strict=True)
            )
        ]
        assert near, f"docs/training.md has no line like: {line}"


@pytest.mark.slow
def test_moco(repository: Path, tmp_path: Path) -> None:
    output = run(repository, "moco", tmp_path)
    agrees_with_the_document(repository, output)
    rows = [numbers(line) for line in output.splitlines()[1:4]]
    assert [row[0] for row in rows] == [0.07, 0.2, 1]
    (_, cold_loss, cold, *_), (_, middle_loss, _, *_), (_, hot_loss, hot, *_) = rows
    assert cold_loss < middle_loss < hot_loss and cold > hot
    # Not as in the paper, and so it says in the document.
    assert rows[0][4] > rows[2][4]


@pytest.mark.slow
def test_distillation(repository: Path, tmp_path: Path) -> None:
    output = run(repository, "distill", tmp_path)
    agrees_with_the_document(repository, output)
    labels, one, four, twenty = (numbers(line[20:])[0] for line in output.splitlines()[2:])
    assert labels < one < four and twenty < four


@pytest.mark.slow
def test_normface(repository: Path, tmp_path: Path) -> None:
    output = run(repository, "normface", tmp_path)
    agrees_with_the_document(repository, output)
    for line in output.splitlines()[1:]:
        scale, floor, first, last, accuracy, probability = numbers(line)
        assert floor <= last < first and accuracy > 90
        if scale == 1:
            # It has arrived where it cannot fall, and is sure of nothing.
            assert last < 1.05 * floor and probability < 0.3
