"""Tokenizers side by side on one text: bytes per token by language.

Tokenizers of one dataset version were measured by their jobs on the same held-out text, up to 2 MB a language. Others
are measured here, on the beginning of the held-out text of one version: enough to rank them (some 30 KB a language), and
said to be less. Both are kept, since neither text nor tokenizer ever changes.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controlplane.ui.charts import grouped_bar_chart
from datasets_app.encoding import Piece, vocabulary_of
from datasets_app.models import DatasetVersion, Tokenizer
from datasets_app.parquet import path_of, query

MOST = 4  # columns that still fit beside one another
LANGUAGES = 16
TEXTS_A_LANGUAGE, CHARACTERS_A_TEXT = 8, 4_000
SPLITS = {"held_out": "", "held_out_source": ", held-out source"}
BASELINE = "gpt2"
SNIPPET = (
    'def area(width: float, height: float = 12.5) -> float:\n    """In square metres."""\n'
    '    if width <= 0:\n        raise ValueError(f"{width=} must be positive")\n    return width * height\n\n\n'
    "const total = items.filter((item) => item.price > 1000).length; // 日本語\n"
)


@dataclass(frozen=True)
class Row:
    """A language's bytes per token, one value a column; `best` is the largest of them."""

    language: str
    values: list[float | None]

    @property
    def best(self) -> float | None:
        known = [value for value in self.values if value is not None]
        return max(known) if len(known) > 1 else None


@dataclass(frozen=True)
class Comparison:
    """`names` of the columns; `text` says what was measured, `is_sample` that it was little."""

    names: list[str]
    rows: list[Row]
    text: str
    is_sample: bool
    chart: dict[str, Any]


@dataclass(frozen=True)
class Spelt:
    """A text as one tokenizer cuts it."""

    name: str
    pieces: list[Piece]
    n_bytes: int

    @property
    def bytes_per_token(self) -> float | None:
        return self.n_bytes / len(self.pieces) if self.pieces else None


def compare(tokenizers: Sequence[Tokenizer]) -> Comparison | None:
    """None where all came with imported models: no text belongs to any. Raises Unreadable when files are gone."""
    version = next((row.dataset_version for row in tokenizers if row.dataset_version is not None), None)
    if version is None:
        return None
    if all(row.dataset_version_id == version.pk for row in tokenizers):
        columns = {row.name: _measured(row.summary["fertility"]) for row in tokenizers}
        baseline = tokenizers[0].summary.get("baselines", {}).get(BASELINE)
        if baseline and not any(row.parameters.get("import_from") == BASELINE for row in tokenizers):
            columns["GPT-2, for comparison"] = _measured(baseline)
        return _comparison(columns, f"the held-out text of {version}", is_sample=False)
    columns = {row.name: _sampled(row, version) for row in tokenizers}
    return _comparison(columns, f"the first documents of each language held out of {version}", is_sample=True)


def spell(tokenizers: Sequence[Tokenizer], text: str) -> list[Spelt]:
    """The same text by each. Raises Unreadable."""
    n_bytes = len(text.encode())
    found = [(row.name, vocabulary_of(row)) for row in tokenizers]
    return [Spelt(name, vocabulary.pieces(vocabulary.encode(text)), n_bytes) for name, vocabulary in found]


def _comparison(columns: Mapping[str, Mapping[str, float]], text: str, is_sample: bool) -> Comparison:
    languages = sorted({language for column in columns.values() for language in column})
    rows = [Row(language, [column.get(language) for column in columns.values()]) for language in languages]
    drawn = {name: {language: column.get(language) for language in languages} for name, column in columns.items()}
    chart = grouped_bar_chart(drawn, x_title="language", y_title="bytes per token")
    return Comparison(list(columns), rows, text, is_sample, chart)


def _measured(fertility: Mapping[str, Any]) -> dict[str, float]:
    return {
        f"{language}{suffix}": row["bytes_per_token"]
        for split, suffix in SPLITS.items()
        for language, row in fertility[split]["languages"].items()
        if row["bytes_per_token"] is not None
    }


def _sampled(row: Tokenizer, version: DatasetVersion) -> dict[str, float]:
    assert version.uri is not None and version.sha256 is not None and row.sha256 is not None, "only ready rows compare"
    key = (row.sha256, version.sha256)
    if key not in _COUNTED:
        vocabulary = vocabulary_of(row)
        texts = _texts(version.uri, version.sha256)
        counted = {language: (_n_bytes(found), vocabulary.count(found)) for language, found in texts.items()}
        _COUNTED[key] = {language: n_bytes / tokens for language, (n_bytes, tokens) in counted.items() if tokens}
        while len(_COUNTED) > 64:
            _COUNTED.pop(next(iter(_COUNTED)))
    return _COUNTED[key]


_COUNTED: dict[tuple[str, str], dict[str, float]] = {}


@functools.lru_cache(maxsize=4)
def _texts(uri: str, sha256: str) -> dict[str, list[str]]:
    """Beginnings of held-out documents of the languages with most of them."""
    sql = """
        WITH held AS (
            SELECT language, substr(content, 1, ?) AS text, row_number() OVER (PARTITION BY language ORDER BY id) AS n,
                   count(*) OVER (PARTITION BY language) AS documents
            FROM read_parquet(?) WHERE split IN ('held_out', 'held_out_source')
        )
        SELECT language, text FROM held WHERE n <= ? ORDER BY documents DESC, language, n LIMIT ?
    """
    values = [CHARACTERS_A_TEXT, f"{path_of(uri)}/data/*.parquet", TEXTS_A_LANGUAGE, TEXTS_A_LANGUAGE * LANGUAGES]
    found: dict[str, list[str]] = {}
    for row in query(sql, values):
        found.setdefault(row["language"], []).append(row["text"])
    return found


def _n_bytes(texts: Sequence[str]) -> int:
    return sum(len(text.encode()) for text in texts)
