"""Spark Connect, which Databricks speaks too: names go out as a table, mapInArrow runs the same tasks on the cluster.

The functions travel by reference: the cluster's Python must have this package, the worker's requirements and this
Python's minor version. Spark may run a task twice (retries, speculation): its files are renamed into place whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa

from worker.data.runners.reaching import Unreachable, brief, knock

VARIABLE = "SPARK_REMOTE"
PORT = 15002
# A partition is a task of Spark's scheduler: the finest balance, until their number itself costs the driver.
MOST_PARTITIONS = 10_000


class Spark:
    name = "spark"

    def __init__(self, remote: str) -> None:
        """remote: "sc://host:port/;token=...". Raises Unreachable."""
        self.address = knock(remote, PORT)
        try:
            from pyspark.errors import PySparkException
            from pyspark.sql import SparkSession
        except ImportError as error:
            raise Unreachable(self.address, "PySpark is not installed (worker/requirements-scale.txt)") from error
        try:
            self.session = SparkSession.builder.remote(remote).getOrCreate()
            self.session.version  # noqa: B018 - the first question that the server must answer
        except (PySparkException, ValueError) as error:
            raise Unreachable(self.address, brief(error)) from error

    def map(self, run: Callable[[str], str], names: Sequence[str]) -> Iterator[str]:
        def each(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for batch in batches:
                for name in batch.column(0).to_pylist():
                    yield pa.RecordBatch.from_pydict({"answer": [run(name)]})

        table = self.session.createDataFrame([(name,) for name in names], "name string")
        partitions = max(1, min(len(names), MOST_PARTITIONS))
        answers = table.repartition(partitions).mapInArrow(each, "answer string")
        for row in answers.toLocalIterator():
            yield row.answer
