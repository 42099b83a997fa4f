"""The temperature of rows in Parquet by polars, and the rows with their probabilities.

    python on_polars.py LOGS OUT.parquet    columns logits (lists or arrays) and label (integers); needs polars

Batches of the lazy frame go by one at a time: the rows are never all in memory. The second half is an expression of polars.
"""

import sys

import polars as pl

import softargmax.arrow


def fit(frame):
    def ask(question):
        batches = frame.select("logits", "label").collect_batches()
        return (softargmax.arrow.partial_stats(batch, question=question) for batch in batches)

    return softargmax.arrow.fit_temperature(ask)


def probabilities(logits, temperature):
    """An expression: softmax(x/τ) of a column of logits."""

    def of(column):
        rows = column.to_frame("logits")
        return pl.DataFrame(softargmax.arrow.apply(rows, temperature))["probabilities"]

    return logits.map_batches(of)


if __name__ == "__main__":
    logs = pl.scan_parquet(sys.argv[1])
    found = fit(logs)
    print(f"temperature {found.tau!r} ± {found.std_error!r}, {found.rows} rows, {found.outcome}")
    expression = probabilities(pl.col("logits"), found.temperature)
    logs.with_columns(expression.alias("probabilities")).collect().write_parquet(sys.argv[2])
