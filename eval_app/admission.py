"""What a suite's page says of its problems: by language what counts here and why the rest does not, and who solves what.

Read from the newest admission of the suite and from its newest evaluation; nothing is judged here. A language that the
machine cannot run is "not available", which is no number.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import fsspec

from eval_app.models import Evaluation, Suite, SuiteAdmission

SHOWN = 500  # problems on a page: of more one narrows by language or by what became of them
COUNTS, UNASKED = "counts", "not admitted yet"


@dataclass(frozen=True)
class Problem:
    """One of the suite. `state`: COUNTS, UNASKED or the reason why it is left out, in the words of `why`; `solved` of
    `judged` samples passed in the newest evaluation, None where it was not asked.
    """

    task_id: str
    language: str
    state: str
    why: str = ""
    solved: int | None = None
    judged: int = 0

    @property
    def is_excluded(self) -> bool:
        return self.state not in (COUNTS, UNASKED)


@dataclass(frozen=True)
class Facet:
    """A way to narrow the list, and how many problems it leaves."""

    name: str
    n: int
    here: bool


def of_suite(suite: Suite, language: str = "", state: str = "") -> dict[str, Any]:
    """The context of the page: the newest attempt, the newest admission, its languages, and the problems asked for."""
    latest = SuiteAdmission.objects.of_suite(suite).first()
    admission = SuiteAdmission.objects.newest_ready(suite)
    newest = Evaluation.objects.finished().made_here().filter(suite=suite).order_by("-created_at", "-id").first()
    every = problems(suite, admission, newest)
    shown = [row for row in every if language in ("", row.language) and state in ("", row.state)]
    return {
        "suite": suite,
        "latest": latest,
        "admission": admission,
        "newest": newest,
        "by_language": languages(admission) if admission else [],
        "n_problems": len(every),
        "n_counting": sum(row.state == COUNTS for row in every),
        "n_unasked": sum(row.state == UNASKED for row in every),
        "rows": shown[:SHOWN],
        "n_shown": len(shown),
        "language": language,
        "state": state,
        "language_facets": _facets([row.language for row in every], language),
        "state_facets": _facets([row.state for row in every], state),
    }


def languages(admission: SuiteAdmission) -> list[dict[str, Any]]:
    """Of each: language, runtime, version, n, admitted, n_excluded, excluded {reason: n}, status, detail; most problems
    first.
    """
    told = [
        {"language": name, "n_excluded": entry["n"] - entry["admitted"], **entry}
        for name, entry in admission.summary["languages"].items()
    ]
    return sorted(told, key=lambda row: -row["n"])


def problems(suite: Suite, admission: SuiteAdmission | None, newest: Evaluation | None) -> list[Problem]:
    """In the suite's order, as far as this side knows them: its own rows, what was admitted, or what was judged."""
    asked = _entries(admission) if admission else {}
    judged = {row["task_id"]: row for row in newest.summary["problems"]} if newest else {}
    spoken = {name: str(row.get("language", "")) for name, row in judged.items()}
    if suite.is_own:
        named = dict(suite.problems.order_by("created_at", "pk").values_list("task_id", "language"))
    else:
        named = {name: entry["language"] for name, entry in asked.items()} or spoken
    return [_problem(name, language, asked.get(name), judged.get(name)) for name, language in named.items()]


def _problem(task_id: str, language: str, entry: Mapping[str, Any] | None, judged: Mapping[str, Any] | None) -> Problem:
    state = UNASKED if entry is None else COUNTS if entry["admitted"] else entry["reason"]
    why = entry["why"] if entry else ""
    return Problem(task_id, language, state, why, judged["c"] if judged else None, judged["n"] if judged else 0)


def _entries(admission: SuiteAdmission) -> Mapping[str, Mapping[str, Any]]:
    """By task_id, {admitted, language, reason, why}: of all problems, or, with the artifact gone, of those left out."""
    try:
        with fsspec.open(f"{admission.uri}/admission.json", "rt", encoding="utf-8") as file:
            found: Mapping[str, Mapping[str, Any]] = json.load(file)["problems"]
            return found
    except FileNotFoundError:
        return {row["task_id"]: {**row, "admitted": False} for row in admission.summary["excluded"]}


def _facets(values: Sequence[str], here: str) -> list[Facet]:
    return [Facet(name, n, name == here) for name, n in Counter(values).most_common() if name]
