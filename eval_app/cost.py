"""What an evaluation took: by the clock, in its phases, and in processor time of the programs that it judged."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from django.db.models import Count

from controlplane.jobs.models import JobEvent
from eval_app.models import Evaluation

_MARKS = ("stage.entered", "job.succeeded", "job.failed", "job.crashed", "job.cancelled", "job.requeued")


def of_evaluation(evaluation: Evaluation) -> list[tuple[str, float]]:
    """(what, seconds) in the order of time; what the score does not say is left out, never guessed."""
    job, told = evaluation.job, evaluation.summary.get("cost") or {}
    found: list[tuple[str, float]] = []
    if job.started_at and job.finished_at:
        found.append(("in all", (job.finished_at - job.started_at).total_seconds()))
    found += _phases(evaluation)
    if "generate_seconds" in told:
        found.append(("generating", told["generate_seconds"]))
    if "judge_cpu_seconds" in told:
        found.append(("programs, processor time", told["judge_cpu_seconds"]))
    return found


def _phases(evaluation: Evaluation) -> list[tuple[str, float]]:
    """Of the last attempt: an earlier one's generations are kept, so that its time is not this one's."""
    job = evaluation.job
    marks = JobEvent.objects.filter(job=job, attempt=job.attempt, event__in=_MARKS).order_by("id")
    return [
        (str(mark.payload.get("phase", "")), (after.at - mark.at).total_seconds())
        for mark, after in pairwise(marks)
        if mark.event == "stage.entered"
    ]


def judged(evaluation: Evaluation) -> dict[str, Any]:
    """While it runs: how many programs have which verdict so far, the most frequent first, and their sum."""
    events = JobEvent.objects.filter(job=evaluation.job_id, event="sample.judged")
    rows = events.values("payload__outcome").annotate(n=Count("id")).order_by("-n", "payload__outcome")
    outcomes = [(row["payload__outcome"], row["n"]) for row in rows]
    return {"outcomes": outcomes, "n": sum(n for _, n in outcomes)}
