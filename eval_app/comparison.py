"""Evaluations side by side: which of them may be, the matrix of who solves what, and between two what flipped.

The first is the baseline. Reads rows and draws figures; whether scores are comparable is `eval_app.conditions`' affair.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse

from controlplane.ui import charts
from eval_app import languages, paired
from eval_app.conditions import Difference
from eval_app.models import Evaluation, SampleResult

MOST = 20  # versions in a matrix: more and one reads no names


@dataclass(frozen=True)
class Flip:
    """A problem whose share of passed samples is not the same: both shares, and a sample of either side to open."""

    task_id: str
    before: float
    after: float
    before_sample: int | None = None
    after_sample: int | None = None


@dataclass(frozen=True)
class Column:
    """One evaluation beside the baseline; `differing` is empty when the two scores may be compared."""

    evaluation: Evaluation
    differing: list[Difference]
    gained: int = 0
    lost: int = 0

    @property
    def gap(self) -> int:
        return self.gained - self.lost


def columns(evaluations: Sequence[Evaluation]) -> list[Column]:
    """Each evaluation against the first; all must be ready."""
    first = evaluations[0]
    return [_column(first, one) for one in evaluations]


def _column(first: Evaluation, one: Evaluation) -> Column:
    differing = first.differing(one)
    if differing:
        return Column(one, differing)
    changes = [after - before for _, before, after in _both(first, one)]
    return Column(one, [], sum(item > 0 for item in changes), sum(item < 0 for item in changes))


def _both(one: Evaluation, two: Evaluation) -> list[tuple[str, float, float]]:
    """The problems that both were judged on, in suite order."""
    theirs = two.shares
    return [(task_id, share, theirs[task_id]) for task_id, share in one.shares.items() if task_id in theirs]


def test(one: Evaluation, two: Evaluation) -> paired.Paired | None:
    """The paired test between two comparable evaluations; None if no problem was judged in both."""
    pairs = _both(one, two)
    if not pairs:
        return None
    single = all(row["n"] <= 1 for item in (one, two) for row in item.summary["problems"])
    return paired.compare([row[1] for row in pairs], [row[2] for row in pairs], one_sample=single)


def flips(one: Evaluation, two: Evaluation) -> tuple[list[Flip], list[Flip]]:
    """What `two` solves more often than `one`, and what less often, the largest change first."""
    changed = [(task_id, before, after) for task_id, before, after in _both(one, two) if before != after]
    samples = _first_samples((one, two), [task_id for task_id, _, _ in changed])
    found = [
        Flip(task_id, before, after, samples.get((one.pk, task_id)), samples.get((two.pk, task_id)))
        for task_id, before, after in sorted(changed, key=lambda row: -abs(row[2] - row[1]))
    ]
    return [flip for flip in found if flip.after > flip.before], [flip for flip in found if flip.after < flip.before]


def _first_samples(evaluations: Iterable[Evaluation], task_ids: Sequence[str]) -> dict[tuple[str, str], int]:
    """By evaluation and problem, the sample to look at: its first."""
    rows = SampleResult.objects.filter(evaluation__in=list(evaluations), task_id__in=task_ids, sample=0)
    return {(evaluation, task_id): pk for evaluation, task_id, pk in rows.values_list("evaluation", "task_id", "pk")}


def matrix(evaluations: Sequence[Evaluation]) -> charts.Figure:
    """Versions by problems, of evaluations that may be compared: easiest problem first, so that a staircase shows."""
    shares = [one.shares for one in evaluations]
    task_ids = sorted(shares[0], key=lambda task_id: -sum(row.get(task_id, 0.0) for row in shares))
    first = evaluations[0]
    place = reverse("evaluation:problem", args=[first.project.slug, first.suite_id])
    links = [f"{place}?{urlencode({'task': task_id})}" for task_id in task_ids]
    return charts.heat_map(
        [one.subject_name for one in evaluations],
        task_ids,
        [[row.get(task_id) for task_id in task_ids] for row in shares],
        x_title="problems, the easiest first",
        y_title="share of samples that passed",
        links=[links] * len(evaluations),
    )


def context(evaluations: Sequence[Evaluation]) -> dict[str, Any]:
    """Everything that the page of a comparison shows; the first is the baseline."""
    beside = columns(evaluations)
    comparable = [column.evaluation for column in beside if not column.differing]
    found: dict[str, Any] = {"columns": beside, "n_comparable": len(comparable)}
    found["ignoring"] = [one for one in evaluations if one.ignored]
    found["are_imported"] = len(comparable) > 1 and bool(evaluations[0].harness)
    if len(comparable) > 1:
        found["matrix"] = matrix(comparable)
        found["languages"], found["radar"] = languages.table(comparable), languages.radar(comparable)
        found["names"] = [one.subject_name for one in comparable]
    if len(evaluations) == len(comparable) == 2:
        found["test"] = test(*comparable)
        found["gained"], found["lost"] = flips(*comparable)
    return found
