"""calibration_report: the program's page and figures, shown in a notebook, saved whole or not at all."""

import json
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from conftest import program

import softargmax
from softargmax import SoftargmaxError, calibration_report, metrics


@pytest.fixture(scope="module")
def digits(repository: Path) -> tuple[np.ndarray, np.ndarray]:
    folder = repository / "examples/digits"
    return np.load(folder / "logits.npy"), np.load(folder / "labels.npy")


@pytest.fixture(scope="module")
def report(digits: tuple[np.ndarray, np.ndarray]) -> softargmax.CalibrationReport:
    return calibration_report(*digits, name="digits")


def test_the_page_is_that_of_the_program(
    report: softargmax.CalibrationReport, repository: Path, tmp_path: Path
) -> None:
    """Its pictures and figures to the letter; the words name what each of the two can call."""
    folder = repository / "examples/digits"
    page = tmp_path / "page.html"
    files = [folder / "logits.npy", "--labels", folder / "labels.npy"]
    said = program("report", *files, "-o", page, "--svg", tmp_path)
    assert said.strip() == report.headline
    assert set(report.pictures) == {path.stem for path in tmp_path.glob("*.svg")}
    for name, picture in report.pictures.items():
        assert picture == (tmp_path / f"{name}.svg").read_text()
    theirs = page.read_text()
    for part in ("<table>", "<dl "):
        end = part.replace("<", "</").split(" ")[0].rstrip(">") + ">"
        assert [p.split(end)[0] for p in report.html.split(part)[1:]] == [
            p.split(end)[0] for p in theirs.split(part)[1:]
        ]
    assert "softargmax apply" in theirs and "softargmax apply" not in report.html
    assert f"softargmax.softmax(logits, axis=-1, temperature={report.tau:.4g})" in report.html


def test_figures_are_attributes(
    report: softargmax.CalibrationReport, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    logits, labels = digits
    assert (report.fitted + report.held_out, report.ignored, report.classes) == (len(labels), 0, 10)
    assert report.temperature is not None and report.tau == float(report.temperature)
    assert report.interval[0] < report.tau < report.interval[1]
    assert report.after is not None and report.difference is not None
    assert report.before.temperature.tau == 1 and report.after.temperature == report.temperature
    assert report.before.summary.rows == report.held_out
    change = report.after.summary.nll.value - report.before.summary.nll.value
    assert report.difference.nll.value == pytest.approx(change, rel=1e-9)
    assert report.difference.nll.high < 0 and report.after.ece.ece < report.before.ece.ece
    assert report.before.ece_equal_mass.null.replicates == report.before.smooth_ece.null.replicates == 1000
    assert report.before.brier_parts.uncertainty == report.after.brier_parts.uncertainty
    assert report.after.risk_coverage.full_risk == pytest.approx(1 - report.after.summary.accuracy.value)
    # Another seed splits the rows otherwise; the same one not.
    assert calibration_report(logits, labels, name="digits").html == report.html
    assert calibration_report(logits, labels, seed=1).tau != report.tau
    # Both halves are of these rows: the mean of their accuracies is that of all.
    assert abs(report.before.summary.accuracy.value - softargmax.fit_temperature(logits, labels).accuracy) < 0.02


class Names(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def test_a_notebook_shows_the_page_in_a_frame(report: softargmax.CalibrationReport) -> None:
    parser = Names()
    parser.feed(report._repr_html_())
    [(tag, attributes)] = parser.seen
    assert tag == "iframe" and attributes["srcdoc"] == report.html
    assert repr(report) == f'CalibrationReport("{report.headline}")'


def test_the_page_is_one_file_and_well_formed(report: softargmax.CalibrationReport) -> None:
    root = ElementTree.fromstring(report.html)
    for element in root.iter():
        for attribute, value in element.attrib.items():
            assert attribute not in ("src", "href"), value
    assert "url(" not in report.html and "@import" not in report.html
    for picture in report.pictures.values():
        ElementTree.fromstring(picture)
    evil = calibration_report([[1.0, 0.0], [0.0, 1.0]] * 20, [0, 1, 1, 1] * 10, name='<script>"&')
    assert "<script" not in evil.html and "&lt;script&gt;&quot;&amp;" in evil.html
    ElementTree.fromstring(evil.html)


def test_save_writes_all_or_nothing(report: softargmax.CalibrationReport, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("before")
    report.save(path)
    assert path.read_text() == report.html
    report.save(str(tmp_path / "other.html"))
    folder = tmp_path / "folder"
    folder.mkdir()
    for wrong in (tmp_path / "absent/report.html", folder):
        with pytest.raises(OSError):
            report.save(wrong)
    assert {path.name for path in tmp_path.iterdir()} == {"report.html", "other.html", "folder"}
    assert not list(folder.iterdir())


def test_where_there_is_no_temperature_the_rest_is_shown() -> None:
    report = calibration_report([[4.0, 0.0]] * 40, [0] * 40)
    assert (report.outcome, report.temperature, report.after, report.difference) == ("separable", None, None, None)
    assert np.isnan(report.tau) and "no temperature can be told" in report.headline
    assert "reliability-before" in report.pictures and "reliability-after" not in report.pictures
    assert any("No temperature is best" in sentence for sentence in report.findings)


def test_rows_that_do_not_count_and_refusals() -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(300, 4)).astype("f4") * 3, rng.integers(0, 4, 300)
    logits[np.arange(300), labels] += 2
    plain = calibration_report(logits, labels)
    hidden = calibration_report(logits, labels, where=[True, True, True, False], ignored=3)
    assert hidden.held_out + hidden.fitted == (labels != 3).sum() and hidden.ignored == (labels == 3).sum()
    assert any("rows without a class were left out" in caveat for caveat in hidden.caveats)
    weighted = calibration_report(logits, labels, weights=np.ones(300))
    assert weighted.before.summary.nll.value == plain.before.summary.nll.value
    assert calibration_report(logits, labels, weights=(labels != 3) * 1.0).ignored == hidden.ignored
    bad = logits.copy()
    bad[200, 1] = np.nan
    for arguments, text in [
        ((logits[:3], labels[:3]), "3 rows with a label and a weight are too few"),
        ((bad, labels), "row 200"),
        ((logits, labels + 1), "label 4 "),
        ((logits, labels[1:]), "labels has shape"),
    ]:
        with pytest.raises(SoftargmaxError, match=text):
            calibration_report(*arguments)
    with pytest.raises(SoftargmaxError, match="row 7"):
        calibration_report(logits, labels, weights=np.where(np.arange(300) == 7, -1.0, 1.0))


def test_calibrators(digits: tuple[np.ndarray, np.ndarray], repository: Path) -> None:
    """The program's parameters to the bit, and a distribution in every row."""
    logits, labels = digits
    folder = repository / "examples/digits"
    files = [folder / "logits.npy", "--labels", folder / "labels.npy", "--holdout", "0", "--json"]
    for model in ("temperature", "ets", "bcts", "vector", "auto"):
        want = json.loads(program("fit", *files, "--model", model))
        got = softargmax.fit_calibrator(logits, labels, model)
        assert (got.model, got.outcome) == (want["model"], want["outcome"]) and got.reason == want["reason"]
        tau = None if got.temperature is None else float(got.temperature)
        assert tau == (None if want["temperature"] is None else float(want["temperature"]))
        for name in ("scale", "bias", "shares"):
            mine = getattr(got, name)
            assert (None if mine is None else list(mine)) == want[name]
        theirs = want["candidates"] or []
        assert [[c.model, c.nll, c.difference] for c in got.candidates] == [
            [c["model"], c["nll"], c["difference"]] for c in theirs
        ]
        p = got.probabilities(logits)
        assert p.dtype == np.float64 and p.shape == logits.shape
        np.testing.assert_allclose(p.sum(1), 1, rtol=1e-12)
        log_p = got.log_probabilities(logits)
        np.testing.assert_allclose(np.exp(log_p), p, rtol=1e-12)
        assert metrics.summarise(metrics.scores(log_p, labels)).nll.value == pytest.approx(want["nll_after"], rel=1e-12)


def test_a_calibrator_that_could_not_be_fitted_is_none() -> None:
    got = softargmax.fit_calibrator([[4.0, 0.0]] * 8, [0] * 8, "temperature")
    assert (got.model, got.outcome, repr(got)) == (None, "separable", "Calibrator(none, separable)")
    with pytest.raises(SoftargmaxError, match=r"no model was fitted \(separable\)"):
        got.probabilities([[1.0, 0.0]])
    with pytest.raises(SoftargmaxError, match='model is "platt"'):
        softargmax.fit_calibrator([[4.0, 0.0]] * 8, [0] * 8, "platt")  # type: ignore[arg-type]
    bcts = softargmax.fit_calibrator([[2.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 2.0]] * 4, [0, 1, 0, 1] * 3 + [1, 0, 0, 1], "bcts")
    with pytest.raises(SoftargmaxError, match="a row of logits"):
        bcts.probabilities(np.zeros((2, 3)))
    with pytest.raises(SoftargmaxError, match="logits has shape"):
        bcts.probabilities([1.0, 2.0])
