"""Who asks to be left out: which rows of a version a rule covers, and which of a shard set's samples hold them.

Rules are those of the recipe's step opt_out, and mean the same there (worker.data.opt_outs): in patterns `*` stands for
any characters, "/" too; a repository is met by its name or by that of its source, an author by name or address, whatever
the case. Versions made before rows carried their repository and author are found by source and path alone; of them
`knows_origins` is false, and only the next version, which lists the files anew, can tell what the other rules take.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from datasets_app.documents import ORIGINS, knows_origins
from datasets_app.parquet import path_of, query
from worker import cleaning
from worker.sources import repository_name

EXAMPLES = 5
STEP = "opt_out"
# Reasons for which a row gave way to the row that its `detail` names.
GAVE_WAY = ("duplicate", "near-duplicate", "resembles-held-out")


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
    """The rows of a version that rules cover; `examples` are the first few paths.

    `copies`: rows of others that stayed where a covered row gave way to them, with text that is equal or alike: no rule
    takes those. `knows_origins`: false where nobody can tell what rules on repositories and authors cover.
    """

    rows: int
    bytes: int
    examples: list[dict[str, Any]]
    copies: int = 0
    knows_origins: bool = True


def covered(uri: str, rules: Rules) -> Covered:
    """Raises Unreadable."""
    knows = knows_origins(uri)
    where, bound = _where(rules, f"{path_of(uri)}/data/*.parquet", knows)
    names = ("id", "source", "path", *(ORIGINS if knows else ()))
    shown = ", ".join(f"'{name}': {name}" for name in names)
    sql = (
        "SELECT count(*) AS rows, coalesce(sum(size_bytes), 0) AS bytes, "  # noqa: S608
        f"list({{{shown}}} ORDER BY id)[:{EXAMPLES}] AS examples "
        f"FROM read_parquet(?) WHERE {where}"
    )
    found = query(sql, [f"{path_of(uri)}/data/*.parquet", *bound])[0]
    is_told = knows or not (rules.repositories or rules.authors)
    return Covered(found["rows"], int(found["bytes"]), found["examples"] or [], _copies(uri, rules, knows), is_told)


def _copies(uri: str, rules: Rules, knows: bool) -> int:
    kept, dropped = f"{path_of(uri)}/data/*.parquet", f"{path_of(uri)}/dropped.parquet"
    is_mine, mine = _where(rules, kept, knows)
    was_mine, before = _where(rules, dropped, knows)
    sql = (
        f"SELECT count(*) AS rows FROM read_parquet(?) WHERE NOT {is_mine} AND id IN "  # noqa: S608
        f"(SELECT detail FROM read_parquet(?) WHERE list_contains(?, reason) AND {was_mine})"
    )
    return int(query(sql, [kept, *mine, dropped, list(GAVE_WAY), *before])[0]["rows"])


def packed(shards_uri: str, dataset_uri: str, rules: Rules) -> int:
    """How many of the covered rows stand in a shard set's training samples. Raises Unreadable."""
    rows = f"{path_of(dataset_uri)}/data/*.parquet"
    where, bound = _where(rules, rows, knows_origins(dataset_uri))
    sql = (
        "SELECT count(DISTINCT document) AS rows FROM read_parquet(?) WHERE document IN "  # noqa: S608
        f"(SELECT id FROM read_parquet(?) WHERE {where})"
    )
    values = [f"{path_of(shards_uri)}/train/ledger.parquet", rows, *bound]
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


def _where(rules: Rules, files: str, knows: bool) -> tuple[str, list[Any]]:
    """(condition on rows of `files`, values to bind). Never null: a null would be no row of anybody's."""
    parts: list[str] = ["false"]
    bound: list[Any] = []
    named = "(source GLOB ? OR repository GLOB ?)" if knows else "source GLOB ?"
    for pattern in map(repository_name, rules.repositories):
        parts.append(named)
        bound += [pattern] * named.count("?")
    for pattern in rules.paths:
        where, colon, path = pattern.partition(":")
        parts.append(f"({named} AND path GLOB ?)" if colon else "path GLOB ?")
        bound += [*[repository_name(where)] * named.count("?"), path] if colon else [pattern]
    if rules.authors and knows:
        parts.append(_OF_AUTHORS)
        bound += [files, [_plain(author) for author in rules.authors]]
    return f"({' OR '.join(parts)})", bound


def _plain(author: str) -> str:
    """Letter by letter, as DuckDB's lower() and the worker's step do it."""
    return "".join(letter.lower()[0] for letter in author.strip())


# Few authors have many rows, so the names are taken apart once each: of a million rows of as many authors in 2 s.
_OF_AUTHORS = r"""author IN (
    SELECT author FROM (SELECT DISTINCT author FROM read_parquet(?) WHERE author <> '') WHERE list_has_any(
        ?, flatten(list_transform(string_split(author, ';'), lambda one: [
            lower(trim(one)),
            lower(trim(regexp_extract(one, '^(.*)<', 1))),
            lower(trim(regexp_extract(one, '<([^<>]*)>\s*$', 1)))
        ]))
    )
)"""
