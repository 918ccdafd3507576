"""A row of a table, before its columns are given a meaning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """Cells but for the content, of which `size_bytes` is told; None where the content is no text."""

    cells: Mapping[str, Any]
    locator: bytes
    number: int
    size_bytes: int | None
    problem: str | None = None
    detail: str | None = None
