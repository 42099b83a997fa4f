"""The recipes of examples/engines, each run as a program over files of its own: the bits of one process, whatever the engine.

They are those of fixtures/same_bits.json, to which files of four formats, SQL and Ballista are held too
(cli/tests/same_bits.rs, sql/tests/sql/same_bits.rs, cluster/tests/cluster.rs).

An engine that is not installed is not tested: pip install pysail 'pyspark-client<4.3' daft polars 'ray[data]'; for Spark itself
pyspark[sql] in place of pyspark-client, and Java 17. Spark runs here, two tasks at a time in Python processes of its own.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import softargmax

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install -r python/requirements-test.txt")

import pyarrow.parquet  # noqa: E402
import softargmax.arrow  # noqa: E402

FILES, CLASSES = 5, 10
NEEDS = {"polars": ["polars"], "daft": ["daft"], "sail": ["pysail", "pyspark"], "ray": ["ray"], "spark": ["pyspark", "pandas"]}


def missing(engine: str) -> list[str]:
    names = [name for name in NEEDS[engine] if importlib.util.find_spec(name) is None]
    if engine == "spark" and not names:
        # pyspark-client has the same modules, and no engine.
        folder = importlib.util.find_spec("pyspark").submodule_search_locations[0]  # type: ignore[union-attr, index]
        names += [] if (Path(folder) / "jars").is_dir() else ["pyspark's jars"]
        names += [] if shutil.which("java") else ["java"]
    return names


@pytest.fixture(scope="module")
def rows() -> tuple[np.ndarray, np.ndarray]:
    """The digits four times: as they are, and by factors that are exact."""
    digits = Path(__file__).resolve().parents[2] / "examples/digits"
    if not digits.exists():
        pytest.skip("not in a checkout: examples/digits is missing")
    logits, labels = np.load(digits / "logits.npy"), np.load(digits / "labels.npy")
    return np.concatenate([logits * np.float32(factor) for factor in (1, 0.5, 0.25, 2)]), np.tile(labels, 4)


@pytest.fixture(scope="module")
def logs(rows: tuple[np.ndarray, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("logs")
    for i, (logits, labels) in enumerate(zip(*(np.array_split(of, FILES) for of in rows))):
        lists = pa.FixedSizeListArray.from_arrays(logits.ravel(), CLASSES)
        table = pa.table({"logits": lists.cast(pa.list_(pa.float32())), "label": labels})
        pyarrow.parquet.write_table(table, folder / f"{i}.parquet", row_group_size=150)
    return folder


@pytest.fixture
def pinned(repository: Path) -> dict:
    return json.loads((repository / "fixtures/same_bits.json").read_text())


def same(got: softargmax.TemperatureFit, want: dict) -> None:
    for name, value in want.items():
        found = getattr(got, "tau" if name == "temperature" else name)
        assert (list(found) if name == "interval" else found) == value, name


def test_without_an_engine(rows: tuple[np.ndarray, np.ndarray], logs: Path, pinned: dict) -> None:
    # Begins at a sample of them; record batches do at τ = 1.
    same(softargmax.fit_temperature(*rows), pinned["fit"])
    batches = pyarrow.parquet.read_table(logs).to_batches(max_chunksize=100)
    ask = lambda question: [softargmax.arrow.partial_stats(batch, question=question) for batch in batches]  # noqa: E731
    same(softargmax.arrow.fit_temperature(ask), pinned["fit"])
    same(softargmax.arrow.fit(softargmax.arrow.partial_stats(batch) for batch in batches), pinned["scan"])


@pytest.mark.slow
@pytest.mark.parametrize("engine", NEEDS)
def test_recipes(
    repository: Path, rows: tuple[np.ndarray, np.ndarray], logs: Path, pinned: dict, tmp_path: Path, engine: str
) -> None:
    if missing(engine):
        pytest.skip(f"{', '.join(missing(engine))} not installed")
    out = tmp_path / ("out.parquet" if engine == "polars" else "out")
    command = [sys.executable, repository / f"examples/engines/on_{engine}.py", logs, out]
    environment = dict(os.environ, PYSPARK_PYTHON=sys.executable)
    if engine == "spark":
        environment["PYSPARK_SUBMIT_ARGS"] = "--master local[2] --name softargmax pyspark-shell"
    run = subprocess.run(command, capture_output=True, text=True, timeout=900, env=environment)
    assert run.returncode == 0, run.stdout + run.stderr
    table = pyarrow.parquet.read_table(logs)
    want = pinned["fit"]
    line = f"temperature {want['temperature']!r} ± {want['std_error']!r}, {want['rows']} rows, converged"
    assert line in run.stdout.splitlines()
    got = pyarrow.parquet.read_table(out)
    assert got.num_rows == want["rows"]

    def numbers(column: object) -> np.ndarray:
        return np.array(column.to_pylist(), dtype="f4")  # type: ignore[attr-defined]

    x = numbers(got["logits"])
    temperature = softargmax.fit_temperature(*rows).temperature
    assert np.array_equal(numbers(got["probabilities"]), softargmax.softmax(x, -1, temperature=temperature))
    assert np.array_equal(np.sort(x, axis=0), np.sort(numbers(table["logits"]), axis=0))
