"""The seven verbs in a row: how each step of a pipeline starts, once the one before it is done.

A step is the name of a Pipeline field. Its row holds a job (but for the model version, which the finished run registers
itself); the step is done when that row is ready.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from controlplane.jobs.models import Job
from controlplane.pipeline.models import Pipeline
from datasets_app import actions as data
from datasets_app.models import Source
from eval_app import actions as evaluation
from playground_app import actions as release
from playground_app.models import Deployment
from training_app import actions as training
from training_app.models import ModelVersion
from training_app.recipes import recipe_for


@dataclass(frozen=True)
class Step:
    """`field` of Pipeline, the verb people know it by, and what begins it (None: not possible yet)."""

    field: str
    verb: str
    noun: str
    begin: Callable[[Pipeline], Any]


def _ingest(pipeline: Pipeline) -> Any:
    plan, common = pipeline.plan, _common(pipeline)
    known = {source.location: source for source in Source.objects.filter(project=pipeline.project)}
    sources = [known.get(raw["location"]) or data.add_source(**common, **raw) for raw in plan["sources"]]
    return data.ingest_dataset(**common, name=plan["dataset"], sources=sources, recipe=plan["ingest_dataset"])


def _tokenizer(pipeline: Pipeline) -> Any:
    version = pipeline.dataset_version
    assert version is not None
    return data.train_tokenizer(
        **_common(pipeline),
        name=f"{version.dataset.name}-v{version.number}",
        dataset_version=version,
        parameters=pipeline.plan["train_tokenizer"],
    )


def _shards(pipeline: Pipeline) -> Any:
    assert pipeline.dataset_version is not None and pipeline.tokenizer is not None
    return data.build_shards(
        **_common(pipeline),
        dataset_version=pipeline.dataset_version,
        tokenizer=pipeline.tokenizer,
        parameters=pipeline.plan["build_shards"],
    )


def _run(pipeline: Pipeline) -> Any:
    assert pipeline.shard_set is not None
    asked = dict(pipeline.plan["train_model"])
    recipe = recipe_for(asked.pop("recipe"), **asked)
    return training.train_model(
        **_common(pipeline), shard_set=pipeline.shard_set, recipe=recipe, model_name=pipeline.plan["model"]
    )


def _model_version(pipeline: Pipeline) -> ModelVersion | None:
    return ModelVersion.objects.filter(run=pipeline.run).first()


def _evaluation(pipeline: Pipeline) -> Any:
    assert pipeline.model_version is not None
    asked = dict(pipeline.plan["evaluate_model"])
    suite = evaluation.built_in_suite(**_common(pipeline), name=asked.pop("suite"))
    return evaluation.evaluate_model(
        **_common(pipeline),
        subject=pipeline.model_version,
        suite=suite,
        parameters=asked,
        dataset_version=pipeline.dataset_version,
    )


def _deployment(pipeline: Pipeline) -> Deployment | None:
    """Promotion deploys what is not deployed yet; the alias moves when the canary has answered."""
    assert pipeline.model_version is not None
    release.promote_model(version=pipeline.model_version, by=pipeline.created_by, **pipeline.plan["promote_model"])
    return pipeline.model_version.deployments.order_by("-created_at").first()


STEPS = (
    Step("dataset_version", "ingest_dataset", "dataset", _ingest),
    Step("tokenizer", "train_tokenizer", "tokenizer", _tokenizer),
    Step("shard_set", "build_shards", "shards", _shards),
    Step("run", "train_model", "run", _run),
    Step("model_version", "register_model_version", "model", _model_version),
    Step("evaluation", "evaluate_model", "evaluation", _evaluation),
    Step("deployment", "deploy_model", "deployment", _deployment),
)


def job_of(row: Any) -> Job | None:
    """The job that makes a step's row; a model version has none of its own."""
    return getattr(row, "job", None)


def _common(pipeline: Pipeline) -> dict[str, Any]:
    return {"project": pipeline.project, "by": pipeline.created_by}
