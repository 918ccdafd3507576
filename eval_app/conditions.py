"""Under which conditions a score was made: what must be equal before two scores may be put side by side.

Read from the score that the stage wrote (worker/evaluation/score.py), or from that score without its long lists
(`EvaluationQuerySet.for_leaderboard`). It says what differs; whether that matters is for the person to judge.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Score = Mapping[str, Any]
MOST_NAMED = 12  # problems or languages in a sentence


@dataclass(frozen=True)
class Difference:
    """One condition that two scores do not share, each side in words."""

    name: str
    ours: str
    theirs: str


def conditions(score: Score) -> dict[str, Any]:
    """By name, everything that a score depends on beside the model: plain JSON values, equal or not.

    `zygote` is one level with a fork instead of a start, and still a condition: a driver may judge a program otherwise.
    Limits are one too, since a lower one fails what a higher one passes.
    """
    isolation = score["isolation"]
    return {
        "suite version": score["suite"]["version"],
        "problems": _problems(score),
        "isolation": isolation["level"],
        "zygote": isolation.get("zygote", False),
        "limits": isolation.get("limits", {}),
        "runtimes": runtimes(score),
        "runtime declarations": _declarations(score),
        "decode settings": score["decode"],
        "engine": score["engine"],
        "harness": harness(score),
    }


def harness(score: Score) -> str:
    """What made the score: this yard, or the harness that it was imported from, with its version."""
    told = score.get("harness")
    if not told:
        return "modelyard"
    return f"{told['name']} {told['version']}" if told["version"] else f"{told['name']}, its version not told"


def is_of_endpoint(score: Score) -> bool:
    """Whether somebody else's server wrote the programs: what runs there is theirs, and no condition of ours."""
    return str(score["engine"].get("name")).startswith("endpoint:")


def runtimes(score: Score) -> dict[str, str]:
    """Which version judged, by language: {"python": "3.11.2"}; empty for scores older than the stamp."""
    stamps = score.get("runtimes") or {}
    return {language: _versions(language, stamp) for language, stamp in sorted(stamps.items())}


def _versions(language: str, stamp: Mapping[str, Any]) -> str:
    """Of its tools, each by its name unless that is the language's; a runtime without any says its state."""
    tools = sorted(stamp.get("versions", {}).items())
    named = (
        # Most tools say their own name beside the number.
        version if tool == language or version.lower().startswith(tool) else f"{tool} {version}"
        for tool, version in tools
    )
    return ", ".join(named) or str(stamp["state"])


def _declarations(score: Score) -> dict[str, str]:
    """By language, the fingerprint of how programs are compiled and run: another flag is another judge."""
    stamps = score.get("runtimes") or {}
    return {language: stamp["declaration"] for language, stamp in sorted(stamps.items()) if stamp.get("declaration")}


def _problems(score: Score) -> dict[str, Any]:
    """The first `number` of a suite version, of these languages, without these: together that names the problems."""
    found: dict[str, Any] = {"number": score["n_problems"]}
    languages = sorted(score.get("by_language") or {})
    if len(languages) > 1:  # of one language the suite version says it, and older scores do not name theirs
        found["languages"] = languages
    found["left out"] = sorted(str(row["task_id"]) for row in score.get("excluded") or ())
    return found


def key(score: Score) -> str:
    """Equal for scores made under equal conditions."""
    found = conditions(score)
    if is_of_endpoint(score):
        del found["engine"]
    return json.dumps(found, sort_keys=True)


def differing(ours: Score, theirs: Score) -> list[Difference]:
    """What the two do not share, in a fixed order; of settings, only those that differ."""
    mine, other = conditions(ours), conditions(theirs)
    if is_of_endpoint(ours) or is_of_endpoint(theirs):
        del mine["engine"]
    return [Difference(name, *_told(mine[name], other[name])) for name in mine if mine[name] != other[name]]


def _told(one: Any, two: Any) -> tuple[str, str]:
    if not isinstance(one, Mapping) or not isinstance(two, Mapping):
        return _plain(one), _plain(two)
    names = [name for name in {**one, **two} if one.get(name) != two.get(name)]
    return _listed(one, names), _listed(two, names)


def _listed(values: Mapping[str, Any], names: list[str]) -> str:
    return "; ".join(f"{name} {_plain(values[name])}" if name in values else f"{name} not told" for name in names)


def _plain(value: Any) -> str:
    if value is None:
        return "not told"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        more = f" and {len(value) - MOST_NAMED} more" if len(value) > MOST_NAMED else ""
        return ", ".join(map(_plain, value[:MOST_NAMED])) + more or "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
