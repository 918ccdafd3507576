"""Scores by language, of one evaluation or of several beside each other: a table, and a radar from three languages on.

A language that was not scored has no number: its runtime was not available, or none of its problems was admitted. It is
said so and is a hole in the radar, never a zero.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controlplane.ui import charts
from eval_app.leaderboard import pass_at_1
from eval_app.models import Evaluation

LEAST, MOST_LINES = 3, 6  # two axes are no area; more than six lines and one cannot tell which is whose


@dataclass(frozen=True)
class Cell:
    """pass@1 of one language with its 95 % interval, 0 to 1, over `n` problems, or, with `value` None, `why` not."""

    value: float | None = None
    low: float = 0.0
    high: float = 0.0
    n: int = 0
    left_out: int = 0
    why: str = ""


@dataclass(frozen=True)
class Row:
    """One language: a cell of each evaluation, in their order."""

    language: str
    cells: list[Cell]


def of_score(score: Mapping[str, Any]) -> dict[str, Cell]:
    """Every language of the suite that the score tells of, by name."""
    asked = Counter(str(row.get("language", "")) for row in score.get("problems", ()))
    refused = [row for row in score.get("excluded") or () if row.get("language")]
    names = {*(score.get("by_language") or {}), *(row["language"] for row in refused)}
    return {name: _cell(score, name, asked[name], refused) for name in sorted(names)}


def _cell(score: Mapping[str, Any], language: str, n: int, refused: Sequence[Mapping[str, str]]) -> Cell:
    mine = [row for row in refused if row["language"] == language]
    found = pass_at_1(score, language)
    if found is not None:
        return Cell(found["value"], found["low"], found["high"], n, len(mine))
    reasons = {row["reason"] for row in mine}
    why = "no sample could be judged" if not mine else "not available"
    return Cell(left_out=len(mine), why="none admitted" if mine and reasons != {"not available"} else why)


def table(evaluations: Sequence[Evaluation]) -> list[Row]:
    """A row a language of any of them; a language that one was not asked says so."""
    found = [of_score(one.summary) for one in evaluations]
    names = sorted({name for cells in found for name in cells})
    return [Row(name, [cells.get(name) or Cell(why="not asked") for cells in found]) for name in names]


def radar(evaluations: Sequence[Evaluation]) -> charts.Figure | None:
    """pass@1 in percent around the languages, a line an evaluation; None below three languages or beyond six lines."""
    rows = table(evaluations)
    if len(rows) < LEAST or len(evaluations) > MOST_LINES:
        return None
    lines = {
        f"{number}. {one.subject_name}" if len(evaluations) > 1 else one.subject_name: {
            row.language: None if (value := row.cells[number - 1].value) is None else 100 * value for row in rows
        }
        for number, one in enumerate(evaluations, 1)
    }
    return charts.radar_chart(lines, x_title="language", y_title="pass@1, %", most=100)
