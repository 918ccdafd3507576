"""A named recipe with changes, as the JSON that a run keeps and its spec is made of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from controlplane.access.refusals import Refused
from worker import recipes, specs
from worker.failures import StageFailure


def recipe_for(name: str, **changes: Any) -> dict[str, Any]:
    """The recipe called `name` with `changes` to its fields. max_steps and max_seconds exclude each other: one clears the other."""
    bounds = {"max_steps", "max_seconds"} & changes.keys()
    if bounds:
        changes = {"max_steps": None, "max_seconds": None, **changes}
    try:
        recipe = replace(recipes.by_name(name), **changes)
        recipes.check(recipe)
    except StageFailure as failure:
        raise Refused(failure.message) from failure
    return specs.to_dict(recipe)


def names() -> list[str]:
    return list(recipes.RECIPES)
