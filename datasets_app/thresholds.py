"""What other thresholds would keep of a version, asked of measures.parquet before anything is run.

Rows in play are those that were kept, and those that went at one of THRESHOLDS: for a row that went elsewhere another
threshold changes nothing. What would come back may still go at a later step, which is not asked here. Files that went
before they were read (by size or language) were never measured, so a looser bound of size brings none of them back.

A million rows are answered in two scans of the eight columns needed. The second stops at SHOWN rows, the first by id: the
file is sorted by it and DuckDB keeps the order of a file, while to ask for an order took 250 ms instead of 85.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from datasets_app.parquet import path_of, query
from worker import cleaning

SHOWN = 20
BINS_PER_DOUBLING, BINS_PER_SHARE = 4, 50


@dataclass(frozen=True)
class Measure:
    """A column of measures.parquet. `is_share`: from 0 to 1; else a count, binned by its logarithm."""

    column: str
    title: str
    unit: str
    is_share: bool = False

    @property
    def bin(self) -> str:
        scaled = (
            f"{self.column} * {BINS_PER_SHARE}" if self.is_share else f"log2({self.column} + 1) * {BINS_PER_DOUBLING}"
        )
        return f"CAST(floor({scaled}) AS INTEGER)"

    def lower(self, index: int) -> float:
        """The least value of a bin."""
        return index / BINS_PER_SHARE if self.is_share else 2 ** (index / BINS_PER_DOUBLING) - 1


SIZE = Measure("size_bytes", "File size", "bytes")
LONGEST = Measure("longest_line", "Longest line", "characters")
MEAN = Measure("mean_line", "Mean line", "characters")
ALPHANUMERIC = Measure("alphanumeric_share", "Letters and digits", "share", is_share=True)
ALPHABETIC = Measure("alphabetic_share", "Letters", "share", is_share=True)
LINES = Measure("n_lines", "Lines", "lines")
MEASURES = (LONGEST, MEAN, SIZE, LINES, ALPHANUMERIC, ALPHABETIC)


@dataclass(frozen=True)
class Threshold:
    """A bound of a step on a measure; `reason`: the code of what went at it. `exempt`: a condition on rows in SQL."""

    step: str
    parameter: str
    reason: str
    measure: Measure
    is_maximum: bool
    exempt: str = "false"

    @property
    def name(self) -> str:
        """As the recipe's form names the parameter."""
        return f"{self.step}-{self.parameter}"

    @property
    def about(self) -> cleaning.Parameter:
        return next(p for p in cleaning.STEPS[self.step].parameters if p.name == self.parameter)


_LONG_LINES = "list_contains(?, language)"  # bound to the recipe's long_line_languages
_BYTE_CODE = "language IN ('Motorola 68K Assembly', 'WebAssembly')"  # as worker.data.filters exempts them
THRESHOLDS = (
    Threshold("lines", "max_line", "long-line", LONGEST, True, _LONG_LINES),
    Threshold("lines", "max_mean_line", "long-mean-line", MEAN, True, _LONG_LINES),
    Threshold("size", "min_bytes", "too-small", SIZE, False),
    Threshold("size", "max_bytes", "too-large", SIZE, True),
    Threshold("filters", "max_lines", "many-lines", LINES, True),
    Threshold("lines", "min_alphanumeric", "few-alphanumerics", ALPHANUMERIC, False),
    # Byte code and the like, of which StarCoder2 asks for no letters.
    Threshold("filters", "min_alphabetic", "few-letters", ALPHABETIC, False, _BYTE_CODE),
)
BY_REASON = {threshold.reason: threshold for threshold in THRESHOLDS}


@dataclass(frozen=True)
class Side:
    files: int = 0
    tokens: int = 0


@dataclass(frozen=True)
class Answer:
    """`kept`, `gone`: of the rows in play. `lost`: kept now, and would go; `back`: gone now, and would pass.

    `histograms`: by column, {bin: (rows that pass, rows that do not)}.
    """

    kept: Side
    gone: Side
    lost: Side
    back: Side
    histograms: Mapping[str, Mapping[int, tuple[int, int]]]
    going: list[dict[str, Any]]

    @property
    def files_share(self) -> float | None:
        return _share(self.kept.files, self.gone.files)

    @property
    def tokens_share(self) -> float | None:
        return _share(self.kept.tokens, self.gone.tokens)


def of_recipe(recipe: Mapping[str, Any]) -> dict[str, float | None]:
    """Each threshold's value in a recipe, by its name; None where it is off, or its step is not in the recipe."""
    steps = {step["name"]: step.get("parameters", {}) for step in recipe.get("steps", [])}
    return {
        t.name: cleaning.completed(t.step, steps[t.step])[t.parameter] if t.step in steps else None for t in THRESHOLDS
    }


def answer(uri: str, recipe: Mapping[str, Any], values: Mapping[str, float | None]) -> Answer:
    """What `values` (by Threshold.name; None: off) would keep. Raises Unreadable."""
    passes, bound = _passes(recipe, values)
    rows, file = f"FROM read_parquet(?) WHERE {_in_play()}", f"{path_of(uri)}/measures.parquet"
    columns = ", ".join(f"{measure.bin} AS {measure.column}" for measure in MEASURES)
    scan = f"SELECT {columns}, tokens, outcome = 'kept' AS is_kept, {passes} AS passes {rows}"
    counted = query(f"WITH m AS MATERIALIZED ({scan}) {_COUNTS}", [*bound, file])
    shown = ", ".join(["id", "path", "source", "language", "tokens", *(measure.column for measure in MEASURES)])
    going = f"SELECT {shown} {rows} AND outcome = 'kept' AND NOT ({passes}) LIMIT {SHOWN}"
    return _answer(counted, query(going, [file, *bound]))


def failed(row: Mapping[str, Any], values: Mapping[str, float | None]) -> list[Threshold]:
    """The thresholds on whose wrong side a row's measures are, exemptions aside."""
    return [
        t for t in THRESHOLDS if (value := values[t.name]) is not None and _is_beyond(row[t.measure.column], value, t)
    ]


def _is_beyond(measured: float, value: float, threshold: Threshold) -> bool:
    return measured > value if threshold.is_maximum else measured < value


def _in_play() -> str:
    return f"outcome IN ('kept', {', '.join(repr(reason) for reason in BY_REASON)})"


def _passes(recipe: Mapping[str, Any], values: Mapping[str, float | None]) -> tuple[str, list[Any]]:
    """SQL that is true of rows within every bound, and the values to bind."""
    given = {step["name"]: step.get("parameters", {}) for step in recipe.get("steps", [])}
    usual = cleaning.completed("lines", given.get("lines", {}))
    languages, there = list(usual["long_line_languages"]), usual["max_line_there"]
    parts, bound = ["true"], []
    for threshold in THRESHOLDS:
        if (value := values[threshold.name]) is None:
            continue
        sign = "<=" if threshold.is_maximum else ">="
        parts.append(f"({threshold.measure.column} {sign} ? OR coalesce({threshold.exempt}, false))")
        bound += [value, *([languages] if threshold.exempt == _LONG_LINES else [])]
    if values["lines-max_line"] is not None:
        parts.append("longest_line <= ?")
        bound.append(max(there, values["lines-max_line"] or 0))
    return " AND ".join(parts), bound


_COUNTS = " UNION ALL ".join(
    [
        "SELECT '' AS measure, CAST(is_kept AS INTEGER) AS bin, passes, count(*) AS files, sum(tokens) AS tokens "
        "FROM m GROUP BY ALL",
        *(
            f"SELECT '{measure.column}', {measure.column}, passes, count(*), 0 FROM m GROUP BY ALL"  # noqa: S608
            for measure in MEASURES
        ),
    ]
)


def _answer(counted: list[dict[str, Any]], going: list[dict[str, Any]]) -> Answer:
    sides = {(bool(r["bin"]), r["passes"]): Side(r["files"], int(r["tokens"])) for r in counted if not r["measure"]}
    histograms: dict[str, dict[int, tuple[int, int]]] = {measure.column: {} for measure in MEASURES}
    for row in counted:
        if row["measure"]:
            stays, goes = histograms[row["measure"]].get(row["bin"], (0, 0))
            more = (row["files"], 0) if row["passes"] else (0, row["files"])
            histograms[row["measure"]][row["bin"]] = (stays + more[0], goes + more[1])
    kept_now, gone_now, lost, back = (
        sides.get(key, Side()) for key in ((True, True), (False, False), (True, False), (False, True))
    )
    return Answer(_sum(kept_now, back), _sum(gone_now, lost), lost, back, histograms, going)


def _sum(one: Side, other: Side) -> Side:
    return Side(one.files + other.files, one.tokens + other.tokens)


def _share(part: int, rest: int) -> float | None:
    return part / (part + rest) if part + rest else None
