"""Parquet files of an artifact, asked with DuckDB. The files are the truth and are immutable, so nothing is copied.

Every value is bound, never spliced in; only names that this project wrote are a part of the SQL.

A process has one DuckDB, and each question a cursor of its own: to start one took 49 ms, and a page asks several times.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from typing import Any

import duckdb

THREADS, MEMORY = 2, "2GB"


class Unreadable(Exception):
    """The files are not where they were, or are not what they should be."""


def path_of(uri: str) -> str:
    return uri.removeprefix("file://")


def query(sql: str, values: Sequence[Any], what: str = "dataset") -> list[dict[str, Any]]:
    """Rows as dicts. Raises Unreadable, which names `what`, when a file is missing or is no Parquet."""
    with _duckdb(os.getpid()).cursor() as cursor:
        names = _run(cursor, sql, values, what)
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


@functools.lru_cache(maxsize=1024)
def columns(files: str) -> frozenset[str]:
    """The names of a file's columns, or of the first of several: what an artifact's layout knows. Raises Unreadable."""
    with _duckdb(os.getpid()).cursor() as cursor:
        return frozenset(_run(cursor, "SELECT * FROM read_parquet(?) LIMIT 0", [files], "dataset"))


def _run(cursor: duckdb.DuckDBPyConnection, sql: str, values: Sequence[Any], what: str) -> list[str]:
    """The names of the columns of the answer."""
    try:
        cursor.execute(sql, list(values))
    except (duckdb.IOException, duckdb.InvalidInputException, duckdb.BinderException) as error:
        reason = str(error).partition("\n")[0]  # the lines after it quote the SQL
        raise Unreadable(f"The {what}'s files cannot be read: {reason}") from error
    return [column[0] for column in cursor.description or ()]


@functools.cache
def _duckdb(process: int) -> duckdb.DuckDBPyConnection:
    """By process: a fork would inherit it without its threads, and wait for them for ever."""
    return duckdb.connect(config={"threads": THREADS, "memory_limit": MEMORY})
