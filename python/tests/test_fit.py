"""fit_temperature: the library's to the bit, whoever asks; outcomes, priors, shares, refusals."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import program, same_bits

import softargmax
from softargmax import SoftargmaxError, Temperature, fit_temperature

NAMES = (
    "outcome std_error robust_std_error p_value_tau_is_one nll_before nll_after accuracy rows ignored "
    "classes passes infinite infinite_rows"
).split()


@pytest.fixture(scope="module")
def digits(repository: Path) -> tuple[np.ndarray, np.ndarray]:
    folder = repository / "examples/digits"
    return np.load(folder / "logits.npy"), np.load(folder / "labels.npy")


def test_the_program_says_the_same(digits: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    logits, labels = digits
    weights = np.linspace(0, 2, len(labels))
    np.save(tmp_path / "weights.npy", weights)
    folder = Path(__file__).resolve().parents[2] / "examples/digits"
    files = [folder / "logits.npy", "--labels", folder / "labels.npy", "--holdout", "0", "--json"]
    for options, arguments in [
        ([], {}),
        (["--weights", tmp_path / "weights.npy"], {"weights": weights}),
        (["--prior", "0.5@2"], {"prior": (0.5, 2)}),
        (["--prior", "0.01"], {"prior": 0.01}),
    ]:
        want = json.loads(program("fit", *files, *options))
        got = fit_temperature(logits, labels, **arguments)
        assert {name: getattr(got, name) for name in NAMES} == {name: want[name] for name in NAMES}
        assert got.tau == float(want["temperature"])
        assert list(got.interval) == want["interval"]


def test_the_program_says_the_same_of_more_rows_than_a_sample(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 9, 20_000)
    logits = rng.normal(size=(20_000, 9)).astype("f4")
    logits[np.arange(len(labels)), labels] += 1.5
    np.save(tmp_path / "logits.npy", logits)
    np.save(tmp_path / "labels.npy", labels)
    files = [tmp_path / "logits.npy", "--labels", tmp_path / "labels.npy"]
    want = json.loads(program("fit", *files, "--holdout", "0", "--json"))
    got = fit_temperature(logits, labels)
    assert {name: getattr(got, name) for name in NAMES} == {name: want[name] for name in NAMES}
    assert got.tau == float(want["temperature"])


def test_blocks_layouts_and_threads_do_not_show() -> None:
    """More than one block of 2^24 numbers, more than the sample's threshold."""
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 7, 1 << 16)
    logits = rng.normal(size=(1 << 16, 7)).astype("f4")
    logits[np.arange(len(labels)), labels] += 1.5
    want = repr(fit_temperature(logits, labels))
    wide = np.full((len(labels), 300), -np.inf, "f4")  # 19.7 million
    wide[:, :7] = logits
    before = softargmax.get_num_threads()
    try:
        for threads in (1, 2, 3):
            softargmax.set_num_threads(threads)
            assert repr(fit_temperature(np.asfortranarray(logits), labels)) == want
        got = fit_temperature(wide, labels)
        assert got.classes == 300 and got.rows == len(labels)
        # What is masked has no probability: only the sample's start differs, which the answer does not see.
        assert got.tau == pytest.approx(fit_temperature(logits, labels).tau, rel=1e-12)
    finally:
        softargmax.set_num_threads(before)


def test_the_optimum_is_one() -> None:
    rng = np.random.default_rng(6)
    logits, labels = rng.normal(size=(500, 4)) * 3, rng.integers(0, 4, 500)
    logits[np.arange(500), labels] += 2
    fit = fit_temperature(logits, labels)

    def nll(tau: float) -> float:
        return softargmax.cross_entropy(logits, labels, tau).value

    at = nll(fit.tau)
    assert fit.nll_after == pytest.approx(at, rel=1e-13)
    assert fit.nll_before == pytest.approx(nll(1.0), rel=1e-13)
    assert min(nll(fit.tau * 1.001), nll(fit.tau / 1.001)) > at
    assert fit.interval[0] < fit.tau < fit.interval[1] and fit.std_error > 0
    assert isinstance(fit.temperature, Temperature) and float(fit.temperature) == fit.tau
    # The curvature in τ by a central difference.
    h = fit.tau * 1e-4
    curvature = (nll(fit.tau + h) - 2 * at + nll(fit.tau - h)) / h**2
    assert fit.std_error == pytest.approx(1 / np.sqrt(500 * curvature), rel=1e-4)


def test_scaled_logits_scale_tau_exactly(digits: tuple[np.ndarray, np.ndarray]) -> None:
    logits, labels = digits
    tau = fit_temperature(logits, labels).tau
    assert fit_temperature(logits.astype("f8") * 2.0**300, labels).tau == pytest.approx(tau * 2.0**300, rel=1e-12)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "bfloat16"])
def test_types(dtype: str) -> None:
    import ml_dtypes

    kind = np.dtype(getattr(ml_dtypes, dtype, dtype))
    logits = np.array([[4, 0], [0, 4], [4, 0], [0, 2]], kind)
    fit = fit_temperature(logits, np.array([0, 1, 1, 1], "u1"))
    assert fit.tau == pytest.approx(fit_temperature(logits.astype("f8"), [0, 1, 1, 1]).tau, rel=1e-12)


def test_outcomes_have_names() -> None:
    x = [[4.0, 0.0], [3.0, 0.0]]
    for logits, labels, outcome in [
        (x, [0, 0], "separable"),
        (x, [1, 1], "no_signal"),
        ([[1.0, 1.0]], [0], "constant_logits"),
        (x, [-1, -1], "no_rows"),
        (np.zeros((0, 2)), [], "no_rows"),
        ([[-np.inf, 0.0], [1.0, 0.0]], [0, 1], "infinite_nll"),
    ]:
        fit = fit_temperature(logits, np.asarray(labels, int), ignored=-1)
        assert (fit.outcome, fit.temperature) == (outcome, None)
        assert np.isnan([fit.tau, fit.std_error, fit.nll_after, *fit.interval]).all()
    assert (fit.infinite, fit.infinite_rows) == (1, [0])
    # A prior makes an answer of any rows.
    assert fit_temperature(x, [0, 0], prior=0.5).outcome == "converged"


def test_shares_masks_and_ignored_rows() -> None:
    rng = np.random.default_rng(7)
    logits, labels = rng.normal(size=(60, 3)).astype("f4"), rng.integers(0, 3, 60)
    logits[np.arange(60), labels] += 1
    plain = fit_temperature(logits, labels)
    # Labels as distributions.
    shares = np.eye(3)[labels]
    assert fit_temperature(logits, shares).tau == pytest.approx(plain.tau, rel=1e-12)
    assert fit_temperature(logits, shares.astype(int)).tau == pytest.approx(plain.tau, rel=1e-12)
    # Softer targets want a softer model.
    assert fit_temperature(logits, 0.8 * shares + 0.2 / 3).tau > plain.tau
    # A mask is −∞.
    hidden = np.ones((60, 3), bool)
    hidden[np.arange(0, 60, 2), (labels[::2] + 1) % 3] = False
    masked = np.where(hidden, logits, -np.inf)
    assert repr(fit_temperature(logits, labels, where=hidden)) == repr(fit_temperature(masked, labels))
    # Rows that do not count may hold anything.
    more = np.concatenate([logits, np.full((1, 3), np.nan, "f4")])
    for arguments in ({"ignored": -100}, {"weights": [1.0] * 60 + [0.0]}):
        label = [-100] if "ignored" in arguments else [0]
        fit = fit_temperature(more, np.concatenate([labels, label]), **arguments)
        assert (fit.tau, fit.rows, fit.ignored) == (plain.tau, 60, 1)


def test_refusals() -> None:
    x = np.zeros((3, 2))
    for arguments, text in [
        ((x, [0, 1]), r"labels has shape \[2\], expected \[3\]"),
        ((x, [0, 1, 2]), "label 2 "),
        ((x[0], [0]), "logits has shape"),
        ((np.zeros((3, 0)), [0, 0, 0]), "0 classes"),
        ((x, np.zeros((3, 3))), r"labels has shape \[3, 3\], expected \[3, 2\]"),
        ((x, np.zeros((3, 2))), "row 0"),
        (([[0.0, 1.0], [np.nan, 1.0]], [0, 0]), "row 1"),
        (([[0.0, 1.0], [-np.inf, -np.inf]], [0, 0]), "row 1"),
    ]:
        with pytest.raises(SoftargmaxError, match=text):
            fit_temperature(*arguments)
    for options, text in [
        ({"weights": [1.0, -1.0, 1.0]}, "row 1"),
        ({"weights": [1.0]}, r"weights has shape \[1\], expected \[3\]"),
        ({"prior": 0.0}, "sigma|prior"),
        ({"prior": (0.5, 0)}, "temperature 0"),
        ({"where": [[True, True, True]]}, "where has shape"),
    ]:
        with pytest.raises(SoftargmaxError, match=text):
            fit_temperature(x, [0, 1, 1], **options)
    with pytest.raises(SoftargmaxError, match="ignored is a label"):
        fit_temperature(x, np.full((3, 2), 0.5), ignored=-1)
    with pytest.raises(TypeError, match="labels has dtype float64"):
        fit_temperature(x, [0.0, 1.0, 1.0])
    # The row is that of the whole, also beyond the first block and the first sample.
    large = np.zeros((70_000, 300), "f4")
    large[:, 0] = 1
    large[66_000, 5] = np.nan
    with pytest.raises(SoftargmaxError, match="row 66000"):
        fit_temperature(large, np.zeros(70_000, int))
    with pytest.raises(SoftargmaxError, match="row 66000"):
        weights = np.ones(70_000)
        weights[66_000] = -1
        fit_temperature(large, np.zeros(70_000, int), weights=weights)


def test_other_threads_run_during_a_fit() -> None:
    from concurrent.futures import ThreadPoolExecutor

    rng = np.random.default_rng(3)
    x, labels = rng.normal(size=(30_000, 50)), rng.integers(0, 50, 30_000)
    x[np.arange(len(labels)), labels] += 2
    want = repr(fit_temperature(x, labels))
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: repr(fit_temperature(x, labels)), range(8))) == {want}


def test_a_fit_is_applied_exactly(digits: tuple[np.ndarray, np.ndarray]) -> None:
    logits, labels = digits
    fit = fit_temperature(logits, labels)
    p = softargmax.softmax(logits, axis=-1, temperature=fit.temperature)
    assert same_bits(p, softargmax.softmax(logits, axis=-1, temperature=Temperature(str(fit.temperature).split("'")[1])))
    assert (p.argmax(1) == logits.argmax(1)).all()
