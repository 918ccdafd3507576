"""Which rows two versions of a dataset do not share, by id, and why: the reason for which the other version dropped them.

An id is a hash of source, path and bytes, so a file that changed in its source has another id: it counts as changed. A
row that the other version dropped before it was read has no bytes in its id, and is found by its source and path.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from datasets_app.parquet import path_of, query
from worker import cleaning

CHANGED, UNLISTED = "changed-file", "not-listed"
TEXTS: Mapping[str, str] = {
    CHANGED: "Its file changed in the source, so it is another row.",
    UNLISTED: "The other version's sources do not hold it.",
}
SHOWN = 50


@dataclass(frozen=True)
class Why:
    """How many rows, and what `text` says of the reason `code`. `step` is "" where no step decided."""

    code: str
    text: str
    step: str
    rows: int
    bytes: int


def only_in(uri: str, other: str) -> list[Why]:
    """The rows that the version at `uri` kept and the one at `other` did not, by why; most rows first."""
    sql = f"{_ALONE} SELECT reason, count(*) AS rows, sum(size_bytes) AS bytes FROM alone GROUP BY 1 ORDER BY 2 DESC, 1"  # noqa: S608
    return [_why(**row) for row in query(sql, _bound(uri, other))]


def rows_only_in(uri: str, other: str, reason: str) -> list[dict[str, Any]]:
    """SHOWN of those rows, in id order."""
    sql = f"{_ALONE} SELECT * FROM alone WHERE reason = ? ORDER BY id LIMIT {SHOWN}"  # noqa: S608
    return query(sql, [*_bound(uri, other), reason])


def _why(reason: str, rows: int, bytes: Any) -> Why:
    known = cleaning.REASONS.get(reason)
    text, step = (known.text, cleaning.STEPS[known.step].title) if known else (TEXTS.get(reason, reason), "")
    return Why(reason, text, step, rows, int(bytes))


def _bound(uri: str, other: str) -> list[Any]:
    mine, theirs, before = f"{path_of(uri)}/data/*.parquet", path_of(other), _before_reading()
    data, dropped = f"{theirs}/data/*.parquet", f"{theirs}/dropped.parquet"
    return [mine, data, dropped, dropped, before, data]


def _before_reading() -> list[str]:
    return [step.name for step in cleaning.CATALOGUE if step.place == cleaning.FILES or step.name == "read"]


_ALONE = f"""
WITH mine AS (
    SELECT id, source, path, language, size_bytes FROM read_parquet(?)
    WHERE id NOT IN (SELECT id FROM read_parquet(?))
),
read AS (SELECT id, reason FROM read_parquet(?)),
unread AS (SELECT source, path, min(reason) AS reason FROM read_parquet(?) WHERE list_contains(?, step) GROUP BY ALL),
theirs AS (SELECT DISTINCT source, path FROM read_parquet(?)),
alone AS (
    SELECT mine.*, coalesce(
        read.reason, unread.reason, CASE WHEN theirs.path IS NULL THEN '{UNLISTED}' ELSE '{CHANGED}' END
    ) AS reason
    FROM mine LEFT JOIN read USING (id) LEFT JOIN unread USING (source, path) LEFT JOIN theirs USING (source, path)
)
"""  # noqa: S608
