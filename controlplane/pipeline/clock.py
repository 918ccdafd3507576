"""A pipeline's clock: what each step took, is taking, or waits for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse
from django.utils import timezone

from controlplane.jobs.models import Job, Status
from controlplane.pipeline.lineage import URLS
from controlplane.pipeline.models import Pipeline
from controlplane.pipeline.steps import STEPS, Step, job_of


@dataclass(frozen=True)
class Tick:
    """One step on the clock. status is a job's status, "waiting", or "done" for a step without a job."""

    verb: str
    noun: str
    label: str
    url: str | None
    status: str
    seconds: float | None
    job: Job | None

    @property
    def share(self) -> float | None:
        """How far its job is, 0 to 1; None while that is not known."""
        if self.job is None or not self.job.progress_total:
            return None
        return min(1.0, self.job.progress_done / self.job.progress_total)


@dataclass(frozen=True)
class Clock:
    pipeline: Pipeline
    ticks: list[Tick]

    @property
    def seconds(self) -> float:
        return self.pipeline.seconds

    @property
    def is_active(self) -> bool:
        return self.pipeline.finished_at is None

    @property
    def done(self) -> int:
        return sum(tick.status in {"done", Status.SUCCEEDED} for tick in self.ticks)

    @property
    def status(self) -> str:
        return self.pipeline.status


def clock(pipeline: Pipeline) -> Clock:
    return Clock(pipeline, [_tick(pipeline, step) for step in STEPS])


def _tick(pipeline: Pipeline, step: Step) -> Tick:
    row = getattr(pipeline, step.field)
    if row is None:
        return Tick(step.verb, step.noun, "", None, "waiting", None, None)
    _, name = URLS[type(row)]
    job = job_of(row)
    url = reverse(name, args=[pipeline.project.slug, row.pk])
    return Tick(step.verb, step.noun, str(row), url, job.status if job else "done", _seconds(job), job)


def _seconds(job: Job | None) -> float | None:
    if job is None or job.started_at is None:
        return None
    end: datetime = job.finished_at or timezone.now()
    return (end - job.started_at).total_seconds()
