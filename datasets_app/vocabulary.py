"""A tokenizer's tokens with their counts, read out of its vocabulary.parquet: search, and what is hardly ever seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from datasets_app.parquet import path_of, query

PAGE = 100
DEFAULT_BELOW = 10
# What may be asked for, in the order of the page's choice. $below is the number below which a token counts as rare.
SHOWN: dict[str, tuple[str, str]] = {
    "all": ("all tokens", "true"),
    "held_out": ("never seen in held-out text", "NOT special AND held_out = 0"),
    "sample": ("never seen in the training sample", "NOT special AND sample = 0"),
    "rare": ("seen rarely in the training sample", "NOT special AND sample < $below"),
    "unreachable": ("that no text can reach", "NOT special AND reachable = false"),
    "special": ("special tokens", "special"),
}
ORDERS = {"id": "id", "rarest": "coalesce(sample, held_out), id", "longest": "n_bytes DESC, id"}


@dataclass(frozen=True)
class Tokens:
    """A page of tokens and how many there are in all."""

    rows: list[dict[str, Any]]
    total: int
    page: int

    @property
    def has_next(self) -> bool:
        return (self.page + 1) * PAGE < self.total


def find(uri: str, text: str, shown: str, order: str, below: int, page: int) -> Tokens:
    """Tokens whose text contains `text`, of one of SHOWN, in one of ORDERS. Raises Unreadable."""
    condition = SHOWN[shown][1].replace("$below", str(int(below))) + (" AND contains(text, ?)" if text else "")
    columns = f"*, count(*) OVER () AS total FROM read_parquet(?) WHERE {condition}"
    sql = f"SELECT {columns} ORDER BY {ORDERS[order]} LIMIT {PAGE} OFFSET {int(page) * PAGE}"
    rows = query(sql, [f"{path_of(uri)}/vocabulary.parquet", *([text] if text else [])], "tokenizer")
    total = rows[0]["total"] if rows else 0
    return Tokens([row | {"shown": printable(row["text"])} for row in rows], total, page)


def printable(text: str) -> str:
    """With escapes for what has no glyph: line ends, controls, and blanks other than the plain one."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
