"""What one training text is: a whole document, or one function or small class of a Python document.

Functions that end are what a small model can learn to end: trained on whole files of several contexts' length it
drifts, trained on units closed by an end token it stops. A unit is a span of its document, dedented by the column at
which it begins:

    text of a unit = the document's characters [start, end), less up to `dedent` blanks of each line after the first

so any part of it can be found again in the document, and `unit_text` is the only place that knows how.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

# A class of at most this many lines is one unit (about one sequence of 256 tokens); of a longer one each method is.
SMALL_CLASS_LINES = 24
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
COMPOUND = (ast.If, ast.Try, ast.TryStar, ast.With, ast.For, ast.While)


@dataclass(frozen=True)
class Unit:
    """Characters [start, end) of a document. `name` is the qualified name, or "" for a whole document."""

    name: str
    start: int
    end: int
    dedent: int = 0


def whole(content: str) -> list[Unit]:
    return [Unit("", 0, len(content))]


def python_units(content: str) -> list[Unit] | None:
    """Functions, methods and small classes in order; None where Python 3.11 cannot parse the document."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes and the like are the author's business
            tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None  # the parser reports nesting beyond its stack as MemoryError
    positions = _Positions(content)
    return [positions.unit(name, node) for name, node in _definitions(tree.body, "")]


def unit_text(content: str, start: int, end: int, dedent: int) -> str:
    """The text that was packed for a span of `content`. Only "\n" ends a line here: a form feed in one is a blank."""
    first, newline, rest = content[start:end].partition("\n")
    return first + newline + re.sub(rf"(?m)^[ \t]{{1,{dedent}}}", "", rest) if dedent else content[start:end]


def original_positions(content: str, unit: Unit) -> Sequence[int]:
    """For each character of the unit's text where in the document it stands."""
    if not unit.dedent:
        return range(unit.start, unit.end)
    positions: list[int] = []
    at = unit.start
    for number, line in enumerate(content[unit.start : unit.end].split("\n")):
        taken = 0 if number == 0 else min(unit.dedent, len(line) - len(line.lstrip(" \t")))
        positions.extend(range(at + taken, at + len(line) + 1))
        at += len(line) + 1
    return positions[:-1]  # the last line of a split has no newline of its own


def _definitions(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, Definition]]:
    for node in body:
        if isinstance(node, ast.ClassDef) and _n_lines(node) > SMALL_CLASS_LINES:
            yield from _definitions(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, Definition):
            yield f"{prefix}{node.name}", node
        elif isinstance(node, COMPOUND):
            yield from _definitions([*node.body, *_else_bodies(node)], prefix)


def _else_bodies(node: ast.stmt) -> Iterator[ast.stmt]:
    yield from getattr(node, "orelse", [])
    for handler in getattr(node, "handlers", []):
        yield from handler.body
    yield from getattr(node, "finalbody", [])


def _first_line(node: Definition) -> int:
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


def _n_lines(node: Definition) -> int:
    return (node.end_lineno or node.lineno) - _first_line(node) + 1


class _Positions:
    """Character positions of ast's lines, which count from 1. Documents hold no "\\r", so "\\n" alone ends a line."""

    def __init__(self, content: str) -> None:
        self.lines = content.split("\n")
        self.starts = [0, *accumulate(len(line) + 1 for line in self.lines)]
        self.length = len(content)

    def unit(self, name: str, node: Definition) -> Unit:
        """From the first decorator or `def` to the end of the last line."""
        line = _first_line(node) - 1
        # Only blanks stand before a definition, so its column counts characters as well as bytes.
        end = min(self.starts[node.end_lineno or node.lineno], self.length)
        return Unit(name, self.starts[line] + node.col_offset, end, node.col_offset)
