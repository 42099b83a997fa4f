"""What is written is true: docstrings, stubs, the guide, the README's Python block."""

import doctest
import importlib.util
import inspect
import subprocess
import sys
from operator import attrgetter
from pathlib import Path
from types import ModuleType

import pytest

import softargmax
from softargmax import metrics

# What writes into its argument returns nothing.
WITHOUT = [("momentum_update", "Returns")]

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def run(text: str, name: str) -> int:
    """Runs the `>>>` lines of a text; how many there were."""
    test = doctest.DocTestParser().get_doctest(text, {}, name, None, 0)
    report: list[str] = []
    result = doctest.DocTestRunner(optionflags=FLAGS).run(test, out=report.append)
    assert result.failed == 0, "".join(report)
    return result.attempted


def python_blocks(page: Path) -> str:
    blocks = page.read_text().split("```python\n")[1:]
    return "\n".join(block.split("```")[0] for block in blocks)


@pytest.mark.parametrize("name", [*softargmax.__all__, *(f"metrics.{name}" for name in metrics.__all__)])
def test_docstrings(name: str) -> None:
    thing = attrgetter(name)(softargmax)
    text = inspect.getdoc(thing)
    assert text, f"{name} says nothing about itself"
    examples = run(text, name)
    if inspect.isbuiltin(thing) and not name.endswith("_num_threads"):
        assert examples > 0, f"{name} has no example"
        for section in ("Parameters", "Returns", "Raises"):
            assert f"{section}\n---" in text or (name, section) in WITHOUT, f"{name} has no section {section}"


def test_the_docstring_of_the_estimator() -> None:
    sklearn = pytest.importorskip("softargmax.sklearn")
    assert run(inspect.getdoc(sklearn.TemperatureScaling), "TemperatureScaling") > 3


@pytest.mark.parametrize("module", [softargmax, metrics])
def test_all_is_complete_and_in_order(module: ModuleType) -> None:
    public = {name for name in vars(module) if not name.startswith("_")}
    public -= {name for name in public if inspect.ismodule(getattr(module, name))}
    assert module.__all__ == sorted(public)


def test_the_guide(repository: Path) -> None:
    assert run((repository / "docs/python.md").read_text(), "docs/python.md") > 20


def test_the_guide_to_many_machines(repository: Path) -> None:
    pytest.importorskip("pyarrow")
    assert run(python_blocks(repository / "docs/scale.md"), "docs/scale.md") > 3


def test_the_tutorial(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its files are those of the checkout; what it writes does not go there."""
    pytest.importorskip("sklearn")
    (tmp_path / "examples").symlink_to(repository / "examples")
    monkeypatch.chdir(tmp_path)
    assert run((repository / "docs/tutorial.md").read_text(), "docs/tutorial.md") > 20
    assert (tmp_path / "report.html").read_text().startswith("<!DOCTYPE html>")


def test_the_readme_has_a_true_python_block(repository: Path) -> None:
    for readme in ("README.md", "python/README.md"):
        assert run(python_blocks(repository / readme), readme) > 0


def test_stubs_are_those_of_the_module(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mypy.stubtest", "softargmax"]
    # scikit-learn has no types. Where torch is not installed nothing is known of its own.
    (tmp_path / "mypy.ini").write_text("[mypy]\n[mypy-sklearn.*,torch.*]\nignore_missing_imports = True\n")
    command += ["--mypy-config-file", str(tmp_path / "mypy.ini")]
    # Without them there is no softargmax.torch, no softargmax.sklearn to compare with.
    absent = [name for name in ("sklearn", "torch") if importlib.util.find_spec(name) is None]
    allowed = "".join(f"softargmax\\.{name}.*\n" for name in absent)
    # scikit-learn puts these on every estimator.
    allowed += r"softargmax\.sklearn\.TemperatureScaling\.set_(fit|score)_request" "\n"
    (tmp_path / "allowed").write_text(allowed)
    command += ["--allowlist", str(tmp_path / "allowed"), "--ignore-unused-allowlist"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_types_as_a_caller_sees_them(tmp_path: Path) -> None:
    right = tmp_path / "right.py"
    right.write_text("""
from decimal import Decimal
from fractions import Fraction
import numpy as np
import softargmax as s

x = np.zeros((2, 3), dtype=np.float32)
s.softmax(x, -1, temperature=0.5, out=x, where=x > 0)
s.softmax([[1.0, 2.0]], axis=(0, 1), temperature=[1.0])
s.log_softmax(x, temperature="0.1")
s.logsumexp(x, 0, None, True, False, temperature=Fraction(1, 3))
tau: s.Temperature = s.Temperature(Decimal("0.07"))
f: float = float(tau) + tau.scale
found: s.Temperature | None = s.solve_temperature(x, entropy=1.0).temperature
g: s.Gradient = s.softmax_vjp(x, x, temperature=tau)
fit: s.TemperatureFit = s.fit_temperature(x, [0, 1], weights=[1.0, 2.0], prior=(0.5, "2"), where=x > 0)
interval: tuple[float, float] = fit.interval
p: float = s.evaluate(x, [0, 1], temperature=fit.temperature or 1.0).smooth_ece.null.p_value
error: s.metrics.CalibrationError = s.metrics.calibration_error(s.metrics.scores(x, [0, 1]), binning="equal_mass")
page: str = s.calibration_report(x, [0, 1], seed=1).html
taus: list[s.Temperature] = s.fit_groups(x, [0, 1], ["a", "b"]).temperatures("ab")
q: object = s.fit_calibrator(x, [0, 1], "bcts").probabilities(x)
""")
    wrong = tmp_path / "wrong.py"
    wrong.write_text("import softargmax as s\ns.softmax([1.0], temperature=None)\ns.entropy([1.0], axes=0)\n")
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--cache-dir", str(tmp_path)]
    result = subprocess.run([*command, right], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    result = subprocess.run([*command, wrong], capture_output=True, text=True)
    assert result.stdout.count("error:") == 2, result.stdout
