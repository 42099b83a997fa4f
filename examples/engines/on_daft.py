"""The temperature of rows in Parquet by Daft, and the rows with their probabilities.

    python on_daft.py LOGS OUT         columns logits (lists) and label (integers); needs daft

A function of Daft's gives a value for every row: here the sums of its batch in the first, and nothing in the others.
"""

import sys

import daft
import pyarrow as pa

import softargmax.arrow


def fit(frame):
    def ask(question):
        @daft.func.batch(return_dtype=daft.DataType.string())
        def sums(logits, label):
            rows = pa.table({"logits": logits.to_arrow(), "label": label.to_arrow()})
            scans = pa.table(softargmax.arrow.merge([softargmax.arrow.partial_stats(rows, question=question)]))
            return scans["scan"].to_pylist() + [None] * (len(rows) - len(scans))

        scans = frame.select(sums(daft.col("logits"), daft.col("label")).alias("scan"))
        return scans.where(daft.col("scan").not_null()).to_arrow()

    return softargmax.arrow.fit_temperature(ask)


def apply(frame, temperature):
    dtype = frame.schema()["logits"].dtype

    @daft.func.batch(return_dtype=dtype)
    def probabilities(logits):
        rows = pa.table({"logits": logits.to_arrow()})
        return pa.table(softargmax.arrow.apply(rows, temperature))["probabilities"].combine_chunks()

    return frame.with_column("probabilities", probabilities(daft.col("logits")))


if __name__ == "__main__":
    logs = daft.read_parquet(f"{sys.argv[1]}/*.parquet")
    found = fit(logs)
    print(f"temperature {found.tau!r} ± {found.std_error!r}, {found.rows} rows, {found.outcome}")
    apply(logs, found.temperature).write_parquet(sys.argv[2])
