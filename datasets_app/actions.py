"""Every write to sources, datasets, tokenizers and shards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.urls import reverse
from django.utils import timezone

from controlplane.access import audit
from controlplane.access.models import Project, User
from controlplane.access.refusals import Refused
from controlplane.jobs.actions import submit_job
from controlplane.jobs.models import Job
from datasets_app import jobs
from datasets_app.models import Dataset, DatasetVersion, ShardSet, Source, SourcePreview, Tokenizer
from worker import cleaning, specs
from worker import sources as source_kinds
from worker.failures import StageFailure

PREVIEW_PRIORITY = 50


@transaction.atomic
def add_source(
    *,
    project: Project,
    by: User | None,
    name: str,
    location: str,
    license: str = "unknown",
    is_held_out: bool = False,
    kind: str = "folder",
    options: Mapping[str, Any] | None = None,
    exclude: Sequence[str] = (),
    origin: str = "",
) -> Source:
    """Name a place of raw code; nothing is read yet. Refuses what its kind (worker.sources) does not allow."""
    _refuse_bad_source(kind, location, options or {})
    if Source.objects.filter(project=project, name=name).exists():
        raise Refused(f"There is a source called {name} already; choose another name.")
    source = Source.objects.create(
        project=project,
        created_by=by,
        name=name,
        kind=kind,
        location=location,
        license=license,
        origin=origin,
        is_held_out=is_held_out,
        exclude=list(exclude),
        options=dict(options or {}),
    )
    after = {"kind": kind, "location": location, "license": license}
    audit.record(action="add_source", actor=by, project=project, obj=source, after=after)
    return source


# What a reader is told: where one of these changes, what was known of the source is of another place or form.
READ_BY = ("kind", "location", "options", "exclude")
EDITED = (*READ_BY, "license", "origin", "is_held_out")


@transaction.atomic
def edit_source(*, source: Source, by: User, **asked: Any) -> Source:
    """Change what `add_source` was told, but for the name: it is a part of every row's id.

    Versions that were made stay as they are; what was known of the source's state is forgotten where it is read otherwise.
    Refused while a version that reads it is being made.
    """
    source = Source.objects.select_for_update().get(pk=source.pk)
    _refuse_while_read(source)
    _refuse_bad_source(asked["kind"], asked["location"], asked["options"])
    before = {name: getattr(source, name) for name in EDITED}
    after = {name: asked[name] for name in EDITED}
    for name, value in after.items():
        setattr(source, name, value)
    if any(before[name] != after[name] for name in READ_BY):
        source.read_at, source.snapshot, source.n_files, source.n_bytes = None, "", None, None
    source.save()
    changed = [name for name in EDITED if before[name] != after[name]]
    audit.record(
        action="edit_source",
        actor=by,
        project=source.project,
        obj=source,
        before={name: before[name] for name in changed},
        after={name: after[name] for name in changed},
    )
    return source


@transaction.atomic
def archive_source(*, source: Source, by: User) -> None:
    """Offer it for new versions no longer. Versions made of it stay, and its name stays taken."""
    _refuse_while_read(source)
    if Source.objects.filter(pk=source.pk, archived_at=None).update(archived_at=timezone.now()):
        audit.record(action="archive_source", actor=by, project=source.project, obj=source)


@transaction.atomic
def restore_source(*, source: Source, by: User) -> None:
    if Source.objects.filter(pk=source.pk, archived_at__isnull=False).update(archived_at=None):
        audit.record(action="restore_source", actor=by, project=source.project, obj=source)


def _refuse_while_read(source: Source) -> None:
    """A job that has not read its sources yet would read another place than it was asked to."""
    active = Job.objects.filter(project=source.project).active()
    version = source.dataset_versions.filter(job__in=active).select_related("dataset").first()
    if version is not None:
        raise Refused(f"{version} is being made of it: wait for its job, or stop it.")


@transaction.atomic
def preview_source(*, project: Project, by: User | None, **asked: Any) -> SourcePreview:
    """Have a worker look at the first rows of a source as `add_source` would make it. It goes before other work."""
    _refuse_bad_source(asked["kind"], asked["location"], asked["options"])
    preview = SourcePreview(project=project, created_by=by, **asked)
    preview.job = submit_job(
        kind=jobs.ingest_dataset,
        project=project,
        created_by=by,
        title=f"preview of {preview.name}",
        url=reverse("datasets:source-preview", args=[project.slug, preview.pk]),
        priority=PREVIEW_PRIORITY,
    )
    preview.save()
    after = {"kind": preview.kind, "location": preview.location}
    audit.record(action="preview_source", actor=by, project=project, obj=preview, after=after)
    return preview


def _refuse_bad_source(kind: str, location: str, options: Mapping[str, Any]) -> None:
    if found := source_kinds.problem(kind, location, options):
        raise Refused(f"The source cannot be read as asked: {found}.")


@transaction.atomic
def ingest_dataset(
    *, project: Project, by: User | None, name: str, sources: Sequence[Source], recipe: Mapping[str, Any]
) -> DatasetVersion:
    """Start the next version of the dataset `name` (made if new) from `sources` by `recipe` (worker.specs.IngestRecipe).

    Refuses a recipe that does not hold together, by step and parameter.
    """
    _refuse_bad_recipe(recipe)
    if not any(not source.is_held_out for source in sources):
        raise Refused("Choose at least one source to train on.")
    dataset, _ = Dataset.objects.select_for_update().get_or_create(
        project=project, name=name, defaults={"created_by": by}
    )
    last = dataset.versions.aggregate(last=Max("number"))["last"] or 0
    version = DatasetVersion(project=project, created_by=by, dataset=dataset, number=last + 1, recipe=dict(recipe))
    version.job = submit_job(
        kind=jobs.ingest_dataset,
        project=project,
        created_by=by,
        title=str(version),
        url=reverse("datasets:version", args=[project.slug, version.pk]),
    )
    version.save()
    version.sources.set(sources)
    after = {"sources": [source.name for source in sources], "recipe": dict(recipe)}
    audit.record(action="ingest_dataset", actor=by, project=project, obj=version, after=after)
    return version


def _refuse_bad_recipe(recipe: Mapping[str, Any]) -> None:
    try:
        spec: specs.IngestDataset = specs.from_dict("ingest_dataset", {"sources": [], "recipe": recipe})
    except StageFailure as failure:
        raise Refused(failure.message) from failure
    for problem in cleaning.problems([(step.name, step.parameters) for step in spec.recipe.steps]):
        raise Refused(problem)


@transaction.atomic
def train_tokenizer(
    *, project: Project, by: User | None, name: str, dataset_version: DatasetVersion, parameters: Mapping[str, Any]
) -> Tokenizer:
    """Train a vocabulary on a sample of a dataset version; `parameters` are those of worker.specs.TrainTokenizer."""
    if not dataset_version.is_ready:
        raise Refused(f"{dataset_version} is not ready yet; wait for its job.")
    if Tokenizer.objects.filter(project=project, name=name).exists():
        raise Refused(f"There is a tokenizer called {name} already; choose another name.")
    tokenizer = Tokenizer(
        project=project, created_by=by, name=name, dataset_version=dataset_version, parameters=dict(parameters)
    )
    tokenizer.job = submit_job(
        kind=jobs.train_tokenizer,
        project=project,
        created_by=by,
        title=name,
        url=reverse("datasets:tokenizer", args=[project.slug, tokenizer.pk]),
    )
    tokenizer.save()
    audit.record(action="train_tokenizer", actor=by, project=project, obj=tokenizer, after=dict(parameters))
    return tokenizer


@transaction.atomic
def build_shards(
    *,
    project: Project,
    by: User | None,
    dataset_version: DatasetVersion,
    tokenizer: Tokenizer,
    parameters: Mapping[str, Any],
) -> ShardSet:
    """Pack a dataset version into token sequences; `parameters` are those of worker.specs.BuildShards."""
    for row in (dataset_version, tokenizer):
        if not row.is_ready:
            raise Refused(f"{row} is not ready yet; wait for its job.")
    shards = ShardSet(
        project=project,
        created_by=by,
        dataset_version=dataset_version,
        tokenizer=tokenizer,
        parameters=dict(parameters),
    )
    shards.job = submit_job(
        kind=jobs.build_shards,
        project=project,
        created_by=by,
        title=f"{dataset_version} with {tokenizer}",
        url=reverse("datasets:shard-set", args=[project.slug, shards.pk]),
    )
    shards.save()
    audit.record(action="build_shards", actor=by, project=project, obj=shards, after=dict(parameters))
    return shards
