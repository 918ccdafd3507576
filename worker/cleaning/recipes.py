"""A recipe's steps as data: made from the defaults, completed with them, and checked by step and parameter."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from worker.cleaning.catalogue import CATALOGUE, CHOSEN, STEPS
from worker.cleaning.model import Parameter


def with_parameters(
    changes: Mapping[str, Mapping[str, Any]] = MappingProxyType({}), without: Iterable[str] = ()
) -> list[dict[str, Any]]:
    """The default recipe's steps as JSON, with some parameters changed (by step) and some steps left out."""
    left_out = set(without)
    return [{"name": name, "parameters": dict(changes.get(name, {}))} for name in CHOSEN if name not in left_out]


def completed(name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """A step's parameters, those not given by their defaults. Lists are tuples, whether they came as JSON or not."""
    values = {**STEPS[name].defaults(), **parameters}
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}


def problems(steps: Sequence[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """What is wrong with a recipe's steps, each as a sentence that names the step and the parameter."""
    found = [problem for name, parameters in steps for problem in _step_problems(name, parameters)]
    names = [name for name, _ in steps if name in CHOSEN]
    found += [f"The step {name} is there twice." for name in sorted({n for n in names if names.count(n) > 1})]
    places = [CHOSEN.index(name) for name in names]
    found += [
        f"The step {later} must come before {earlier}."
        for earlier, later, a, b in zip(names, names[1:], places, places[1:], strict=False)
        if a > b
    ]
    missing = [step.name for step in CATALOGUE if step.required and step.name not in names]
    return found + [f"The step {name} is missing, and nothing works without it." for name in missing]


def _step_problems(name: str, parameters: Mapping[str, Any]) -> Iterable[str]:
    if name not in CHOSEN:
        yield f"No step is called {name}. Known: {', '.join(CHOSEN)}."
        return
    known = {parameter.name: parameter for parameter in STEPS[name].parameters}
    for key, value in parameters.items():
        if key not in known:
            has = f"It has {', '.join(known)}." if known else "It has none."
            yield f"Step {name} has no parameter {key}. {has}"
        elif problem := _value_problem(known[key], value):
            yield f"Step {name}, parameter {key}: {problem}"
    yield from _pair_problems(name, {**STEPS[name].defaults(), **parameters})


def _pair_problems(name: str, values: Mapping[str, Any]) -> Iterable[str]:
    if name != "size" or not all(isinstance(values[key], int) for key in ("min_bytes", "max_bytes")):
        return
    if values["min_bytes"] > values["max_bytes"]:
        yield f"Step size, parameter min_bytes: {values['min_bytes']} is above max_bytes, {values['max_bytes']}."


def _value_problem(parameter: Parameter, value: Any) -> str | None:
    if value is None and parameter.optional:
        return None
    if not _HAS_TYPE[parameter.type](value):
        return f"{value!r} is not {_TYPE_WORDS[parameter.type]}."
    named = value if parameter.type == "names" else [value] if parameter.type == "choice" else []
    if parameter.choices and (strange := [item for item in named if item not in parameter.choices]):
        return f"{', '.join(strange)} is none of {', '.join(parameter.choices)}."
    numbers = value.values() if parameter.type == "shares" else [value] if parameter.type in _NUMBERS else []
    for number in numbers:
        if parameter.minimum is not None and number < parameter.minimum:
            return f"{number} is below {parameter.minimum:g}."
        if parameter.maximum is not None and number > parameter.maximum:
            return f"{number} is above {parameter.maximum:g}."
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


_NUMBERS = ("integer", "number")
_HAS_TYPE: Mapping[str, Callable[[Any], bool]] = {
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": _is_number,
    "boolean": lambda value: isinstance(value, bool),
    "choice": lambda value: isinstance(value, str),
    "names": lambda value: isinstance(value, list | tuple) and all(isinstance(item, str) for item in value),
    "shares": lambda value: isinstance(value, Mapping) and all(_is_number(item) for item in value.values()),
}
_TYPE_WORDS: Mapping[str, str] = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "choice": "a text",
    "names": "a list of texts",
    "shares": "an object of names and numbers",
}
