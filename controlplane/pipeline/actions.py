"""Every write to pipelines: start, advance, stop.

`advance` is the conductor's one move. It holds the pipeline's row, so any number of conductors may run; killed anywhere,
the next one finds the pipeline as it stood.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils import timezone

from controlplane.access import audit
from controlplane.access.actions import archive_project, first_project
from controlplane.access.models import Project, User
from controlplane.access.refusals import Refused
from controlplane.jobs.actions import retry_job, stop_job
from controlplane.jobs.models import Job, Status
from controlplane.pipeline import plans
from controlplane.pipeline.models import OptOut, OptOutMark, Pipeline, PipelineQuerySet
from controlplane.pipeline.opt_outs import reach_of
from controlplane.pipeline.steps import STEPS, job_of
from datasets_app.actions import ingest_dataset
from datasets_app.opt_outs import Rules, without
from playground_app.actions import unload_all

log = logging.getLogger(__name__)


@transaction.atomic
def start_pipeline(*, project: Project, by: User | None, name: str, plan: Mapping[str, Any]) -> Pipeline:
    """Begin a chain of the seven verbs; the conductor takes it from there."""
    pipeline = Pipeline.objects.create(project=project, created_by=by, name=name, plan=dict(plan))
    audit.record(action="start_pipeline", actor=by, project=project, obj=pipeline, after={"plan": dict(plan)})
    return pipeline


def start_first_model(*, project: Project | None = None, by: User | None = None, minutes: float = 15) -> Pipeline:
    """The demo: this machine's own Python code to a model on staff. Without a project, in the first one."""
    project = project or first_project()
    return start_pipeline(project=project, by=by, name="First model", plan=plans.first_model(minutes))


@transaction.atomic
def opt_out(*, project: Project, by: User, rules: Rules, reason: str) -> OptOut:
    """Make a new version without the covered rows of each dataset whose newest version holds some, and mark every model
    that was trained on shards that hold some. Nothing is stopped or deleted: people decide that by the marks.

    A newest version that cannot tell is made anew as well. Refuses rules that cover nothing where all can tell.
    """
    reach = reach_of(project, rules)
    if not reach.holdings and not reach.untold:
        raise Refused("No row of any version is covered by these rules.")
    row = OptOut.objects.create(project=project, created_by=by, rules=rules.to_dict(), reason=reason)
    versions = [
        ingest_dataset(
            project=project,
            by=by,
            name=version.dataset.name,
            sources=list(version.sources.all()),
            recipe=without(version.recipe, rules),
        )
        for version in reach.latest
    ]
    row.versions.set(versions)
    marks = [OptOutMark(opt_out=row, model_version=model, rows=rows) for model, rows in reach.models.items()]
    OptOutMark.objects.bulk_create(marks)
    after = {"rules": rules.to_dict(), "versions": list(map(str, versions)), "models": list(map(str, reach.models))}
    audit.record(action="opt_out", actor=by, project=project, obj=row, after=after, reason=reason)
    return row


@transaction.atomic
def stop_pipeline(*, pipeline: Pipeline, by: User) -> None:
    """Start no further step, and stop the one that runs."""
    _end(pipeline, "cancelled", f"Stopped by {by}.")
    for step in STEPS:
        job = job_of(getattr(pipeline, step.field))
        if job is not None and job.is_active:
            stop_job(job=job, by=by)
    audit.record(action="stop_pipeline", actor=by, project=pipeline.project, obj=pipeline)


@transaction.atomic
def advance(pipeline_id: str) -> bool:
    """Take the next step if its turn has come. True if anything changed."""
    pipeline = Pipeline.objects.select_for_update(skip_locked=True).filter(pk=pipeline_id, finished_at=None).first()
    if pipeline is None:
        return False
    for step in STEPS:
        row = getattr(pipeline, step.field)
        if row is None:
            return _begin(pipeline, step)
        job = job_of(row)
        if job is not None and job.status != Status.SUCCEEDED:
            return _wait_or_fail(pipeline, step.verb, job.status, job.failure_message)
    _end(pipeline, "succeeded", "")
    return True


def close_project(*, project: Project, by: User) -> None:
    """Archive a project: its deployments are unloaded, and nothing in it changes until it is restored.

    Raises Refused while anything runs in it: what a running job makes would have nowhere to go.
    """
    n_jobs, n_pipelines = Job.objects.filter(project=project).active().count(), _active(project).count()
    if n_jobs or n_pipelines:
        raise Refused(f"Stop what runs first. Active jobs: {n_jobs}, active pipelines: {n_pipelines}.")
    unload_all(project=project, by=by)
    archive_project(project=project, by=by)


def _active(project: Project) -> PipelineQuerySet:
    return Pipeline.objects.filter(project=project).active()


def fail_pipeline(*, pipeline_id: str, detail: str) -> None:
    """End a pipeline that cannot go on; `resume_pipeline` opens it again."""
    _end(Pipeline.objects.get(pk=pipeline_id), "failed", detail)


def _begin(pipeline: Pipeline, step: Any) -> bool:
    try:
        with transaction.atomic():
            row = step.begin(pipeline)
    except Refused as refused:
        _end(pipeline, "failed", f"{step.verb} was refused: {refused}")
        return True
    if row is not None:
        setattr(pipeline, step.field, row)
        pipeline.save(update_fields=[step.field])
        log.info("%s: %s began", pipeline.name, step.verb)
    return row is not None


def _wait_or_fail(pipeline: Pipeline, verb: str, status: str, message: str) -> bool:
    """A step that ended without success ends the pipeline; `resume_pipeline` retries it."""
    if status in {Status.QUEUED, Status.RUNNING}:
        return False
    _end(pipeline, "failed", f"{verb} {status}. {message}".strip())
    return True


def _end(pipeline: Pipeline, outcome: str, detail: str) -> None:
    ended = Pipeline.objects.filter(pk=pipeline.pk, finished_at=None).update(
        finished_at=timezone.now(), outcome=outcome, detail=detail
    )
    if not ended:
        raise Refused("This pipeline has ended already.")


@transaction.atomic
def resume_pipeline(*, pipeline: Pipeline, by: User) -> None:
    """Open a failed or stopped pipeline again; it goes on with the first step that is not done, as a retry of its job."""
    if pipeline.outcome not in {"failed", "cancelled"}:
        raise Refused("Only a failed or stopped pipeline can be resumed.")
    for step in STEPS:
        job = job_of(getattr(pipeline, step.field))
        if job is not None and job.status in {Status.FAILED, Status.CRASHED, Status.CANCELLED}:
            retry_job(job=job, by=by)
    Pipeline.objects.filter(pk=pipeline.pk).update(finished_at=None, outcome="", detail="")
    audit.record(action="resume_pipeline", actor=by, project=pipeline.project, obj=pipeline)
