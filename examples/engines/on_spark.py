"""The temperature of rows in Parquet by Spark, and the rows with their probabilities.

    python on_spark.py LOGS OUT        columns logits (lists) and label (integers); needs pyspark[sql] 4 and Java 17

Every task sums up its partition into one row; the driver adds those few rows, exactly, and asks again, two to five times. The
executors need this package: PYSPARK_PYTHON names a Python that has it.
"""

import sys

import pyarrow as pa
from pyspark.sql import SparkSession
from pyspark.sql.types import StructField, StructType

import softargmax.arrow


def fit(frame):
    def ask(question):
        def sums(batches):
            yield pa.record_batch(softargmax.arrow.partial_stats(batches, question=question))

        return frame.select("logits", "label").mapInArrow(sums, "scan string").toArrow()

    return softargmax.arrow.fit_temperature(ask)


def apply(frame, temperature):
    def with_probabilities(batches):
        for batch in batches:
            yield pa.record_batch(softargmax.arrow.apply(batch, temperature))

    # Not by frame.schema.add, which would add it to the frame's own.
    added = StructField("probabilities", frame.schema["logits"].dataType)
    schema = StructType([*frame.schema.fields, added])
    return frame.mapInArrow(with_probabilities, schema)


def main(spark, logs, out):
    frame = spark.read.parquet(logs)
    found = fit(frame)
    print(f"temperature {found.tau!r} ± {found.std_error!r}, {found.rows} rows, {found.outcome}")
    apply(frame, found.temperature).write.parquet(out)


if __name__ == "__main__":
    main(SparkSession.builder.getOrCreate(), *sys.argv[1:3])
