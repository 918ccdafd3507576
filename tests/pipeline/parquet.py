"""A dataset's files as the ingest stage lays them out, with three rows, for pages that read them."""

from __future__ import annotations

from pathlib import Path

import duckdb

DOCUMENTS = """
    SELECT * FROM (VALUES
        ('doc-1', 'stdlib', 'abc.py', 'Python', 'PSF-2.0', 'train', 30, 2, 'def first():\n    return 1\n'),
        ('doc-2', 'stdlib', 'Lib/<b>.py', 'Python', 'PSF-2.0', 'held_out', 40, 2, 'def second():\n    return 2\n'),
        ('doc-3', 'django', 'urls.py', 'Python', 'BSD-3', 'held_out_source', 50, 1, 'urlpatterns = []')
    ) AS rows(id, source, path, language, license, split, size_bytes, n_lines, content)
"""
DROPPED = """
    SELECT 'doc-9' AS id, 'stdlib' AS source, 'copy.py' AS path, 'Python' AS language, 40 AS size_bytes,
           'exact_deduplication' AS step, 'duplicate' AS reason, NULL::DOUBLE AS measured, 'doc-1' AS detail,
           'def first' AS excerpt
"""


def write_dataset(folder: Path) -> str:
    """The URI of a dataset in `folder`."""
    (folder / "data").mkdir()
    for sql, path in ((DOCUMENTS, "data/part-0.parquet"), (DROPPED, "dropped.parquet")):
        duckdb.sql(f"COPY ({sql}) TO '{folder / path}' (FORMAT parquet)")
    return folder.as_uri()
