"""A completion beside the reference, line by line. Text only: the template escapes it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher

MOST_LINES = 400  # of either side: the matcher is quadratic, and a completion has at most a few hundred tokens


@dataclass(frozen=True)
class Line:
    """kind: "same", "del" (the reference has it, the completion does not) or "ins" (the other way round)."""

    kind: str
    text: str


def diff(reference: str, completion: str) -> list[Line]:
    """From the reference to the completion; blank lines at the end, which a model cannot help, are not compared."""
    return list(_lines(reference.rstrip().splitlines()[:MOST_LINES], completion.rstrip().splitlines()[:MOST_LINES]))


def _lines(old: list[str], new: list[str]) -> Iterator[Line]:
    for tag, old_from, old_to, new_from, new_to in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            yield from (Line("same", text) for text in old[old_from:old_to])
        else:
            yield from (Line("del", text) for text in old[old_from:old_to])
            yield from (Line("ins", text) for text in new[new_from:new_to])
