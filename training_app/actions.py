"""Every write to runs and to the registry's models. Promotion, which needs scores and servers, is in playground_app."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.urls import reverse
from django.utils import timezone

from controlplane.access import audit
from controlplane.access.models import Project, User
from controlplane.access.refusals import Refused
from controlplane.jobs.actions import submit_job
from controlplane.ui.names import friendly_name
from datasets_app.models import ShardSet, Tokenizer
from training_app.models import Model, ModelImport, ModelVersion, RunView, TrainingRun
from worker import specs
from worker.manifest import Artifact

# Greedy decoding of a small model loops; 1.15 ended most loops seen on a 4 M model. Kept low, since it also hurts names.
DEFAULT_DECODE = specs.DecodeSettings(temperature=0.0, repetition_penalty=1.1, max_tokens=48)


@transaction.atomic
def train_model(
    *,
    project: Project,
    by: User | None,
    shard_set: ShardSet,
    recipe: Mapping[str, Any],
    model_name: str,
    name: str = "",
    tags: Sequence[str] = (),
) -> TrainingRun:
    """Start a run; its result is registered as the next version of `model_name`. Without a name it gets a friendly one."""
    from training_app import jobs  # jobs registers what a run makes, through this module

    if not shard_set.is_ready:
        raise Refused(f"{shard_set} is not ready yet; wait for its job.")
    if recipe.get("mask_documents") and not shard_set.parameters.get("boundaries"):
        raise Refused(
            "These shards record no document boundaries, so attention cannot be kept within documents: "
            "build them with boundaries, or train without the mask."
        )
    model, _ = Model.objects.get_or_create(project=project, name=model_name, defaults={"created_by": by})
    Project.objects.select_for_update().get(pk=project.pk)  # two runs begun at once would be counted into one name
    name = name or friendly_name(TrainingRun.objects.filter(project=project).count() + 1)
    if TrainingRun.objects.filter(project=project, name=name).exists():
        raise Refused(f"There is a run called {name} already; choose another name.")
    run = TrainingRun(
        project=project,
        created_by=by,
        name=name,
        shard_set=shard_set,
        model=model,
        recipe=dict(recipe),
        tags=list(tags),
    )
    url = reverse("training:run", args=[project.slug, run.pk])
    run.job = submit_job(kind=jobs.train_model, project=project, created_by=by, title=name, url=url)
    run.save()
    audit.record(action="train_model", actor=by, project=project, obj=run, after={"recipe": dict(recipe)})
    return run


@transaction.atomic
def edit_run(*, run: TrainingRun, by: User, name: str, tags: Sequence[str], notes: str) -> TrainingRun:
    """Rename, tag and annotate; the run's URL does not change."""
    if TrainingRun.objects.filter(project=run.project, name=name).exclude(pk=run.pk).exists():
        raise Refused(f"There is a run called {name} already; choose another name.")
    before = {"name": run.name, "tags": run.tags, "notes": run.notes}
    run.name, run.tags, run.notes = name, list(tags), notes
    run.save(update_fields=["name", "tags", "notes"])
    after = {"name": name, "tags": list(tags), "notes": notes}
    audit.record(action="edit_run", actor=by, project=run.project, obj=run, before=before, after=after)
    return run


@transaction.atomic
def archive_run(*, run: TrainingRun, by: User) -> None:
    """Take a run out of the lists; everything made from it stays."""
    if run.job.is_active:
        raise Refused("Stop the run before archiving it.")
    run.archived_at = timezone.now()
    run.save(update_fields=["archived_at"])
    audit.record(action="archive_run", actor=by, project=run.project, obj=run)


@transaction.atomic
def archive_runs(*, runs: Iterable[TrainingRun], by: User) -> list[TrainingRun]:
    """Archive each run that has ended; the answer is those that have not, which stay as they are."""
    still_active = []
    for run in runs:
        if run.job.is_active:
            still_active.append(run)
        elif run.archived_at is None:
            archive_run(run=run, by=by)
    return still_active


@transaction.atomic
def restore_runs(*, runs: Iterable[TrainingRun], by: User) -> None:
    """Bring archived runs back into the lists."""
    for run in runs:
        if TrainingRun.objects.filter(pk=run.pk, archived_at__isnull=False).update(archived_at=None):
            audit.record(action="restore_run", actor=by, project=run.project, obj=run)


@transaction.atomic
def save_run_view(*, project: Project, by: User, name: str, query: str, is_shared: bool) -> RunView:
    """Keep the runs table's state under a name. Raises Refused for a name that the person sees already."""
    Project.objects.select_for_update().get(pk=project.pk)
    if RunView.objects.for_person(project, by).filter(name__iexact=name).exists():
        raise Refused(f"There is a view called {name} already; choose another name, or change that one.")
    view = RunView.objects.create(project=project, created_by=by, name=name, query=query, is_shared=is_shared)
    after = {"query": query, "shared": is_shared}
    audit.record(action="save_run_view", actor=by, project=project, obj=view, after=after)
    return view


@transaction.atomic
def change_run_view(*, view: RunView, by: User, query: str) -> None:
    """The view shows from now on what `query` says."""
    before, view.query = view.query, query
    view.save(update_fields=["query"])
    audit.record(
        action="change_run_view",
        actor=by,
        project=view.project,
        obj=view,
        before={"query": before},
        after={"query": query},
    )


@transaction.atomic
def archive_run_view(*, view: RunView, by: User) -> None:
    """Take a view away; its name is free again."""
    view.archived_at = timezone.now()
    view.save(update_fields=["archived_at"])
    audit.record(action="archive_run_view", actor=by, project=view.project, obj=view)


@transaction.atomic
def register_model_version(*, run: TrainingRun, n_parameters: int) -> ModelVersion:
    """A finished run's model enters the registry under the next number. Registering it twice gives the same version."""
    if run.uri is None or run.sha256 is None:
        raise Refused(f"{run} has not made a model yet.")
    model = Model.objects.select_for_update().get(pk=run.model_id)
    known = model.versions.filter(run=run, sha256=run.sha256).first()
    if known is not None:
        return known
    version = ModelVersion.objects.create(
        project=run.project,
        created_by=run.created_by,
        model=model,
        number=_next_number(model),
        run=run,
        tokenizer=run.shard_set.tokenizer,
        step=run.metrics.get("step"),
        uri=run.uri,
        sha256=run.sha256,
        n_parameters=n_parameters,
        decode_settings=specs.to_dict(DEFAULT_DECODE),
    )
    after = {"run": run.name, "sha256": run.sha256}
    audit.record(action="register_model_version", actor=run.created_by, project=run.project, obj=version, after=after)
    return version


@transaction.atomic
def import_model(
    *, project: Project, by: User | None, location: str, model_name: str, revision: str = "", max_tokens: int = 256
) -> ModelImport:
    """Take over a published model; it is registered as the next version of `model_name` with its own tokenizer.

    `max_tokens` of a completion are the version's decode setting; otherwise it is decoded greedily, without a penalty.
    """
    from training_app import jobs  # jobs registers what an import makes, through this module

    model, _ = Model.objects.get_or_create(project=project, name=model_name, defaults={"created_by": by})
    decode = specs.to_dict(specs.DecodeSettings(max_tokens=max_tokens))
    row = ModelImport(
        project=project, created_by=by, model=model, location=location, revision=revision, decode_settings=decode
    )
    url = reverse("training:model-import", args=[project.slug, row.pk])
    row.job = submit_job(kind=jobs.import_model, project=project, created_by=by, title=f"import {model_name}", url=url)
    row.save()
    after = {"location": location, "revision": revision, "model": model_name}
    audit.record(action="import_model", actor=by, project=project, obj=row, after=after)
    return row


@transaction.atomic
def register_imported_version(*, imported: ModelImport, tokenizer: Artifact) -> ModelVersion:
    """A finished import enters the registry, and its tokenizer with it, unless the project has that very tokenizer."""
    if imported.uri is None or imported.sha256 is None:
        raise Refused(f"{imported} is not finished yet.")
    model = Model.objects.select_for_update().get(pk=imported.model_id)
    number = _next_number(model)
    version = ModelVersion.objects.create(
        project=imported.project,
        created_by=imported.created_by,
        model=model,
        number=number,
        imported=imported,
        tokenizer=_imported_tokenizer(imported, tokenizer, f"{model.name}-v{number}"),
        uri=imported.uri,
        sha256=imported.sha256,
        n_parameters=int(imported.counts["parameters"]),
        decode_settings=imported.decode_settings,
    )
    after = {"location": imported.location, "sha256": imported.sha256, "license": imported.origin.get("license", "")}
    by, project = imported.created_by, imported.project
    audit.record(action="register_imported_version", actor=by, project=project, obj=version, after=after)
    return version


def _imported_tokenizer(imported: ModelImport, made: Artifact, name: str) -> Tokenizer:
    """The project's row of this very content, or a new one. A name that is taken gets the hash's beginning after it."""
    mine = Tokenizer.objects.filter(project=imported.project)
    known = mine.filter(sha256=made.sha256).order_by("created_at").first()
    if known is not None:
        return known
    return Tokenizer.objects.create(
        project=imported.project,
        created_by=imported.created_by,
        name=f"{name}-{made.sha256[:6]}" if mine.filter(name=name).exists() else name,
        job=imported.job,
        parameters={"import_from": imported.location},
        uri=made.uri,
        sha256=made.sha256,
        n_bytes=made.n_bytes,
        counts={"vocabulary": imported.counts["vocabulary"]},
        summary=imported.summary["tokenizer"],
    )


def _next_number(model: Model) -> int:
    return (model.versions.aggregate(last=Max("number"))["last"] or 0) + 1
