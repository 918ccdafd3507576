"""What the queue calls: a row becomes a spec, a manifest becomes the row's artifact."""

from __future__ import annotations

from controlplane.jobs.kinds import JobKind
from controlplane.jobs.models import Job
from datasets_app.models import DatasetVersion, MadeByJob, ShardSet, Tokenizer
from worker import specs
from worker.manifest import Manifest


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


def _ingest_spec(job: Job) -> specs.IngestDataset:
    version = DatasetVersion.objects.get(job=job)
    sources = tuple(
        specs.SourceSpec(source.name, source.location, source.license, source.is_held_out)
        for source in version.sources.order_by("name")
    )
    spec: specs.IngestDataset = specs.from_dict("ingest_dataset", {"sources": [], "recipe": version.recipe})
    return specs.IngestDataset(sources, spec.recipe)


def _tokenizer_spec(job: Job) -> specs.TrainTokenizer:
    row = Tokenizer.objects.select_related("dataset_version").get(job=job)
    return specs.TrainTokenizer(dataset=artifact(row.dataset_version), **row.parameters)


def _shards_spec(job: Job) -> specs.BuildShards:
    row = ShardSet.objects.select_related("dataset_version", "tokenizer").get(job=job)
    return specs.BuildShards(artifact(row.dataset_version), artifact(row.tokenizer), **row.parameters)


ingest_dataset = JobKind(
    app="datasets_app",
    verb="ingest_dataset",
    queue="cpu",
    spec_for=_ingest_spec,
    on_success=lambda job, manifest: receive(DatasetVersion.objects.get(job=job), manifest, "dataset"),
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
