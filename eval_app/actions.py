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
from eval_app import jobs, uploads
from eval_app.models import Evaluation, Suite, SuiteProblem
from training_app.models import ModelVersion

BUILT_IN = {
    "starter-python": "One-line Python completions, graded from a closing bracket to a short statement.",
    "starter": "81 problems in eight languages, from a one-token completion to a small function.",
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


def upload_suite(
    *, project: Project, by: User | None, name: str, file_name: str, content: bytes, description: str = ""
) -> Suite:
    """Keep a file of problems in storage, by its content, and name it as a suite. Refused if it is no JSON lines."""
    return add_suite(
        project=project, by=by, name=name, location=uploads.keep(file_name, content), description=description
    )


@transaction.atomic
def add_problem(
    *,
    project: Project,
    by: User | None,
    suite: str,
    prompt: str,
    reference: str,
    tests: str,
    language: str = "python",
    suffix: str = "",
    from_completion: str = "",
) -> SuiteProblem:
    """Make a problem of the project's own suite called `suite`, which is begun if there is none.

    It counts from the next evaluation on, as a new suite version: scores of the old one stay apart. Refused for a suite
    that is a file, and for a completion that is a problem of the suite already.
    """
    row, begun = Suite.objects.select_for_update().get_or_create(
        project=project, name=suite, defaults={"created_by": by, "description": "Problems that this project collects."}
    )
    if not row.is_own:
        raise Refused(f"{suite} is read from a file; choose another name for the project's own problems.")
    if row.archived_at is not None:
        raise Refused(f"{suite} is archived; choose another name.")
    if from_completion and row.problems.filter(from_completion=from_completion).exists():
        raise Refused(f"This completion is a problem of {suite} already.")
    problem = SuiteProblem.objects.create(
        suite=row,
        task_id=f"{suite}/{row.problems.count() + 1}",
        language=language,
        prompt=prompt,
        suffix=suffix,
        reference=reference,
        tests=tests,
        from_completion=from_completion,
        created_by=by,
    )
    after = {"task_id": problem.task_id, "from_completion": from_completion, "begun": begun}
    audit.record(action="add_problem", actor=by, project=project, obj=row, after=after)
    return problem


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
    """Score a model version on a suite, and on `dataset_version`'s held-out text; see worker.specs.EvaluateModel.

    Refused for a suite of the project's own that has no problem yet.
    """
    if suite.is_own and not suite.problems.exists():
        raise Refused(f"{suite} has no problem yet.")
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
