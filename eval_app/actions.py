"""Every write to suites and evaluations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.urls import reverse

from controlplane.access import audit
from controlplane.access.models import Project, User
from controlplane.access.refusals import Refused
from controlplane.jobs.actions import submit_job
from datasets_app.models import DatasetVersion
from eval_app import jobs
from eval_app.models import Evaluation, Suite
from training_app.models import ModelVersion

BUILT_IN = {
    "starter-python": "One-line Python completions, graded from a closing bracket to a short statement.",
    "human-eval": "OpenAI's HumanEval: 164 Python functions from signature and docstring (Chen et al. 2021).",
}


@transaction.atomic
def add_suite(*, project: Project, by: User | None, name: str, location: str, description: str = "") -> Suite:
    """Name a suite: a built-in one, or a HumanEval-format .jsonl or .jsonl.gz file that the workers can read."""
    if Suite.objects.filter(project=project, name=name).exists():
        raise Refused(f"There is a suite called {name} already; choose another name.")
    suite = Suite.objects.create(project=project, created_by=by, name=name, location=location, description=description)
    audit.record(action="add_suite", actor=by, project=project, obj=suite, after={"location": location})
    return suite


def built_in_suite(*, project: Project, by: User | None, name: str) -> Suite:
    """The project's row of a suite that comes with Modelyard, made when first asked for."""
    known = Suite.objects.filter(project=project, name=name).first()
    return known or add_suite(project=project, by=by, name=name, location=name, description=BUILT_IN[name])


def add_built_in_suites(*, project: Project) -> None:
    """Make sure that what comes with Modelyard can be chosen; they belong to nobody."""
    for name in BUILT_IN:
        built_in_suite(project=project, by=None, name=name)


@transaction.atomic
def evaluate_model(
    *,
    project: Project,
    by: User | None,
    model_version: ModelVersion,
    suite: Suite,
    parameters: Mapping[str, Any],
    dataset_version: DatasetVersion | None = None,
) -> Evaluation:
    """Score a model version on a suite, and on `dataset_version`'s held-out text; see worker.specs.EvaluateModel."""
    evaluation = Evaluation(
        project=project,
        created_by=by,
        suite=suite,
        model_version=model_version,
        dataset_version=dataset_version,
        parameters=dict(parameters),
    )
    evaluation.job = submit_job(
        kind=jobs.evaluate_model,
        project=project,
        created_by=by,
        title=f"{suite} of {model_version}",
        url=reverse("evaluation:evaluation", args=[project.slug, evaluation.pk]),
    )
    evaluation.save()
    audit.record(action="evaluate_model", actor=by, project=project, obj=evaluation, after=dict(parameters))
    return evaluation
