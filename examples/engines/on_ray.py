"""The temperature of rows in Parquet by Ray Data, and the rows with their probabilities.

    python on_ray.py LOGS OUT          columns logits (lists) and label (integers); needs ray[data]
"""

import sys

import pyarrow as pa
import ray

import softargmax.arrow


def fit(rows):
    def ask(question):
        def sums(batch):
            return pa.Table.from_batches([pa.record_batch(softargmax.arrow.partial_stats(batch, question=question))])

        scans = rows.select_columns(["logits", "label"]).map_batches(sums, batch_format="pyarrow", batch_size=None)
        return ray.get(scans.to_arrow_refs())

    return softargmax.arrow.fit_temperature(ask)


def apply(rows, temperature):
    def with_probabilities(batch):
        return pa.table(softargmax.arrow.apply(batch, temperature))

    return rows.map_batches(with_probabilities, batch_format="pyarrow")


if __name__ == "__main__":
    logs = ray.data.read_parquet(sys.argv[1])
    found = fit(logs)
    print(f"temperature {found.tau!r} ± {found.std_error!r}, {found.rows} rows, {found.outcome}")
    apply(logs, found.temperature).write_parquet(sys.argv[2])
