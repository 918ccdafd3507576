"""What the queue calls: a row becomes a spec, a manifest becomes the row's artifact."""

from __future__ import annotations

import os
from datetime import UTC, datetime

from django.conf import settings

from controlplane.jobs.kinds import JobKind
from controlplane.jobs.models import Job
from datasets_app.models import DatasetVersion, MadeByJob, ShardSet, SourcePreview, SourceSettings, Tokenizer
from worker import specs
from worker.manifest import Manifest

PREVIEW_ROWS = 20
SOURCE_VARIABLES = ("HF_", "DATABRICKS_", "UNITY_CATALOG_", "GOOGLE_APPLICATION_CREDENTIALS", "AZURE_STORAGE_")
# Where the tasks of a stage on the data engine run (worker.data.engine).
ENGINE_VARIABLES = ("RAY_ADDRESS", "SPARK_REMOTE")


def artifact(row: MadeByJob) -> specs.ArtifactRef:
    """A finished row as another stage's input."""
    if row.uri is None or row.sha256 is None:
        raise ValueError(f"{row} has no artifact yet")
    return specs.ArtifactRef(row.uri, row.sha256)


def receive(row: MadeByJob, manifest: Manifest, output: str) -> None:
    """Point the row at what the stage made. Runs in the transaction that ends the job."""
    made = manifest.outputs[output]
    row.uri, row.sha256, row.n_bytes = made.uri, made.sha256, made.n_bytes
    row.counts, row.summary = dict(manifest.counts), dict(manifest.summary)
    row.save(update_fields=["uri", "sha256", "n_bytes", "counts", "summary"])


def source_spec(row: SourceSettings) -> specs.SourceSpec:
    return specs.SourceSpec(
        name=row.name,
        location=row.location,
        license=row.license,
        held_out=row.is_held_out,
        exclude=tuple(row.exclude),
        kind=row.kind,
        options=row.options,
    )


def _ingest_spec(job: Job) -> specs.IngestDataset:
    if preview := SourcePreview.objects.filter(job=job).first():
        return specs.IngestDataset((source_spec(preview),), preview_rows=PREVIEW_ROWS)
    version = DatasetVersion.objects.get(job=job)
    sources = tuple(source_spec(source) for source in version.sources.order_by("name"))
    spec: specs.IngestDataset = specs.from_dict("ingest_dataset", {"sources": [], "recipe": version.recipe})
    return specs.IngestDataset(sources, spec.recipe)


def _ingested(job: Job, manifest: Manifest) -> None:
    """A preview gets what it shows; a version its artifact, and each of its sources the state in which it was read."""
    if preview := SourcePreview.objects.filter(job=job).first():
        preview.result = dict(manifest.summary)
        preview.save(update_fields=["result"])
        return
    version = DatasetVersion.objects.get(job=job)
    receive(version, manifest, "dataset")
    # Of work that was done before, the receipt's time: nothing was read since.
    read_at = datetime.fromtimestamp(manifest.finished_at, UTC)
    read = manifest.summary.get("read", {})
    for source in version.sources.filter(name__in=list(read)).select_for_update():
        if source.read_at is None or source.read_at <= read_at:
            told = read[source.name]
            source.read_at, source.snapshot = read_at, told["snapshot"]
            source.n_files, source.n_bytes = told["files"], told["bytes"]
            source.save(update_fields=["read_at", "snapshot", "n_files", "n_bytes"])


def engine_environment(job: Job) -> dict[str, str]:
    """What a stage on the data engine reaches its machines with."""
    return {name: os.environ[name] for name in ENGINE_VARIABLES if name in os.environ}


def source_environment(job: Job) -> dict[str, str]:
    """Which places readers may show, and what they reach stores and catalogues with; other stages get none of it.

    A preview shows any file that it is pointed at: without the border it would show this installation's own keys.
    """
    storage = settings.STORAGE_URL.removeprefix("file://")
    lent = {
        name: value for name, value in os.environ.items() if name.startswith((*SOURCE_VARIABLES, *ENGINE_VARIABLES))
    }
    return lent | {
        "SOURCE_ROOTS": ",".join(settings.SOURCE_ROOTS),
        "SOURCE_KEPT_OUT": str(settings.STATE_DIR),
        "SOURCE_SHOWN": "" if "://" in storage else storage,
        "KEPT_SHARDS_DAYS": str(settings.KEPT_SHARDS_DAYS),
    }


def _tokenizer_spec(job: Job) -> specs.TrainTokenizer:
    row = Tokenizer.objects.select_related("dataset_version").get(job=job)
    assert row.dataset_version is not None  # only of what came with a model, which no job of this kind makes
    inputs = {"dataset": vars(artifact(row.dataset_version))}
    spec: specs.TrainTokenizer = specs.from_dict("train_tokenizer", {**inputs, **row.parameters})
    return spec


def _shards_spec(job: Job) -> specs.BuildShards:
    row = ShardSet.objects.select_related("dataset_version", "tokenizer").get(job=job)
    inputs = {"dataset": vars(artifact(row.dataset_version)), "tokenizer": vars(artifact(row.tokenizer))}
    spec: specs.BuildShards = specs.from_dict("build_shards", {**inputs, **row.parameters})
    return spec


ingest_dataset = JobKind(
    app="datasets_app",
    verb="ingest_dataset",
    queue="cpu",
    spec_for=_ingest_spec,
    on_success=_ingested,
    environment=source_environment,
)
train_tokenizer = JobKind(
    app="datasets_app",
    verb="train_tokenizer",
    queue="cpu",
    spec_for=_tokenizer_spec,
    on_success=lambda job, manifest: receive(Tokenizer.objects.get(job=job), manifest, "tokenizer"),
)
build_shards = JobKind(
    app="datasets_app",
    verb="build_shards",
    queue="cpu",
    spec_for=_shards_spec,
    on_success=lambda job, manifest: receive(ShardSet.objects.get(job=job), manifest, "shards"),
)
