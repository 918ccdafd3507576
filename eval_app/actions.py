"""Every write to suites, evaluations and baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from controlplane.access import audit, sealing
from controlplane.access.models import Project, User
from controlplane.access.refusals import Refused
from controlplane.jobs.actions import submit_job
from datasets_app.models import DatasetVersion
from eval_app import baselines, importing, jobs, uploads
from eval_app.contamination_models import ContaminationCheck
from eval_app.models import IMPORTED, Baseline, Evaluation, SampleResult, Suite, SuiteAdmission, SuiteProblem
from training_app.models import Checkpoint, ModelVersion
from worker.evaluation.imported import ImportedResult
from worker.manifest import Artifact

Subject = ModelVersion | Baseline | Checkpoint
SUBJECT_FIELDS: dict[type[Subject], str] = {
    ModelVersion: "model_version",
    Baseline: "baseline",
    Checkpoint: "checkpoint",
}

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
    buggy: str = "",
    from_completion: str = "",
    from_sample: SampleResult | None = None,
) -> SuiteProblem:
    """Make a problem of the project's own suite called `suite`, which is begun if there is none.

    It counts from the next evaluation on, as a new suite version: scores of the old one stay apart. Refused for a suite
    that is a file, and for a completion or sample that is a problem of the suite already.
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
    if from_sample and row.problems.filter(from_sample=from_sample).exists():
        raise Refused(f"This sample is a problem of {suite} already.")
    problem = SuiteProblem.objects.create(
        suite=row,
        task_id=f"{suite}/{row.problems.count() + 1}",
        language=language,
        prompt=prompt,
        suffix=suffix,
        reference=reference,
        tests=tests,
        buggy=buggy,
        from_completion=from_completion,
        from_sample=from_sample,
        created_by=by,
    )
    after = {"task_id": problem.task_id, "from_completion": from_completion, "begun": begun}
    after["from_sample"] = from_sample.pk if from_sample else None
    audit.record(action="add_problem", actor=by, project=project, obj=row, after=after)
    return problem


@transaction.atomic
def admit_suite(
    *, project: Project, by: User | None, suite: Suite, parameters: Mapping[str, Any] | None = None
) -> SuiteAdmission:
    """Find out which problems of the suite count on this yard's machines; see worker.specs.AdmitSuite.

    An evaluation with the same limits finds the result instead of running it again. Refused while one is under way, and
    for a suite that nothing can be judged on.
    """
    Suite.objects.select_for_update().get(pk=suite.pk)
    _check_can_be_judged(suite)
    if SuiteAdmission.objects.of_suite(suite).under_way().exists():
        raise Refused(f"{suite} is being admitted already.")
    job = submit_job(
        kind=jobs.admit_suite,
        project=project,
        created_by=by,
        title=f"Admit {suite}",
        url=reverse("evaluation:suite", args=[project.slug, suite.pk]),
    )
    asked = dict(parameters or {})
    admission = SuiteAdmission.objects.create(project=project, created_by=by, suite=suite, job=job, parameters=asked)
    audit.record(action="admit_suite", actor=by, project=project, obj=admission, after=asked)
    return admission


@transaction.atomic
def find_contamination(
    *,
    project: Project,
    by: User | None,
    suite: Suite,
    dataset_version: DatasetVersion,
    parameters: Mapping[str, Any] | None = None,
) -> ContaminationCheck:
    """Find out which problems of the suite stand in the version's training rows; see worker.specs.FindContamination.

    Refused while the same is under way, for a version that is not ready, and for a suite of the project's own that has
    no problem yet. Behind everything else that waits: no score depends on it.
    """
    Suite.objects.select_for_update().get(pk=suite.pk)
    if suite.is_own and not suite.problems.exists():
        raise Refused(f"{suite} has no problem yet.")
    if not dataset_version.is_ready:
        raise Refused(f"{dataset_version} is not ready.")
    if ContaminationCheck.objects.of(suite, dataset_version).under_way().exists():
        raise Refused(f"{suite} is being looked for in {dataset_version} already.")
    asked = dict(parameters or {})
    check = ContaminationCheck(
        project=project, created_by=by, suite=suite, dataset_version=dataset_version, parameters=asked
    )
    check.job = submit_job(
        kind=jobs.find_contamination,
        project=project,
        created_by=by,
        title=f"Look for {suite} in {dataset_version}",
        url=reverse("evaluation:contamination", args=[project.slug, check.pk]),
        priority=-10,
    )
    check.save()
    after = {"suite": suite.name, "dataset_version": str(dataset_version), **asked}
    audit.record(action="find_contamination", actor=by, project=project, obj=check, after=after)
    return check


def built_in_suite(*, project: Project, by: User | None, name: str) -> Suite:
    """The project's row of a suite that comes with Modelyard, made when first asked for."""
    known = Suite.objects.filter(project=project, name=name).first()
    return known or add_suite(project=project, by=by, name=name, location=name, description=BUILT_IN[name])


def add_built_in_suites(*, project: Project) -> None:
    """Make sure that what comes with Modelyard can be chosen; they belong to nobody."""
    known = set(Suite.objects.filter(project=project, name__in=BUILT_IN).values_list("name", flat=True))
    for name in BUILT_IN:
        if name not in known:
            built_in_suite(project=project, by=None, name=name)


@transaction.atomic
def evaluate_model(
    *,
    project: Project,
    by: User | None,
    subject: Subject,
    suite: Suite,
    parameters: Mapping[str, Any],
    dataset_version: DatasetVersion | None = None,
) -> Evaluation:
    """Score a model version, a baseline or a checkpoint on a suite, and on `dataset_version`'s held-out text; see
    worker.specs.EvaluateModel.

    Refused for a suite that nothing can be judged on, and for a baseline that cannot be asked for what is wanted.
    """
    _check_can_be_judged(suite)
    if isinstance(subject, Baseline):
        _check_can_be_asked(subject, dataset_version)
    evaluation = Evaluation(
        project=project,
        created_by=by,
        suite=suite,
        dataset_version=dataset_version,
        parameters=dict(parameters),
        **{SUBJECT_FIELDS[type(subject)]: subject},
    )
    return _submit(evaluation, action="evaluate_model")


@transaction.atomic
def judge_again(
    *, evaluation: Evaluation, by: User | None, suite: Suite | None = None, timeout_seconds: float | None = None
) -> Evaluation:
    """Judge what an evaluation generated once more, under another limit or a suite that was mended; nothing is generated.

    Held-out text is read again where it was, so that the new score says all that the old one does. Refused until the
    evaluation is done, and for an imported one, whose programs are not ours.
    """
    if evaluation.harness:
        raise Refused(f"This score was imported from {evaluation.harness}: there is nothing here to judge again.")
    if not evaluation.is_ready:
        raise Refused("Only a finished evaluation can be judged again.")
    _check_can_be_judged(suite or evaluation.suite)
    limits = {} if timeout_seconds is None else {"timeout_seconds": timeout_seconds}
    again = Evaluation(
        project=evaluation.project,
        created_by=by,
        suite=suite or evaluation.suite,
        dataset_version=evaluation.dataset_version,
        judged_from=evaluation,
        parameters=evaluation.parameters | limits,
        **{evaluation.subject_kind: evaluation.subject},
    )
    return _submit(again, action="judge_again", judged_from=evaluation.pk)


def _submit(evaluation: Evaluation, *, action: str, **told: Any) -> Evaluation:
    """Queue and save it; `told` is said in the audit trail beside its parameters."""
    project, by = evaluation.project, evaluation.created_by
    evaluation.job = submit_job(
        kind=jobs.evaluate_model,
        project=project,
        created_by=by,
        title=str(evaluation),
        url=reverse("evaluation:evaluation", args=[project.slug, evaluation.pk]),
    )
    evaluation.save()
    audit.record(action=action, actor=by, project=project, obj=evaluation, after=evaluation.parameters | told)
    return evaluation


def _check_can_be_judged(suite: Suite) -> None:
    if suite.is_imported:
        raise Refused(f"{suite} has imported scores alone: its problems are not here.")
    if suite.is_own and not suite.problems.exists():
        raise Refused(f"{suite} has no problem yet.")


def _check_can_be_asked(baseline: Baseline, dataset_version: DatasetVersion | None) -> None:
    if baseline.archived_at is not None:
        raise Refused(f"{baseline} is archived; restore it first.")
    if not baseline.is_endpoint:
        raise Refused(f"{baseline} has no address: only imported scores can stand under its name.")
    if dataset_version is not None:
        raise Refused("An endpoint tells no probabilities of given text: leave the held-out text out.")


@transaction.atomic
def import_results(
    *,
    project: Project,
    by: User | None,
    files: Mapping[str, bytes],
    model_version: ModelVersion | None = None,
    baseline: str = "",
    suite: Suite | None = None,
) -> tuple[list[Evaluation], Sequence[str]]:
    """Scores that another harness made, an evaluation a task, with its files kept; and the tasks that were left out.

    `files`: its results and samples by name, see importing.EXPECTED. They are of `model_version` or of the baseline of
    that name, which is begun if there is none. They stand with `suite`, else with a suite named like the task. Refused
    for files that cannot be read, and for what was imported already.
    """
    found = importing.read(files)
    if suite is not None and len(found.results) > 1:
        tasks = ", ".join(result.task for result in found.results)
        raise Refused(f"These are results of several tasks ({tasks}): leave the suite empty, and each has its own.")
    subject = model_version or _named_baseline(project, by, baseline)
    kept = uploads.keep_files(files, "imported")
    made = [
        _import(result, kept, suite or _suite_of_task(project, by, result), subject, by) for result in found.results
    ]
    return made, found.left_out


def _named_baseline(project: Project, by: User | None, name: str) -> Baseline:
    if not name:
        raise Refused("Say what was scored: a model version or a baseline.")
    known = Baseline.objects.filter(project=project, name=name).first()
    if known is not None and known.archived_at is not None:
        raise Refused(f"{known} is archived; restore it first.")
    return known or add_baseline(project=project, by=by, name=name)


def _suite_of_task(project: Project, by: User | None, result: ImportedResult) -> Suite:
    name = result.task[:80]
    known = Suite.objects.filter(project=project, name=name).first()
    about = f"Scores of {result.harness}'s task, imported; its problems are not here."
    location = f"{IMPORTED}{result.harness}/{result.task}"
    return known or add_suite(project=project, by=by, name=name, location=location, description=about)


def _import(
    result: ImportedResult, kept: Artifact, suite: Suite, subject: ModelVersion | Baseline, by: User | None
) -> Evaluation:
    whose = {"project": subject.project, "suite": suite, SUBJECT_FIELDS[type(subject)]: subject}
    if Evaluation.objects.filter(**whose, sha256=kept.sha256, archived_at=None).exists():
        raise Refused(f"These results of {result.task} are imported already.")
    evaluation = Evaluation.objects.create(
        **whose,
        created_by=by,
        harness=result.harness,
        parameters={},
        uri=kept.uri,
        sha256=kept.sha256,
        n_bytes=kept.n_bytes,
        summary=importing.summary(result),
    )
    SampleResult.objects.bulk_create(importing.samples(evaluation, result), batch_size=500)
    after = {"harness": result.harness, "task": result.task, "sha256": kept.sha256}
    audit.record(action="import_results", actor=by, project=suite.project, obj=evaluation, after=after)
    return evaluation


# ---- baselines -------------------------------------------------------------------------------------------------------

_OF_A_BASELINE = ("name", "description", "base_url", "served_name", "style", "concurrency", "timeout_seconds")


@transaction.atomic
def add_baseline(*, project: Project, by: User | None, name: str, key: str = "", **settings: Any) -> Baseline:
    """Name a model outside the registry; `settings` are of Baseline. With no base_url it is a name for imported scores.

    The audit trail has whether there is a key, never the key. Refused for a name that is taken, and for an address that
    baselines.address refuses.
    """
    if taken := Baseline.objects.filter(project=project, name=name).first():
        raise Refused(f"There is {'an archived' if taken.archived_at else 'a'} baseline called {name} already.")
    baseline = Baseline(project=project, created_by=by, name=name)
    _set_baseline(baseline, settings, key)
    after = _in_words(baseline)
    audit.record(action="add_baseline", actor=by, project=project, obj=baseline, after=after)
    return baseline


@transaction.atomic
def edit_baseline(
    *, baseline: Baseline, by: User, key: str = "", forget_key: bool = False, **settings: Any
) -> Baseline:
    """Change what is told of it; the key stays unless another one is given or it is to be forgotten.

    Refused where a kept key would go to another host than it was given for: who may edit a baseline does not know its
    key, and shall not learn it by moving the address.
    """
    if not key and not forget_key and baselines.origin_changes(baseline, settings.get("base_url", "")):
        raise Refused("The address is another host: give its key, or have the kept one forgotten.")
    if Baseline.objects.filter(project=baseline.project, name=settings["name"]).exclude(pk=baseline.pk).exists():
        raise Refused(f"There is a baseline called {settings['name']} already.")
    before = _in_words(baseline)
    if forget_key:
        baseline.sealed_key = ""
    _set_baseline(baseline, settings, key)
    after = _in_words(baseline) | ({"key": "given anew"} if key else {})
    audit.record(action="edit_baseline", actor=by, project=baseline.project, obj=baseline, before=before, after=after)
    return baseline


def _set_baseline(baseline: Baseline, settings: Mapping[str, Any], key: str) -> None:
    for name, value in settings.items():
        setattr(baseline, name, value)
    baseline.base_url = baselines.address(baseline.base_url)
    if not baseline.base_url:
        baseline.served_name = baseline.sealed_key = key = ""
    elif not baseline.served_name:
        raise Refused("Say what the endpoint calls the model.")
    if key:
        baseline.sealed_key = sealing.seal(key)
    baseline.save()


def _in_words(baseline: Baseline) -> dict[str, Any]:
    """What the audit trail may have of it."""
    return {name: getattr(baseline, name) for name in _OF_A_BASELINE} | {"has_key": bool(baseline.sealed_key)}


@transaction.atomic
def archive_baseline(*, baseline: Baseline, by: User) -> None:
    """Take it out of the lists and forget its key; its scores stay."""
    if baseline.archived_at is not None:
        raise Refused(f"{baseline} is archived already.")
    baseline.archived_at, baseline.sealed_key = timezone.now(), ""
    baseline.save(update_fields=["archived_at", "sealed_key"])
    audit.record(action="archive_baseline", actor=by, project=baseline.project, obj=baseline)


@transaction.atomic
def restore_baseline(*, baseline: Baseline, by: User) -> None:
    """Offer it again; a key has to be given anew."""
    if baseline.archived_at is None:
        raise Refused(f"{baseline} is not archived.")
    baseline.archived_at = None
    baseline.save(update_fields=["archived_at"])
    audit.record(action="restore_baseline", actor=by, project=baseline.project, obj=baseline)
