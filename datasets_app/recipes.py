"""A recipe as data: its digest, itself line by line, what differs between two, and what its mixture comes to."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from worker import cleaning
from worker.cleaning.mixing import mixture

__all__ = ["diff", "digest", "lines", "mixture", "shown"]

Recipe = Mapping[str, Any]
OTHERS: Recipe = {
    "held_out_share": 0.01,
    "max_total_bytes": None,
    "seed": 17,
    "mixture": {},
}  # worker.specs.IngestRecipe


def digest(recipe: Recipe) -> str:
    """SHA-256 in hex over all that a recipe decides: every parameter, given or usual, and each step's version."""
    steps = [[name, cleaning.STEPS[name].version, values] for name, values in _steps(recipe)]
    decided = {"steps": steps, **{name: recipe.get(name, usual) for name, usual in OTHERS.items()}}
    return hashlib.sha256(json.dumps(decided, sort_keys=True).encode()).hexdigest()


def lines(recipe: Recipe) -> list[str]:
    """One line a step, and one a parameter, the usual ones too: two recipes differ where their lines do."""
    found = []
    for name, values in _steps(recipe):
        found.append(cleaning.STEPS[name].title)
        found += [f"  {parameter}: {shown(value)}" for parameter, value in values.items()]
    return found + [f"{name}: {shown(recipe.get(name, usual))}" for name, usual in OTHERS.items()]


def diff(before: Recipe, after: Recipe) -> list[tuple[str, str]]:
    """(tag, line) of what differs; tag is ins, del, or title for the step that a line belongs to."""
    return list(_with_titles(difflib.ndiff(lines(before), lines(after))))


def shown(value: Any) -> str:
    """A parameter's value for people."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {number}" for name, number in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    if _is_number(value):
        return f"{value:.10g}"
    return {None: "off", True: "yes", False: "no"}.get(value, str(value))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _steps(recipe: Recipe) -> Iterator[tuple[str, dict[str, Any]]]:
    for step in recipe.get("steps", []):
        yield step["name"], cleaning.completed(step["name"], step.get("parameters", {}))


def _with_titles(compared: Iterable[str]) -> Iterator[tuple[str, str]]:
    title: str | None = None
    for line in compared:
        mark, text = line[:2], line[2:]
        if mark == "? ":
            continue
        is_title = not text.startswith("  ")
        if mark == "  ":
            title = text if is_title else title
            continue
        if is_title:
            title = None
        elif title is not None:
            yield "title", title
            title = None
        yield {"+ ": "ins", "- ": "del"}[mark], text
