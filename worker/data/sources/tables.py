"""Rows of Parquet and JSON-lines files as documents: what the kinds jsonl, parquet, huggingface, delta, unity and
feedback have in common. Which files there are, and with which constant columns, is theirs to say.

Every file's columns are checked before the first row is read, so that a missing column is refused by name and not after
an hour. A file or row that cannot be read is a reason, and the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pyarrow as pa

from worker.data.sources import jsonl, parquet
from worker.data.sources.columns import Mapped, authors_of, mapping_of, path_of, text_of
from worker.data.sources.places import Place, Root, brief, digest
from worker.data.sources.reader import Found, Read
from worker.data.sources.rows import Row
from worker.data.sources.spool import read_spooled
from worker.failures import StageFailure
from worker.specs import SourceSpec

SUFFIXES = (*parquet.SUFFIXES, *jsonl.SUFFIXES)
UNREADABLE = (OSError, ValueError, EOFError, pa.ArrowException)


@dataclass(frozen=True)
class Described:
    """What a preview shows of a table: (name, type) of its columns, and how they are read, or why not."""

    columns: Sequence[tuple[str, str]]
    mapped: Mapped | None
    problem: str = ""


@dataclass(frozen=True)
class TableReader:
    """`files`: the files below a root. `constants`: columns that a file's name or a log gives to all of its rows.

    `only`: (column, value) of the rows that count; other rows are not part of the source.
    """

    spec: SourceSpec
    root: Callable[[], Root]
    files: Callable[[Root], Sequence[Place]]
    scratch: Path | None = None
    constants: Callable[[Place], Mapping[str, str]] = lambda place: {}
    only: tuple[str, str] | None = None

    def list(self) -> Iterator[Found]:
        """Raises StageFailure for a place that cannot be reached and for a mapped column that is missing."""
        root = self.root()
        mappings: dict[str, Mapped] = {}
        places = self.files(root)
        for place in places:
            try:
                names = [name for name, _ in self._columns(root, place)]
            except UNREADABLE as error:
                yield Found(place.name, place.name.encode(), problem="corrupt-file", detail=brief(error))
                continue
            mappings[place.name] = mapping_of(self.spec, names, place.name)
        for place in places:
            if place.name in mappings:
                yield from self._rows(root, place, mappings[place.name])

    def read(self, locators: Sequence[bytes], sizes: Sequence[int]) -> Sequence[Read]:
        found: dict[bytes, Read] = {}
        by_kind: dict[bytes, list[bytes]] = {}
        for locator in locators:
            by_kind.setdefault(locator[:1], []).append(locator)
        for kind, wanted in by_kind.items():
            if kind == jsonl.SPOOLED:
                assert self.scratch is not None
                read = read_spooled(self.scratch, [locator[1:] for locator in wanted])
            else:
                read = (parquet if kind == parquet.MARK else jsonl).read(self.root(), wanted)
            found |= dict(zip(wanted, read, strict=True))
        return [found[locator] for locator in locators]

    def snapshot(self) -> str:
        return digest(self.files(self.root()))

    def describe(self) -> Described:
        """Of the first file that can be opened."""
        root, problem = self.root(), "no file has a header that can be read"
        for place in self.files(root):
            try:
                columns = self._columns(root, place)
            except UNREADABLE as error:
                problem = f"{place.name}: {brief(error)}"
                continue
            try:
                return Described(columns, mapping_of(self.spec, [name for name, _ in columns], place.name))
            except StageFailure as refused:
                return Described(columns, None, refused.message)
        return Described([], None, problem)

    def _columns(self, root: Root, place: Place) -> Sequence[tuple[str, str]]:
        own = _format(place).columns(root, place)
        fixed = [(name, "constant") for name in self.constants(place) if name not in dict(own)]
        return [*own, *fixed]

    def _rows(self, root: Root, place: Place, mapped: Mapped) -> Iterator[Found]:
        constants, stem = self.constants(place), place.name.partition(".")[0]
        extra = [self.only[0]] if self.only else []
        try:
            for row in _format(place).rows(root, place, mapped, extra, self._spool_key(place), self.scratch):
                cells = {**constants, **row.cells}
                if self.only is None or row.problem or cells.get(self.only[0]) == self.only[1]:
                    yield found_in(row, cells, mapped, f"{stem}/{row.number:08d}", place.stamp)
        except UNREADABLE as error:
            yield Found(place.name, place.name.encode(), problem="corrupt-file", detail=brief(error))

    def _spool_key(self, place: Place) -> str:
        return f"{self.spec.name}\0{place.name}"


def _format(place: Place) -> ModuleType:
    return parquet if place.name.lower().endswith(parquet.SUFFIXES) else jsonl


def found_in(row: Row, cells: Mapping[str, object], mapped: Mapped, fallback: str, stamp: str) -> Found:
    """`fallback`: the path, without extension, of a row that names none."""
    said = {role: text_of(cells.get(mapped.columns.get(role, ""))) for role in mapped.columns if role != "content"}
    problem = row.problem or (None if row.size_bytes is not None else "no-content")
    return Found(
        path_of(cells, mapped, fallback),
        row.locator,
        row.size_bytes or 0,
        stamp,
        problem,
        row.detail,
        said.get("license"),
        said.get("language"),
        said.get("repository"),
        authors_of(cells.get(mapped.columns.get("author", ""))),
    )
