"""The counting kind. Its order is written in the job's title: `30` numbers, `30 0.1` with pauses, `30 0.1 deaf`."""

from __future__ import annotations

from dataclasses import dataclass

from controlplane.access import audit
from controlplane.jobs.kinds import JobKind
from controlplane.jobs.models import Job
from worker.failures import StageFailure
from worker.manifest import Manifest


@dataclass(frozen=True)
class Count:
    n: int
    pause: float = 0.0
    manner: str = ""  # what else it does; see stage.py


def _spec(job: Job) -> Count:
    words = job.title.split()
    if words[0] == "unpreparable":
        raise LookupError("no such order")
    if words[0] == "refused":
        raise StageFailure("data:user:bad-recipe", detail="nothing to count")
    return Count(int(words[0]), *[float(word) for word in words[1:2]], *words[2:3])


def _on_success(job: Job, manifest: Manifest) -> None:
    if "unwelcome" in job.title:
        raise LookupError("nobody wanted this result")
    audit.record(action="counted", actor=None, project=job.project, obj=job, after=dict(manifest.counts))


def _on_end(job: Job) -> None:
    audit.record(action="not_counted", actor=None, project=job.project, obj=job, after={"status": job.status})


count = JobKind(
    app="tests.controlplane.counting",
    verb="count",
    queue="cpu",
    spec_for=_spec,
    on_success=_on_success,
    on_end=_on_end,
    max_attempts=4,
)
