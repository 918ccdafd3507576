"""A row's way through the steps: what each did with it, what was measured against which bound, and what was redacted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from controlplane.ui import formats
from datasets_app.recipes import shown
from datasets_app.thresholds import BY_REASON
from worker import cleaning

PASSED, CHANGED, DROPPED, UNSEEN = "passed", "changed", "dropped", "unseen"
# The parameter that the number beside a reason was held against; of the others thresholds.BY_REASON knows it.
PARAMETERS = {
    "encoded-run": "max_encoded_run",
    "encoded-data": "max_encoded_share",
    "small-data-file": "min_data",
    "large-data-file": "max_data",
    "long-listing": "max_listing_lines",
    "few-comments": "min_comments",
    "mostly-comments": "max_comments",
    "near-duplicate": "threshold",
}
HIDDEN = "▇▇▇▇▇▇"  # what a redacted value is shown as: nothing kept it


@dataclass(frozen=True)
class Stop:
    """A step on a row's way. `note`: what it changed, or why the row went no further."""

    title: str
    about: str
    state: str
    note: str = ""


def journey(row: Mapping[str, Any], recipe: Mapping[str, Any]) -> list[Stop]:
    """`row`: of documents.get. The steps that the recipe runs, in order; after the one that dropped the row, unseen."""
    changes = _changes(row)
    last = None if row["is_kept"] else row["step"]
    stops: list[Stop] = []
    for step in _steps_of(row, recipe):
        if stops and stops[-1].state in {DROPPED, UNSEEN}:
            stops.append(Stop(step.title, step.about, UNSEEN))
        elif step.name == last:
            stops.append(Stop(step.title, step.about, DROPPED, why(row, recipe)))
        else:
            note = ", ".join(changes.get(step.name, ()))
            stops.append(Stop(step.title, step.about, CHANGED if note else PASSED, note))
    return stops


def why(row: Mapping[str, Any], recipe: Mapping[str, Any]) -> str:
    """The reason of a dropped row with what was measured and the recipe's bound, as one sentence or two."""
    reason = cleaning.REASONS.get(row["reason"])
    text = reason.text if reason else row["reason"]
    if row["measured"] is None or reason is None:
        return text
    measured = f"{formats.number(round(row['measured'], 3))} {reason.unit}".strip()
    bound = bound_of(row["reason"], row["language"], recipe)
    return f"{text} Measured: {measured}{'' if bound is None else f'; the recipe says {shown(bound)}'}."


def bound_of(code: str, language: str | None, recipe: Mapping[str, Any]) -> Any:
    """The value of the recipe's parameter that decided, or None where no single one did."""
    known = cleaning.REASONS.get(code)
    name = BY_REASON[code].parameter if code in BY_REASON else PARAMETERS.get(code)
    given = {step["name"]: step.get("parameters", {}) for step in recipe.get("steps", [])}
    if known is None or name is None or known.step not in given:
        return None
    values = cleaning.completed(known.step, given[known.step])
    is_long = code == "long-line" and language in values["long_line_languages"]
    return values["max_line_there" if is_long else name]


def redactions(row: Mapping[str, Any]) -> Iterator[tuple[int, str, str, str]]:
    """(line number, kinds, the line with the values hidden, the line as it is) of every line with a placeholder."""
    lines = str(row.get("content") or "").split("\n")
    spans: dict[int, list[Mapping[str, Any]]] = {}
    for span in row.get("redaction_spans") or ():
        spans.setdefault(span["line"], []).append(span)
    for number, found in sorted(spans.items()):
        after = lines[number - 1] if number <= len(lines) else ""
        before = after
        for span in found:
            before = before.replace(span["placeholder"], HIDDEN)
        yield number, ", ".join(sorted({span["kind"] for span in found})), before, after


def _changes(row: Mapping[str, Any]) -> dict[str, list[str]]:
    """{step: what it changed} of a document's `changes`."""
    found: dict[str, list[str]] = {}
    for name, count in (row.get("changes") or {}).items():
        step, _, what = name.partition(":")
        found.setdefault(step, []).append(f"{what.replace('-', ' ')} {count:,}")
    return found


def _steps_of(row: Mapping[str, Any], recipe: Mapping[str, Any]) -> Iterator[cleaning.Step]:
    chosen = {step["name"] for step in recipe.get("steps", [])}
    left_out = {"feedback"} if row["source"] != "feedback" else set()
    left_out |= set() if recipe.get("max_total_bytes") else {"sample"}
    for step in cleaning.CATALOGUE:
        if step.name in chosen or (step.fixed and step.name not in left_out) or step.name == row.get("step"):
            yield step
