"""What the queue calls for an evaluation, and how its samples become rows."""

from __future__ import annotations

import json
from typing import Any

import fsspec

from controlplane.jobs.kinds import JobKind
from controlplane.jobs.models import Job
from datasets_app.jobs import artifact, receive
from eval_app.models import Evaluation, SampleResult
from eval_app.problems import location
from worker import specs
from worker.manifest import Manifest


def _spec(job: Job) -> specs.EvaluateModel:
    row = Evaluation.objects.select_related("suite", "model_version", "dataset_version").get(job=job)
    version = row.model_version
    raw = {
        "model": {"uri": version.uri, "sha256": version.sha256},
        "suite": {"name": row.suite.name, "location": location(row.suite)},
        "decode": version.decode_settings,
        "dataset": vars(artifact(row.dataset_version)) if row.dataset_version else None,
        **row.parameters,
    }
    spec: specs.EvaluateModel = specs.from_dict("evaluate_model", raw)
    return spec


def _on_success(job: Job, manifest: Manifest) -> None:
    evaluation = Evaluation.objects.get(job=job)
    receive(evaluation, manifest, "evaluation")
    with fsspec.open(f"{evaluation.uri}/samples.jsonl", "rt", encoding="utf-8") as lines:
        rows = [_sample(evaluation, json.loads(line)) for line in lines]
    SampleResult.objects.bulk_create(rows, batch_size=500)


def _sample(evaluation: Evaluation, raw: dict[str, Any]) -> SampleResult:
    output = f"{raw.get('stdout', '')}{raw.get('stderr', '')}".replace("\0", "")
    return SampleResult(
        evaluation=evaluation,
        task_id=raw["task_id"],
        sample=raw["sample"],
        outcome=raw["outcome"],
        prompt=str(raw["prompt"]).replace("\0", ""),
        completion=str(raw["completion"]).replace("\0", ""),
        output=output[-4000:],
        seconds=raw["seconds"],
        is_truncated=raw["truncated"],
    )


evaluate_model = JobKind(
    app="eval_app", verb="evaluate_model", queue="gpu", spec_for=_spec, on_success=_on_success, max_attempts=3
)
