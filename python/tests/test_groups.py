"""fit_groups: the program's temperatures to the bit, names of any kind, refusals."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import program, same_bits

import softargmax
from softargmax import SoftargmaxError, fit_groups, fit_temperature


@pytest.fixture(scope="module")
def digits(repository: Path) -> tuple[np.ndarray, np.ndarray]:
    folder = repository / "examples/digits"
    return np.load(folder / "logits.npy"), np.load(folder / "labels.npy")


@pytest.fixture(scope="module")
def groups(digits: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """By the two largest logits; the first row's group is not the first by name."""
    return np.array([f"{a}{b}" for a, b in np.sort(digits[0].argsort(1)[:, -2:] // 5, 1)])


def test_the_program_says_the_same(
    digits: tuple[np.ndarray, np.ndarray], groups: np.ndarray, repository: Path, tmp_path: Path
) -> None:
    logits, labels = digits
    weights = np.linspace(0, 2, len(labels))
    np.save(tmp_path / "weights.npy", weights)
    (tmp_path / "groups.csv").write_text("\n".join(groups) + "\n")
    folder = repository / "examples/digits"
    files = [folder / "logits.npy", "--labels", folder / "labels.npy", "--groups", tmp_path / "groups.csv"]
    for options, arguments in [([], {}), (["--weights", tmp_path / "weights.npy"], {"weights": weights})]:
        want = json.loads(program("fit", *files, "--holdout", "0", "--json", *options))
        got = fit_groups(logits, labels, groups, **arguments)
        assert [
            {
                "name": name,
                "rows": group.alone.rows,
                "temperature": float(group.temperature),
                "log_deviation": group.log_deviation,
                "alone": group.alone.tau,
            }
            for name, group in got.groups.items()
        ] == want["groups"]
        assert list(got.groups) != sorted(got.groups)
        assert got.deviation == want["group_deviation"]
        assert got.pool.tau == float(want["temperature"])


def test_names_are_what_they_are(digits: tuple[np.ndarray, np.ndarray], groups: np.ndarray) -> None:
    logits, labels = digits
    texts = fit_groups(logits, labels, groups)
    numbers = groups.astype(int)
    for other in (numbers, numbers.tolist(), numbers.astype("u1"), [(int(n), "x") for n in numbers]):
        fit = fit_groups(logits, labels, other)
        assert [repr(group) for group in fit.groups.values()] == [repr(group) for group in texts.groups.values()]
    fit = fit_groups(logits, labels, numbers)
    assert set(fit.groups) == set(numbers.tolist())
    assert fit.temperature(int(numbers[0])) == fit.temperature(numbers[0]) == fit.groups[numbers[0]].temperature
    # What is done to the dict is not done to the fit.
    fit.groups.clear()
    assert len(fit.groups) == len(set(numbers.tolist()))


def test_it_is_applied_row_by_row(digits: tuple[np.ndarray, np.ndarray], groups: np.ndarray) -> None:
    logits, labels = digits
    fit = fit_groups(logits, labels, groups)
    p = softargmax.softmax(logits, axis=-1, temperature=fit.temperatures(groups))
    for name, group in fit.groups.items():
        rows = groups == name
        assert same_bits(p[rows], softargmax.softmax(logits[rows], axis=-1, temperature=group.temperature))
    assert fit.temperatures(["new"]) == [fit.pool.temperature]


def test_rows_that_do_not_count() -> None:
    logits, labels = [[4.0, 0.0]] * 8 + [[np.nan, 0.0]], [0, 0, 0, 1] * 2 + [-100]
    fit = fit_groups(logits, labels, list("aaaabbbbc"), ignored=-100)
    assert (fit.groups["c"].temperature, fit.groups["c"].alone.outcome) == (fit.pool.temperature, "no_rows")
    assert (fit.groups["c"].alone.ignored, fit.groups["a"].alone.rows, fit.pool.ignored) == (1, 4, 1)
    assert fit.deviation == 0 and fit.temperature("a") == fit.pool.temperature
    assert repr(fit.pool) == repr(fit_temperature(logits, labels, ignored=-100))
    hidden = fit_groups([[4.0, 0.0, 9.0]] * 8, labels[:8], [0] * 8, where=[True, True, False])
    assert hidden.pool.tau == pytest.approx(fit.pool.tau, rel=1e-12)


def test_without_a_best_temperature_there_are_no_groups() -> None:
    fit = fit_groups([[4.0, 0.0]] * 4, [0] * 4, ["a", "a", "b", "b"])
    assert (fit.pool.outcome, fit.groups, fit.temperature("a")) == ("separable", {}, None)
    assert np.isnan(fit.deviation) and repr(fit) == "GroupsFit(separable)"
    with pytest.raises(SoftargmaxError, match=r"no temperature was fitted \(separable\)"):
        fit.temperatures(["a"])


def test_refusals() -> None:
    x, y = [[4.0, 0.0]] * 4, [0, 0, 0, 1]
    with pytest.raises(SoftargmaxError, match="groups has length 3, expected 4"):
        fit_groups(x, y, "aab")
    with pytest.raises(SoftargmaxError, match="groups: nan of row 2 is not equal to itself"):
        fit_groups(x, y, [1.0, 1.0, float("nan"), 2.0])
    with pytest.raises(SoftargmaxError, match="groups has no axis"):
        fit_groups(x, y, np.array(3))
    with pytest.raises(TypeError, match="unhashable"):
        fit_groups(x, y, np.zeros((4, 2)))
    with pytest.raises(TypeError):
        fit_groups(x, y, 3)  # type: ignore[arg-type]
    with pytest.raises(SoftargmaxError, match="label 2 "):
        fit_groups(x, [0, 0, 0, 2], "aabb")
    with pytest.raises(TypeError, match="labels has dtype float64"):
        fit_groups(x, np.full((4, 2), 0.5), "aabb")
