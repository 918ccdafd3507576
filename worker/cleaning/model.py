"""What a step of the catalogue says of itself: data for people, for the recipe's editor and for the keys of work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

FILES, CONTENT, DATASET = "files", "content", "dataset"
PLACES = (FILES, CONTENT, DATASET)


@dataclass(frozen=True)
class Parameter:
    """type: integer, number, boolean, choice, names (a list of strings) or shares (an object of name to number).

    `minimum` and `maximum` are inclusive, and of shares hold for each number. The value of one that is `optional` may
    be null: no bound.
    """

    name: str
    type: str
    default: Any
    help: str
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    optional: bool = False


@dataclass(frozen=True)
class Reason:
    """Why a row went. `unit` says what `measured` beside it counts; empty where there is no number."""

    text: str
    unit: str = ""
    step: str = ""


@dataclass(frozen=True)
class Step:
    """`place`: files (before reading), content (a row alone) or dataset (all rows together)."""

    name: str
    title: str
    place: str
    about: str
    source: str = ""
    parameters: tuple[Parameter, ...] = ()
    reasons: Mapping[str, Reason] = field(default_factory=dict)
    version: int = 1
    fixed: bool = False
    required: bool = False

    def defaults(self) -> dict[str, Any]:
        return {parameter.name: parameter.default for parameter in self.parameters}
