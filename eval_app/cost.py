"""What an evaluation took: by the clock, in its phases, and in processor time of the programs that it judged."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from django.db.models import Count

from controlplane.jobs.models import Job, JobEvent
from eval_app.models import Evaluation

_TOLD = {
    "generate_seconds": "completions, by the clock",
    "generate_cpu_seconds": "completions, processor time",
    "judge_cpu_seconds": "programs, processor time",
}
_TOKENS = {"prompt_tokens": "tokens read", "completion_tokens": "tokens written"}
_MARKS = ("stage.entered", "job.succeeded", "job.failed", "job.crashed", "job.cancelled", "job.requeued")


def of_evaluation(evaluation: Evaluation) -> list[tuple[str, float]]:
    """(what, seconds) in the order of time; what the score does not say is left out, never guessed."""
    job, told = evaluation.job, evaluation.summary.get("cost") or {}
    found: list[tuple[str, float]] = []
    if job is None:
        return found
    if job.started_at and job.finished_at:
        found.append(("in all", (job.finished_at - job.started_at).total_seconds()))
    found += _phases(job)
    return found + [(name, told[key]) for key, name in _TOLD.items() if told.get(key) is not None]


def tokens(evaluation: Evaluation) -> list[tuple[str, int]]:
    """(which, how many) that the model read and wrote; empty where the score does not say it."""
    told = evaluation.summary.get("cost") or {}
    return [(name, told[key]) for key, name in _TOKENS.items() if told.get(key) is not None]


def _phases(job: Job) -> list[tuple[str, float]]:
    """Of the last attempt: an earlier one's generations are kept, so that its time is not this one's."""
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
