"""One task of a suite, and the one template that makes programs of all suites.

    setup + prompt + COMPLETION + suffix + newline + before + tests

Harnesses differ in what they put there, not in the order; the readers bring each format's parts into these places.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

KINDS = ("complete", "infill", "repair")
SCORERS = ("execution", "exact_match", "edit_similarity", "parses")
COMMAND = "command:"

# Where a Python function's body is over, at the left margin (Chen et al. 2021, section 2.3, and what harnesses add).
FUNCTION_STOPS = ("\nclass ", "\ndef ", "\n#", "\n@", "\nif ", "\nprint(", "\n```")


class BadProblem(ValueError):
    """A row that is no problem; the message says which field is wrong."""


@dataclass(frozen=True)
class Problem:
    """Complete `prompt` (or fill in before `suffix`) in `language`, a runtime's name, so that `scorer` is content.

    `reference` is a completion that is right, `buggy` one that is plausible and wrong; a format may have neither.
    `setup` is put before the prompt and `before` before the tests, both unseen by the model. `stop` are strings that end
    a completion. `scorer` is one of SCORERS, or "command:NAME" for a script of the suite's. `timeout_seconds` is of
    processor time; None: as the evaluation says. `requires` names libraries, to say why a reference may fail here.
    """

    task_id: str
    language: str
    prompt: str
    reference: str | None = None
    tests: str = ""
    suffix: str = ""
    buggy: str | None = None
    setup: str = ""
    before: str = ""
    entry_point: str = ""
    kind: str = "complete"
    stop: tuple[str, ...] = ()
    scorer: str = "execution"
    timeout_seconds: float | None = None
    requires: tuple[str, ...] = ()

    def program(self, completion: str) -> str:
        """The whole program, tests and all."""
        return f"{self.setup}{self.prompt}{completion}{self.suffix}\n{self.before}{self.tests}"

    def text(self, completion: str) -> str:
        """What the completion makes of the code that the model saw."""
        return f"{self.prompt}{completion}{self.suffix}"

    def to_json(self) -> dict[str, Any]:
        """As in our own files: what has its default is left out."""
        plain = dataclasses.asdict(self)
        return {name: value for name, value in plain.items() if value != _DEFAULTS.get(name, dataclasses.MISSING)}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Problem:
        """Raises BadProblem for a field that is missing, unknown, or not of its type."""
        unknown = sorted(raw.keys() - _HINTS.keys())
        if unknown:
            raise BadProblem(f"unknown fields: {', '.join(unknown)}")
        missing = [name for name in ("task_id", "language", "prompt") if name not in raw]
        if missing:
            raise BadProblem(f"has no {', '.join(missing)}")
        return checked(cls(**{name: _value(name, value) for name, value in raw.items()}))


_HINTS = get_type_hints(Problem)
_DEFAULTS = {known.name: known.default for known in dataclasses.fields(Problem)}


def _value(name: str, value: Any) -> Any:
    hint = _HINTS[name]
    if hint == tuple[str, ...]:
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) and item for item in value):
            raise BadProblem(f"{name} must be a list of strings, none of them empty")
        return tuple(value)
    if hint == float | None and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint):
        raise BadProblem(f"{name} must be {getattr(hint, '__name__', hint)}, not {value!r}")
    return value


def checked(problem: Problem) -> Problem:
    """The problem itself. Raises BadProblem where its parts do not fit together."""
    if problem.kind not in KINDS:
        raise BadProblem(f"kind must be one of {', '.join(KINDS)}, not {problem.kind}")
    if problem.scorer not in SCORERS and not problem.scorer.startswith(COMMAND):
        raise BadProblem(f"scorer must be one of {', '.join(SCORERS)} or {COMMAND}NAME, not {problem.scorer}")
    if problem.scorer == "execution" and not problem.tests.strip():
        raise BadProblem("has no tests")
    if problem.scorer in ("exact_match", "edit_similarity") and problem.reference is None:
        raise BadProblem(f"has no reference, which {problem.scorer} compares with")
    if problem.timeout_seconds is not None and problem.timeout_seconds <= 0:
        raise BadProblem("timeout_seconds must be positive")
    return problem
