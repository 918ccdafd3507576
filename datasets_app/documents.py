"""Reads rows out of a dataset's Parquet, with DuckDB: kept and dropped rows by what one knows of them, one row by its id.

The files are the truth and are immutable, so nothing is copied into Postgres. Every value is bound, never spliced in.
Of a dropped row there is no content but the few excerpts that its version kept as examples.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from datasets_app.parquet import Unreadable, columns, path_of, query

__all__ = [
    "Page",
    "Unreadable",
    "dropped",
    "find",
    "find_dropped",
    "get",
    "knows_origins",
    "nearest",
    "of_languages",
    "paths",
    "repeats",
]

PAGE = 50
EXAMPLES = 5
EXCERPT_CHARACTERS = 300  # as worker.data.shard keeps of dropped rows
COLUMNS = ("id", "source", "path", "language", "license", "split", "size_bytes", "n_lines")
ORIGINS = ("repository", "author")  # of rows of layout 3 and later
CONDITIONS = {
    "id": "starts_with(id, lower(?))",
    "path": "contains(lower(path), lower(?))",
    "content": "contains(content, ?)",
    "language": "language = ?",
    "source": "source = ?",
    "license": "license = ?",
    "split": "split = ?",
    "size_from": "size_bytes >= ?",
    "size_to": "size_bytes <= ?",
    "tokens_from": "tokens >= ?",
    "tokens_to": "tokens <= ?",
    "repository": "contains(lower(repository), lower(?))",
    "author": "contains(lower(author), lower(?))",
}
MEASURED = {"longest_from": "longest_line >= ?", "longest_to": "longest_line <= ?"}  # in measures.parquet alone
OF_DROPPED = ("id", "path", "language", "source", "size_from", "size_to", "reason", *ORIGINS)


@dataclass(frozen=True)
class Page:
    rows: list[dict[str, Any]]
    after: str | None  # the cursor of the next page


def find(uri: str, wanted: Mapping[str, Any], after: str = "") -> Page:
    """Kept rows that meet all of `wanted` (keys of CONDITIONS and MEASURED; empty ones do not count), by id.

    ORIGINS do not count either in a version that does not know them.
    """
    knows = knows_origins(uri)
    asked, where = _asked(CONDITIONS if knows else _without(CONDITIONS, ORIGINS), wanted)
    measured, there = _asked(MEASURED, wanted)
    values: list[Any] = [_files(uri), after, *asked]
    if there:
        where.append(f"id IN (SELECT id FROM read_parquet(?) WHERE {' AND '.join(there)})")  # noqa: S608
        values += [f"{path_of(uri)}/measures.parquet", *measured]
    return _page((*COLUMNS, *(ORIGINS if knows else ())), where, values)


def find_dropped(uri: str, wanted: Mapping[str, Any], after: str = "") -> Page:
    """Dropped rows that meet those of `wanted` that a dropped row is known by (OF_DROPPED), by id."""
    conditions = CONDITIONS | {"reason": "reason = ?"}
    known = OF_DROPPED if knows_origins(uri) else OF_DROPPED[: -len(ORIGINS)]
    asked, where = _asked({name: conditions[name] for name in known}, wanted)
    return _page(("*",), where, [_dropped_file(uri), after, *asked])


def knows_origins(uri: str) -> bool:
    """Whether rows carry their repository and author: those of versions made before layout 3 do not."""
    return set(ORIGINS) <= columns(_files(uri))


def get(uri: str, document_id: str) -> dict[str, Any] | None:
    """One row with its content and `is_kept` true; or, of one that was dropped, all that is known, and false."""
    for file, is_kept in ((_files(uri), True), (_dropped_file(uri), False)):
        rows = query("SELECT * FROM read_parquet(?) WHERE id = ? LIMIT 1", [file, document_id])
        if rows:
            return {**rows[0], "is_kept": is_kept}
    return None


def dropped(uri: str, reason: str, limit: int = PAGE) -> list[dict[str, Any]]:
    """Some of the rows that a step refused for `reason`, those with an excerpt first, then in id order."""
    sql = f"SELECT * FROM read_parquet(?) WHERE reason = ? ORDER BY excerpt IS NULL, id LIMIT {int(limit)}"  # noqa: S608
    return query(sql, [_dropped_file(uri), reason])


def nearest(uri: str, column: str, is_maximum: bool) -> list[dict[str, Any]]:
    """The EXAMPLES kept rows that a bound on a column of measures.parquet left in by the least, with an excerpt."""
    order = f"{column} {'DESC' if is_maximum else 'ASC'}, id"
    sql = f"SELECT id, path, {column} AS measured FROM read_parquet(?) WHERE outcome = 'kept' ORDER BY {order} LIMIT {EXAMPLES}"  # noqa: S608
    return _with_excerpts(uri, query(sql, [f"{path_of(uri)}/measures.parquet"]))


def of_languages(uri: str, languages: Sequence[str]) -> list[dict[str, Any]]:
    """EXAMPLES kept rows of some languages, of any where none is named, in id order, with an excerpt."""
    sql = f"SELECT id, path FROM read_parquet(?) WHERE len(?) = 0 OR list_contains(?, language) ORDER BY id LIMIT {EXAMPLES}"  # noqa: S608
    return _with_excerpts(uri, query(sql, [_files(uri), list(languages), list(languages)]))


def licences(uri: str) -> dict[str, list[tuple[str, int]]]:
    """{language: (licence, kept rows), most rows first}."""
    sql = (
        "SELECT language, license, count(*) AS rows FROM read_parquet(?) GROUP BY ALL "
        "ORDER BY language, rows DESC, license"
    )
    found: dict[str, list[tuple[str, int]]] = {}
    for row in query(sql, [_files(uri)]):
        found.setdefault(row["language"], []).append((row["license"], row["rows"]))
    return found


def repeats(uri: str, document_id: str, limit: int = PAGE) -> list[dict[str, Any]]:
    """The rows that gave way to this one: its duplicates and near duplicates."""
    sql = f"SELECT * FROM read_parquet(?) WHERE detail = ? ORDER BY measured DESC NULLS FIRST, id LIMIT {int(limit)}"  # noqa: S608
    return query(sql, [_dropped_file(uri), document_id])


def paths(uri: str, document_ids: Iterable[str]) -> dict[str, str]:
    """{id: path} of the documents that are there."""
    wanted = sorted(set(document_ids))
    rows = query("SELECT id, path FROM read_parquet(?) WHERE list_contains(?, id)", [_files(uri), wanted])
    return {row["id"]: row["path"] for row in rows}


def _with_excerpts(uri: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    sql = f"SELECT id, content[:{EXCERPT_CHARACTERS}] AS excerpt FROM read_parquet(?) WHERE list_contains(?, id)"  # noqa: S608
    found = {row["id"]: row["excerpt"] for row in query(sql, [_files(uri), [row["id"] for row in rows]])}
    return [{**row, "excerpt": found.get(row["id"])} for row in rows]


def _without(conditions: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    return {name: condition for name, condition in conditions.items() if name not in names}


def _asked(conditions: Mapping[str, str], wanted: Mapping[str, Any]) -> tuple[list[Any], list[str]]:
    """(values to bind, conditions) of what is asked for; 0 is a value, "" and None are none."""
    names = [name for name in conditions if wanted.get(name) not in ("", None)]
    return [wanted[name] for name in names], [conditions[name] for name in names]


def _page(columns: Sequence[str], where: Sequence[str], values: Sequence[Any]) -> Page:
    conditions = " AND ".join(["id > ?", *where])
    sql = f"SELECT {', '.join(columns)} FROM read_parquet(?) WHERE {conditions} ORDER BY id LIMIT {PAGE + 1}"  # noqa: S608
    rows = query(sql, values)
    return Page(rows[:PAGE], rows[PAGE - 1]["id"] if len(rows) > PAGE else None)


def _files(uri: str) -> str:
    return f"{path_of(uri)}/data/*.parquet"


def _dropped_file(uri: str) -> str:
    return f"{path_of(uri)}/dropped.parquet"
