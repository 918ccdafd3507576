"""What the queue calls for an evaluation, and how its samples become rows."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import fsspec

from controlplane.access import sealing
from controlplane.jobs.kinds import JobKind
from controlplane.jobs.models import Job
from datasets_app.jobs import artifact, engine_environment, receive
from datasets_app.parquet import path_of, query
from eval_app.contamination_models import ContaminationCheck, ContaminationMatch
from eval_app.models import Baseline, Evaluation, SampleResult, SuiteAdmission
from eval_app.problems import location
from training_app.actions import DEFAULT_DECODE
from worker import specs
from worker.failures import StageFailure
from worker.manifest import Manifest


def _spec(job: Job) -> specs.EvaluateModel:
    row = _of(job)
    raw = {
        "suite": {"name": row.suite.name, "location": location(row.suite)},
        "dataset": vars(artifact(row.dataset_version)) if row.dataset_version else None,
        **_subject(row),
        **row.parameters,
        "decode": _decode(row),
    }
    spec: specs.EvaluateModel = specs.from_dict("evaluate_model", raw)
    return spec


def _of(job: Job) -> Evaluation:
    return Evaluation.objects.with_subject().select_related("dataset_version", "judged_from").get(job=job)


def _subject(row: Evaluation) -> dict[str, Any]:
    """Where the completions come from: an earlier evaluation, an endpoint or a model."""
    model = {"uri": row.model_version.uri, "sha256": row.model_version.sha256} if row.model_version else None
    if row.judged_from is not None:
        return {"generations": vars(artifact(row.judged_from)), "model": model if row.dataset_version else None}
    return {"endpoint": _endpoint(row.baseline)} if row.baseline else {"model": model}


def _endpoint(baseline: Baseline) -> dict[str, Any]:
    """Looked at before anything starts: what cannot be asked fails with a sentence, not in the middle."""
    if not baseline.is_endpoint:
        raise StageFailure("evaluation:user:bad-source", detail=f"the baseline {baseline} has no address any more")
    try:
        _ = baseline.key
    except sealing.Unreadable as unreadable:
        raise StageFailure("evaluation:user:key-unreadable", baseline=baseline, detail=unreadable) from unreadable
    told = {name: getattr(baseline, name) for name in ("base_url", "style", "concurrency", "timeout_seconds")}
    return told | {"model": baseline.served_name}


def _decode(row: Evaluation) -> dict[str, Any]:
    """The version's own settings, but for those that the evaluation was asked to have otherwise.

    What has none of its own gets those that a new version begins with, so that its score can stand beside theirs.
    """
    own = row.model_version.decode_settings if row.model_version else dataclasses.asdict(DEFAULT_DECODE)
    return {**own, **row.parameters.get("decode", {})}


def _environment(job: Job) -> dict[str, str]:
    """The endpoint's key, which no spec has. Judging again asks nobody and gets none."""
    row = _of(job)
    if row.baseline is None or row.judged_from is not None:
        return {}
    return {specs.ENDPOINT_KEY: row.baseline.key}


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


def _admit_spec(job: Job) -> specs.AdmitSuite:
    row = SuiteAdmission.objects.select_related("suite").get(job=job)
    raw = {"suite": {"name": row.suite.name, "location": location(row.suite)}, **row.parameters}
    spec: specs.AdmitSuite = specs.from_dict("admit_suite", raw)
    return spec


def _contamination_spec(job: Job) -> specs.FindContamination:
    row = ContaminationCheck.objects.for_page().get(job=job)
    raw = {
        "suite": {"name": row.suite.name, "location": location(row.suite)},
        "datasets": [vars(artifact(row.dataset_version))],
        **row.parameters,
    }
    spec: specs.FindContamination = specs.from_dict("find_contamination", raw)
    return spec


def _contamination_found(job: Job, manifest: Manifest) -> None:
    check = ContaminationCheck.objects.get(job=job)
    receive(check, manifest, "contamination")
    names = [column.name for column in ContaminationMatch._meta.concrete_fields if column.name not in _MADE_HERE]
    sql = f"SELECT {', '.join(names)} FROM read_parquet(?) ORDER BY similarity DESC, task_id, document_id, part"  # noqa: S608
    rows = query(sql, [f"{path_of(check.uri or '')}/matches.parquet"], "check")
    matches = [
        ContaminationMatch(in_check=check, rank=rank, **{name: _storable(value) for name, value in row.items()})
        for rank, row in enumerate(rows, start=1)
    ]
    ContaminationMatch.objects.bulk_create(matches, batch_size=500)


# What a row has that the stage's file has not.
_MADE_HERE = ("id", "in_check", "rank")


def _storable(value: Any) -> Any:
    """Postgres keeps no NUL in text."""
    return value.replace("\0", "") if isinstance(value, str) else value


admit_suite = JobKind(
    app="eval_app",
    verb="admit_suite",
    queue="cpu",
    spec_for=_admit_spec,
    on_success=lambda job, manifest: receive(SuiteAdmission.objects.get(job=job), manifest, "suite"),
)
evaluate_model = JobKind(
    app="eval_app",
    verb="evaluate_model",
    queue="gpu",
    spec_for=_spec,
    on_success=_on_success,
    max_attempts=3,
    environment=_environment,
)
find_contamination = JobKind(
    app="eval_app",
    verb="find_contamination",
    queue="cpu",
    spec_for=_contamination_spec,
    on_success=_contamination_found,
    environment=engine_environment,
)
