"""Near duplicates of a version: its clusters, largest first, and two members side by side."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

from datasets_app.parquet import path_of, query

PAGE = 20
MEMBERS = 8  # of a cluster in the list; its own page has them all
COMPARED_LINES = 2_000


def page(uri: str, number: int = 0, is_across: bool = False) -> tuple[list[dict[str, Any]], bool]:
    """(clusters with cluster, size, sources and their first `members`, whether there are more); clusters.parquet's order."""
    having = "HAVING count(DISTINCT source) > 1" if is_across else ""
    sql = (
        "SELECT cluster, max(cluster_size) AS size, list_sort(list(DISTINCT source)) AS sources, "  # noqa: S608
        "sum(size_bytes) FILTER (NOT kept) AS saved, list({'id': id, 'source': source, 'path': path, 'language': language, "
        "'size_bytes': size_bytes, 'kept': kept, 'kept_id': kept_id, 'similarity': similarity} "
        f"ORDER BY kept DESC, similarity DESC, id)[:{MEMBERS}] AS members "
        f"FROM read_parquet(?) GROUP BY cluster {having} ORDER BY size DESC, cluster LIMIT {PAGE + 1} OFFSET {number * PAGE}"
    )
    rows = query(sql, [_file(uri)])
    return rows[:PAGE], len(rows) > PAGE


def of_row(uri: str, document_id: str) -> list[dict[str, Any]]:
    """All members of the cluster that a row is in, the ones that stayed first; none where it resembles no other."""
    sql = (
        "SELECT * FROM read_parquet(?) WHERE cluster IN "
        "(SELECT cluster FROM read_parquet(?) WHERE id = ?) ORDER BY kept DESC, similarity DESC, id LIMIT 500"
    )
    return query(sql, [_file(uri), _file(uri), document_id])


def side_by_side(before: str, after: str) -> Iterator[tuple[int | None, str, int | None, str, bool]]:
    """(number, line, number, line, whether they are equal) of two texts, line by line; lines of one alone face none."""
    old, new = (text.split("\n")[:COMPARED_LINES] for text in (before, after))
    for tag, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        for step in range(max(b - a, d - c)):
            left, right = a + step, c + step
            has_left, has_right = left < b, right < d
            yield (
                left + 1 if has_left else None,
                old[left] if has_left else "",
                right + 1 if has_right else None,
                new[right] if has_right else "",
                tag == "equal",
            )


def _file(uri: str) -> str:
    return f"{path_of(uri)}/clusters.parquet"
