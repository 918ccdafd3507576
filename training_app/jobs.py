"""What the queue calls for a training run or an import, and what their events and ends do to rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controlplane.jobs.kinds import JobKind
from controlplane.jobs.models import Job
from datasets_app.jobs import artifact, receive, source_environment
from training_app import actions
from training_app.models import Checkpoint, ModelImport, TrainingRun
from worker import specs
from worker.manifest import Manifest


def _spec(job: Job) -> specs.TrainModel:
    run = TrainingRun.objects.select_related("shard_set__tokenizer").get(job=job)
    inputs = {
        "shards": vars(artifact(run.shard_set)),
        "tokenizer": vars(artifact(run.shard_set.tokenizer)),
        "run_name": run.name,
    }
    spec: specs.TrainModel = specs.from_dict("train_model", {**inputs, "recipe": run.recipe})
    return spec


def _on_event(job: Job, event: str, payload: Mapping[str, Any]) -> None:
    """Keep the run's latest value of each metric (what its table sorts by) and its checkpoints."""
    if event == "metrics.logged":
        run = TrainingRun.objects.only("metrics").get(job=job)
        run.metrics = {**run.metrics, **payload["values"], "step": payload["step"]}
        run.save(update_fields=["metrics"])
    elif event == "checkpoint.written":
        run = TrainingRun.objects.only("id").get(job=job)
        found = {"path": payload["path"], "n_bytes": payload["n_bytes"]}
        Checkpoint.objects.update_or_create(run=run, step=payload["step"], defaults=found)


def _on_success(job: Job, manifest: Manifest) -> None:
    run = TrainingRun.objects.select_related("model", "shard_set__tokenizer").get(job=job)
    receive(run, manifest, "model")
    # What each step saw lies beside the model, an artifact of its own: training_app.steps opens it.
    run.summary["batches"] = {"uri": manifest.outputs["batches"].uri, "sha256": manifest.outputs["batches"].sha256}
    run.save(update_fields=["summary"])
    actions.register_model_version(run=run, n_parameters=int(manifest.counts["parameters"]))


def _import_spec(job: Job) -> specs.ImportModel:
    row = ModelImport.objects.select_related("model").get(job=job)
    return specs.ImportModel(row.location, row.revision, row.model.name)


def _imported(job: Job, manifest: Manifest) -> None:
    row = ModelImport.objects.select_related("model", "project", "created_by", "job").get(job=job)
    receive(row, manifest, "model")
    actions.register_imported_version(imported=row, tokenizer=manifest.outputs["tokenizer"])


train_model = JobKind(
    app="training_app",
    verb="train_model",
    queue="gpu",
    spec_for=_spec,
    on_success=_on_success,
    on_event=_on_event,
    max_attempts=5,  # each continues from the last checkpoint
)
import_model = JobKind(
    app="training_app",
    verb="import_model",
    queue="cpu",
    spec_for=_import_spec,
    on_success=_imported,
    environment=source_environment,  # where sources may lie, models may
)
