"""Reading a source as the pipeline does: list, then read what has no problem."""

from __future__ import annotations

import dataclasses

import pytest

from worker.data.sources import open_source, tabulate
from worker.specs import SourceSpec


@dataclasses.dataclass
class Contents:
    """`texts`: path -> content or why not; `problems`: path -> reason; `rows`: path -> the whole listed row."""

    texts: dict
    problems: dict
    rows: dict


@pytest.fixture
def contents(tmp_path):
    """contents(kind, location, **options) -> Contents. Listing and reading are done by two readers, as in two tasks."""

    def read(kind: str, location: object, exclude=(), **options) -> Contents:
        spec = SourceSpec("s", str(location), kind=kind, options=options, exclude=exclude)
        scratch = tmp_path / "scratch"
        rows = tabulate("s", "unknown", open_source(spec, scratch=scratch).list()).to_pylist()
        good = [row for row in rows if row["problem"] is None]
        asked = ([row["locator"] for row in good], [row["size_bytes"] for row in good])
        read = open_source(spec, scratch=scratch).read(*asked) if good else []
        texts = {
            row["path"]: detail if raw is None else raw.decode() for row, (raw, detail) in zip(good, read, strict=True)
        }
        return Contents(
            texts, {row["path"]: row["problem"] for row in rows if row["problem"]}, {row["path"]: row for row in rows}
        )

    return read
