"""A stand-in for Delta Lake on a Spark server: PySpark from the registry brings no Delta jar.

It runs in the server's Python: it reads a table's files and takes out what their deletion vectors name, as Delta would. What is
tested with it is our side: that such a table is asked of the server, at a pinned version, and what becomes of its rows.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow.parquet as pq
from pyspark.sql.datasource import DataSource, DataSourceReader, InputPartition


class Delta(DataSource):
    @classmethod
    def name(cls) -> str:
        return "delta"

    def schema(self) -> str:
        return "content string, path string, language string"

    def reader(self, schema) -> DataSourceReader:
        return Reader(self.options["path"], int(self.options["versionasof"]))


class Reader(DataSourceReader):
    def __init__(self, path: str, version: int) -> None:
        self.path, self.version = path, version

    def read(self, partition: InputPartition) -> Iterator[tuple]:
        import deltalake
        import pyarrow as pa

        table = deltalake.DeltaTable(self.path, version=self.version)
        vectors = pa.table(table.deletion_vectors()).to_pylist()
        stays = {row["filepath"]: row["selection_vector"] for row in vectors}
        for uri in table.file_uris():
            rows = pq.read_table(uri.removeprefix("file://")).to_pylist()
            keep = next((kept for name, kept in stays.items() if name.endswith(uri.removeprefix("file://"))), [])
            for number, row in enumerate(rows):
                if number >= len(keep) or keep[number]:
                    yield row["content"], row["path"], row["language"]
