"""Delta tables that only Spark reads: with deletion vectors, renamed columns, or features that no reader here knows.

The server reads the table, so that what was deleted never leaves it; its rows come over Spark Connect once, at listing, and are
spooled like those of a packed file. They come sorted by path, repository and content: a table has no order of its own, and
the same rows must make the same dataset. So a table passes through the job's process as a whole: for very large ones a
plain copy made on the cluster, which is read as files, is quicker (docs/data-engine.md).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from worker.data.runners import on_spark
from worker.data.runners.reaching import Unreachable
from worker.data.sources import jsonl
from worker.data.sources.columns import Mapped, mapping_of
from worker.data.sources.places import brief
from worker.data.sources.reader import Found, Read, snapshot_of
from worker.data.sources.rows import Row
from worker.data.sources.spool import Spool, read_spooled
from worker.data.sources.tables import Described, found_in
from worker.failures import StageFailure
from worker.specs import SourceSpec

if TYPE_CHECKING:  # delta-rs takes a moment to import, and Spark's package is of worker/requirements-scale.txt
    from pyspark.sql import DataFrame

    from worker.data.sources.delta import DeltaFiles

ORDER = ("path", "repository", "content")


def is_at_hand() -> bool:
    """Whether the job was given a Spark server."""
    return bool(os.environ.get(on_spark.VARIABLE))


@dataclass(frozen=True)
class SparkTable:
    """A Delta table by its folder, or by its name in the server's own catalog (kind unity). `files` tells its version."""

    spec: SourceSpec
    files: DeltaFiles
    scratch: Path | None = None

    def list(self) -> Iterator[Found]:
        """Raises data:user:missing-column, and data:user:source-unreachable for what the server refuses."""
        if self.scratch is None:
            raise ValueError("a table that Spark reads needs a scratch folder")
        mapped = self._mapped()
        wanted = self._frame.select(*mapped.wanted(self._frame.columns))
        ordered = wanted.orderBy(*(mapped.columns[role] for role in ORDER if role in mapped.columns))
        stamp = str(self.files.version)
        with Spool(self.scratch, f"{self.spec.name}\0{self.spec.location}") as spool:
            for number, row in enumerate(self._asked(ordered)):
                yield found_in(_row(row, number, mapped, spool), row, mapped, f"rows/{number:08d}", stamp)

    def read(self, locators: Sequence[bytes], sizes: Sequence[int]) -> Sequence[Read]:
        assert self.scratch is not None
        return read_spooled(self.scratch, [locator.removeprefix(jsonl.SPOOLED) for locator in locators])

    def snapshot(self) -> str:
        return snapshot_of([("version", self.files.version, "")])

    def describe(self) -> Described:
        columns = [(field.name, field.dataType.simpleString()) for field in self._frame.schema.fields]
        try:
            return Described(columns, self._mapped())
        except StageFailure as refused:
            return Described(columns, None, refused.message)

    def _mapped(self) -> Mapped:
        return mapping_of(self.spec, self._frame.columns, self.spec.location)

    @cached_property
    def _frame(self) -> DataFrame:
        reader = self._session.read.format("delta").option("versionAsOf", self.files.version)
        is_named = self.spec.kind == "unity"
        try:
            frame = reader.table(_quoted(self.spec.location)) if is_named else reader.load(self.spec.location)
            frame.schema  # noqa: B018 - the first question that the server must answer
        except Exception as error:  # Spark's and gRPC's errors share no base class
            raise self._refusal(error) from error
        return frame

    @cached_property
    def _session(self) -> Any:
        try:
            return on_spark.Spark(os.environ[on_spark.VARIABLE]).session
        except Unreachable as error:
            raise self._refusal(error) from error

    def _asked(self, frame: DataFrame) -> Iterator[dict[str, Any]]:
        try:
            for row in frame.toLocalIterator():
                yield row.asDict(recursive=True)
        except Exception as error:  # as above
            raise self._refusal(error) from error

    def _refusal(self, error: Exception) -> StageFailure:
        detail = f"Spark: {brief(error)}"
        return StageFailure("data:user:source-unreachable", location=self.spec.location, detail=detail)


def _quoted(name: str) -> str:
    return ".".join(f"`{part.replace('`', '``')}`" for part in name.split("."))


def _row(cells: dict[str, Any], number: int, mapped: Mapped, spool: Spool) -> Row:
    content = cells.pop(mapped.content)
    if isinstance(content, str):
        content = content.encode("utf-8", "surrogatepass")
    if not isinstance(content, (bytes, bytearray)):
        kind = "null" if content is None else f"the column {mapped.content} holds {type(content).__name__}"
        return Row(cells, str(number).encode(), number, None, None, kind)
    return Row(cells, jsonl.SPOOLED + spool.add(bytes(content)), number, len(content))
