"""Who asks to be left out: which rows of a version a rule covers, and which of a shard set's samples hold them.

Rules are those of the recipe's step opt_out, and patterns mean the same there (worker.data.opt_outs): `*` stands for any
characters, "/" too. Rows know their source and path, so a repository is found by the name of its source; rows carry no
author, so of that rule only the next version, which lists the files anew, can tell what it takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from datasets_app.parquet import path_of, query
from worker import cleaning

EXAMPLES = 5
STEP = "opt_out"


@dataclass(frozen=True)
class Rules:
    """Patterns by kind. A path pattern may begin with the source it is for and a colon."""

    repositories: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, list[str]]:
        return {name: list(patterns) for name, patterns in vars(self).items()}

    def __bool__(self) -> bool:
        return any(vars(self).values())


@dataclass(frozen=True)
class Covered:
    """The rows of a version that rules cover; `examples` are the first few paths."""

    rows: int
    bytes: int
    examples: list[dict[str, Any]]


def covered(uri: str, rules: Rules) -> Covered:
    """Raises Unreadable."""
    where, bound = _where(rules)
    sql = (
        "SELECT count(*) AS rows, coalesce(sum(size_bytes), 0) AS bytes, "  # noqa: S608
        f"list({{'id': id, 'source': source, 'path': path}} ORDER BY id)[:{EXAMPLES}] AS examples "
        f"FROM read_parquet(?) WHERE {where}"
    )
    found = query(sql, [f"{path_of(uri)}/data/*.parquet", *bound])[0]
    return Covered(found["rows"], int(found["bytes"]), found["examples"] or [])


def packed(shards_uri: str, dataset_uri: str, rules: Rules) -> int:
    """How many of the covered rows stand in a shard set's training samples. Raises Unreadable."""
    where, bound = _where(rules)
    sql = (
        "SELECT count(DISTINCT document) AS rows FROM read_parquet(?) WHERE document IN "  # noqa: S608
        f"(SELECT id FROM read_parquet(?) WHERE {where})"
    )
    values = [f"{path_of(shards_uri)}/train/ledger.parquet", f"{path_of(dataset_uri)}/data/*.parquet", *bound]
    return int(query(sql, values, "shard set")[0]["rows"])


def without(recipe: Mapping[str, Any], rules: Rules) -> dict[str, Any]:
    """The recipe with the rules added to its step opt_out, which stands first where the recipe had none."""
    steps = [dict(step) for step in recipe.get("steps", [])]
    place = cleaning.CHOSEN.index(STEP)
    if not any(step["name"] == STEP for step in steps):
        before = sum(cleaning.CHOSEN.index(step["name"]) < place for step in steps)
        steps.insert(before, {"name": STEP, "parameters": {}})
    for step in steps:
        if step["name"] == STEP:
            step["parameters"] = _joined(step.get("parameters", {}), rules)
    return {**recipe, "steps": steps}


def _joined(parameters: Mapping[str, Any], rules: Rules) -> dict[str, list[str]]:
    more = {name: patterns for name, patterns in rules.to_dict().items() if patterns}
    return dict(parameters) | {
        name: list(dict.fromkeys([*parameters.get(name, ()), *patterns])) for name, patterns in more.items()
    }


def _where(rules: Rules) -> tuple[str, list[str]]:
    parts, bound = ["false"], []
    for pattern in rules.repositories:
        parts.append("source GLOB ?")
        bound.append(pattern)
    for pattern in rules.paths:
        source, colon, path = pattern.partition(":")
        parts.append("(source GLOB ? AND path GLOB ?)" if colon else "path GLOB ?")
        bound += [source, path] if colon else [pattern]
    return f"({' OR '.join(parts)})", bound
