"""Reads documents out of a dataset's Parquet, with DuckDB: rows by path, language, split or content, and one row by id.

The files are the truth and are immutable, so nothing is copied into Postgres. Every value is bound, never spliced in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

PAGE = 50
COLUMNS = ("id", "source", "path", "language", "license", "split", "size_bytes", "n_lines")
CONDITIONS = {
    "path": "contains(lower(path), lower(?))",
    "content": "contains(content, ?)",
    "language": "language = ?",
    "split": "split = ?",
}


class Unreadable(Exception):
    """The dataset's files are not where they were."""


@dataclass(frozen=True)
class Page:
    rows: list[dict[str, Any]]
    after: str | None  # the cursor of the next page


def find(uri: str, wanted: Mapping[str, str], after: str = "") -> Page:
    """Documents that meet all of `wanted` (keys of CONDITIONS; empty values do not count), in id order from `after`."""
    asked = {name: value for name, value in wanted.items() if value and name in CONDITIONS}
    where = " AND ".join(["id > ?", *(CONDITIONS[name] for name in asked)])
    sql = f"SELECT {', '.join(COLUMNS)} FROM read_parquet(?) WHERE {where} ORDER BY id LIMIT {PAGE + 1}"  # noqa: S608
    rows = _query(sql, [_files(uri), after, *asked.values()])
    return Page(rows[:PAGE], rows[PAGE - 1]["id"] if len(rows) > PAGE else None)


def get(uri: str, document_id: str) -> dict[str, Any] | None:
    """One document with its content."""
    rows = _query("SELECT * FROM read_parquet(?) WHERE id = ?", [_files(uri), document_id])
    return rows[0] if rows else None


def dropped(uri: str, reason: str, limit: int = PAGE) -> list[dict[str, Any]]:
    """Some of the rows that a step refused for `reason`, in id order."""
    sql = f"SELECT * FROM read_parquet(?) WHERE reason = ? ORDER BY id LIMIT {int(limit)}"  # noqa: S608
    return _query(sql, [f"{_path(uri)}/dropped.parquet", reason])


def _files(uri: str) -> str:
    return f"{_path(uri)}/data/*.parquet"


def _path(uri: str) -> str:
    return uri.removeprefix("file://")


def _query(sql: str, values: list[Any]) -> list[dict[str, Any]]:
    with duckdb.connect(config={"threads": 1}) as connection:
        try:
            cursor = connection.execute(sql, values)
        except duckdb.IOException as error:
            reason = str(error).partition("\n")[0]  # the lines after it quote the SQL
            raise Unreadable(f"The dataset's files cannot be read: {reason}") from error
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
