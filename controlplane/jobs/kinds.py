"""What the engine room must know about a kind of work; each app's jobs.py declares its own, named after the verb.

An instance is what the queue calls: `training_app.jobs.train_model` is a JobKind, and calling it runs a job. The engine
room never imports an app; it finds a job's kind by the dotted path on the row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.utils.module_loading import import_string

from worker.manifest import Manifest

if TYPE_CHECKING:
    from controlplane.jobs.models import Job


@dataclass(frozen=True)
class JobKind:
    """One verb.

    spec_for: the worker.specs dataclass of a job; may raise StageFailure to refuse it.
    on_success: what the result does to product rows; runs inside the transaction that ends the job.
    on_event: (job, event name, payload) for product rows; runs inside the relay's batch. Of a batch's metrics.logged
        the values come merged in one call, of its progress.made the last: there can be hundreds a second.
    on_end: runs in the transaction of any other final status.
    on_reopen: undoes what on_end did, in the transaction that queues an ended job again.
    environment: more variables for the stage's process.
    """

    app: str
    verb: str
    queue: str
    spec_for: Callable[[Job], Any]
    on_success: Callable[[Job, Manifest], None]
    on_event: Callable[[Job, str, dict[str, Any]], None] | None = None
    on_end: Callable[[Job], None] | None = None
    on_reopen: Callable[[Job], None] | None = None
    max_attempts: int = 3
    environment: Callable[[Job], dict[str, str]] | None = None

    @property
    def entry(self) -> str:
        """The dotted path of this instance."""
        return f"{self.app}.jobs.{self.verb}"

    def __call__(self, job_id: str) -> None:
        from controlplane.jobs.runner import run_job  # the runner itself looks kinds up

        run_job(self, job_id)


def kind_of(job: Job) -> JobKind:
    """The kind that a row names. Raises ImportError when its app is gone."""
    kind = import_string(job.entry)
    if not isinstance(kind, JobKind):
        raise ImportError(f"{job.entry} is not a JobKind")
    return kind
