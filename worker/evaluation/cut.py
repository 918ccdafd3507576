"""Where a completion ends, decided on its text after decoding: at a stop string, or where its braces are closed.

A stop may span tokens, a server may take only four of them, and a chat answers in whole blocks; so text is cut here too,
whatever the engine has stopped at. In languages with braces a function's body ends with the brace that the prompt
opened, and what a model writes after it would be judged as well. Which languages, and what hides a brace there
(strings, comments, regular expressions), is said in runtimes/languages/*.toml as `opaque`.

An infilling is not cut at braces: where it ends is what is measured. Nothing here parses: broken code is cut too.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from worker.evaluation.runtimes import declared
from worker.evaluation.suites import Problem

# What ends the statement that a closed brace is the end of: `});`.
_CLOSERS = re.compile(r"[)\];]*")


@dataclass(frozen=True)
class Cut:
    """`ended`: the text came to an end of its own ("stop" or "braces"); "" when nothing in it says so."""

    text: str
    ended: str = ""


def cut(problem: Problem, text: str, stops: Sequence[str]) -> Cut:
    """The completion up to its end, the earlier one where both are there."""
    ends = {text.find(stop): "stop" for stop in stops if stop in text}
    closed = closes_at(problem, text)
    if closed is not None:
        ends.setdefault(closed, "braces")
    if not ends:
        return Cut(text)
    end = min(ends)
    return Cut(text[:end], ends[end])


def closes_at(problem: Problem, text: str) -> int | None:
    """Where in `text` the braces that the prompt opened are closed; None where they are not, or the language has none.

    Tests may bring the last braces themselves (MultiPL-E's do): so many stay open, and the end is before the next one.
    """
    runtime = declared().get(problem.language)
    if runtime is None or not runtime.opaque or problem.kind == "infill":
        return None
    head, rest = f"{problem.setup}{problem.prompt}", f"{problem.suffix}\n{problem.before}{problem.tests}"
    opened = sum(step for _, step in _braces(head, runtime.opaque))
    kept = _closed_by(rest, runtime.opaque)
    if opened < max(kept, 1):
        return None
    depth = 0
    for at, step in _braces(head + text, runtime.opaque):
        depth += step
        if at >= len(head) and step < 0 and depth == kept - (opened == kept):
            return _end(text, at - len(head), opened > kept)
    return None


def _end(text: str, brace: int, included: bool) -> int:
    """After the brace and what closes its statement, or before it."""
    if not included:
        return brace
    closers = _CLOSERS.match(text, brace + 1)
    return closers.end() if closers else brace + 1


def _closed_by(rest: str, opaque: tuple[str, ...]) -> int:
    """How many braces that were open before it this text closes."""
    depth = lowest = 0
    for _, step in _braces(rest, opaque):
        depth += step
        lowest = min(lowest, depth)
    return -lowest


def _braces(text: str, opaque: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    """(where, 1 or -1) of each brace that is code."""
    for found in _scanner(opaque).finditer(text):
        if found[0] == "{":
            yield found.start(), 1
        elif found[0] == "}":
            yield found.start(), -1


@functools.cache
def _scanner(opaque: tuple[str, ...]) -> re.Pattern[str]:
    """What hides braces comes first, in the declaration's order; then a brace."""
    return re.compile("|".join((*(f"(?:{pattern})" for pattern in opaque), "[{}]")), re.DOTALL | re.MULTILINE)
