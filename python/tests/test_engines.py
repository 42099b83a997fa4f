"""The recipes of examples/engines, each run as a program over files of its own: the bits of one process, whatever the engine.

An engine that is not installed is not tested: pip install pysail 'pyspark-client<4.3' daft polars 'ray[data]'; for Spark itself
pyspark[sql] in place of pyspark-client, and Java 17. Spark runs here, two tasks at a time in Python processes of its own.
"""

import importlib.util
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

FILES, ROWS, CLASSES = 5, 400, 10
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
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("logs")
    random = np.random.default_rng(8)
    for i in range(FILES):
        labels = random.integers(CLASSES, size=ROWS)
        logits = random.normal(size=(ROWS, CLASSES)).astype("f4") * 4
        logits[np.arange(ROWS), labels] += 4
        lists = pa.FixedSizeListArray.from_arrays(logits.ravel(), CLASSES)
        table = pa.table({"logits": lists.cast(pa.list_(pa.float32())), "label": labels})
        pyarrow.parquet.write_table(table, folder / f"{i}.parquet", row_group_size=150)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("engine", NEEDS)
def test_recipes(repository: Path, logs: Path, tmp_path: Path, engine: str) -> None:
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
    want = softargmax.arrow.fit_temperature(lambda question: softargmax.arrow.partial_stats(table, question=question))
    assert want.rows == FILES * ROWS and want.outcome == "converged"
    line = f"temperature {want.tau!r} ± {want.std_error!r}, {want.rows} rows, converged"
    assert line in run.stdout.splitlines()
    got = pyarrow.parquet.read_table(out)
    assert got.num_rows == want.rows

    def rows(column: object) -> np.ndarray:
        return np.array(column.to_pylist(), dtype="f4")  # type: ignore[attr-defined]

    x = rows(got["logits"])
    assert np.array_equal(rows(got["probabilities"]), softargmax.softmax(x, -1, temperature=want.temperature))
    assert np.array_equal(np.sort(x, axis=0), np.sort(rows(table["logits"]), axis=0))
