"""What was evaluated by its score on a suite: one table for each set of conditions, and what it is to the first.

Imported scores stand in tables of their own, since what their harness did not tell is a condition too. A score of an
endpoint stands in every table whose other conditions it shares: how others run their model is part of what is scored.

Scores are read without their lists of problems, in one query. It ranks; whether a gap means anything is shown by the
intervals and, between two, by `eval_app.comparison`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from controlplane.ui import charts
from eval_app import conditions
from eval_app.conditions import Difference
from eval_app.models import Evaluation, Suite

NEWEST = 1_000  # evaluations of a suite that are looked at
MOST = 50  # rows of a table, as in other lists

_FIELDS = {
    "pk": "pk",
    "name": "subject_label",
    "version_pk": "model_version_id",
    "baseline_pk": "baseline_id",
    "checkpoint_pk": "checkpoint_id",
    "run_pk": "checkpoint__run_id",
    "model": "model_version__model__name",
    "harness": "harness",
    "trained": "model_version__run__counts",
    "metrics": "model_version__run__metrics",
    "created_at": "created_at",
    "started_at": "job__started_at",
    "finished_at": "job__finished_at",
    "score": "score",
}
# By which of a row's ids is there: the page of its subject.
_PAGES = {"version_pk": "training:model-version", "baseline_pk": "evaluation:baseline", "run_pk": "training:run"}


@dataclass(frozen=True)
class Standing:
    """A subject's newest score under some conditions: pass@1 and its 95 % interval, 0 to 1; `low` is None without one."""

    pk: str
    name: str
    page: str  # the name of the URL of the subject's page, which takes the project and `page_pk`
    page_pk: str
    model: str | None  # of a model version
    harness: str
    ignored: list[str]  # decode settings that its endpoint did not take
    value: float
    low: float | None
    high: float | None
    tokens: float | None  # that the version was trained on
    seconds: float | None  # the evaluation took, by the clock
    created_at: datetime
    clean: Any = None  # eval_app.contamination.Mark where the training data was searched for the suite

    def __str__(self) -> str:
        return self.name


@dataclass
class Group:
    """Scores that may be compared, best first. `differing`: from the first group, in which there is none."""

    score: Mapping[str, Any]
    rows: list[Standing] = field(default_factory=list)
    differing: list[Difference] = field(default_factory=list)

    @property
    def shown(self) -> list[Standing]:
        return self.rows[:MOST]

    @property
    def runtimes(self) -> dict[str, str]:
        return conditions.runtimes(self.score)


def groups(suite: Suite, language: str = "") -> list[Group]:
    """The suite's tables, the one with the most versions first; of `language` alone if one is named."""
    found: dict[str, Group] = {}
    seen = set()
    for raw in Evaluation.objects.for_leaderboard(suite).values_list(*_FIELDS.values())[:NEWEST]:
        row = dict(zip(_FIELDS, raw, strict=True))
        key, value = conditions.key(row["score"]), pass_at_1(row["score"], language)
        whose = (key, row["version_pk"], row["baseline_pk"], row["checkpoint_pk"])
        if value is None or whose in seen:
            continue  # an older one of the same subject under the same conditions
        seen.add(whose)
        found.setdefault(key, Group(row["score"])).rows.append(_standing(row, value))
    return _ordered(_joined(found.values()))


def _joined(found: Iterable[Group]) -> list[Group]:
    """Endpoints put beside all that they may be compared with; those that may with nothing keep a table of their own."""
    ours: list[Group] = []
    theirs: list[Group] = []
    for group in found:
        (theirs if conditions.is_of_endpoint(group.score) else ours).append(group)
    alone = [group for group in theirs if not _beside(ours, group)]
    for group in theirs:
        for other in _beside(ours, group):
            other.rows += group.rows
    return ours + alone


def _beside(ours: Iterable[Group], endpoints: Group) -> list[Group]:
    return [group for group in ours if not conditions.differing(group.score, endpoints.score)]


def _ordered(found: Iterable[Group]) -> list[Group]:
    # Ours before what was imported; stable, so that of equals the newest comes first.
    ordered = sorted(found, key=lambda group: ("harness" in group.score, -len(group.rows)))
    for group in ordered:
        group.rows.sort(key=lambda row: (-row.value, str(row)))
        group.differing = conditions.differing(ordered[0].score, group.score)
    return ordered


def pass_at_1(score: Mapping[str, Any], language: str = "") -> Mapping[str, float] | None:
    """{value, low, high} of the whole suite or of one language; None where that was not scored."""
    part = (score.get("by_language") or {}).get(language) if language else score
    if not part:
        return None
    found: Mapping[str, float] | None = part.get("pass_at_k", part).get("1")
    return found


def languages(score: Mapping[str, Any]) -> list[str]:
    return sorted(score.get("by_language") or {})


def _standing(row: Mapping[str, Any], value: Mapping[str, float]) -> Standing:
    started, finished = row["started_at"], row["finished_at"]
    tokens = (row["trained"] or {}).get("tokens_seen") or (row["metrics"] or {}).get("tokens/seen")
    page, page_pk = next((page, row[name]) for name, page in _PAGES.items() if row[name])
    return Standing(
        pk=row["pk"],
        name=row["name"],
        page=page,
        page_pk=page_pk,
        model=row["model"],
        harness=row["harness"],
        ignored=sorted((row["score"].get("endpoint") or {}).get("ignored") or ()),
        value=value["value"],
        low=value["low"],
        high=value["high"],
        tokens=tokens,
        seconds=(finished - started).total_seconds() if started and finished else None,
        created_at=row["created_at"],
    )


def over_tokens(group: Group) -> charts.Figure | None:
    """pass@1 over the tokens that each version was trained on, a line a model; None until a model has two versions."""
    by_model: dict[str, list[Standing]] = {}
    for row in group.rows:
        if row.tokens and row.model:
            by_model.setdefault(row.model, []).append(row)
    series = [_series(name, rows) for name, rows in sorted(by_model.items()) if len(rows) > 1]
    if not series:
        return None
    tokens = [x for item in series for x in item.x]
    wide = max(tokens) / min(tokens) > 30
    figure = charts.line_chart(series, x_title="training tokens", y_title="pass@1, %", log_x=wide)
    for trace in figure["data"]:
        trace["mode"] = "lines+markers"  # few points, each a version
    figure["layout"]["xaxis"] |= {"dtick": "D2"} if wide else {}
    return figure


def _series(name: str, rows: list[Standing]) -> charts.Series:
    ordered = sorted(rows, key=lambda row: row.tokens or 0)
    return charts.Series(name, [row.tokens or 0 for row in ordered], [100 * row.value for row in ordered])
