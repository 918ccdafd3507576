"""Pages of one problem with what models wrote for it, and of one sample."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db.models import F, Q, QuerySet
from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render

from controlplane.access.doors import MemberRequest, get_owned, project_view
from controlplane.access.models import Project, Role
from controlplane.access.refusals import Refused
from controlplane.ui.pages import Key, page_of
from eval_app import actions, export
from eval_app.diffs import Line, diff
from eval_app.forms import ProblemForm
from eval_app.models import SUBJECT, UNSHOWN, Evaluation, SampleResult, Suite, SuiteProblem
from eval_app.problems import Known, known

A_PAGE = 20  # whole programs with their output and diff
NEWEST_EVALUATION = (Key("made"), Key("evaluation_id"), Key("sample", descending=False))
NO_FAULT = ("passed", "sandbox_failed")  # neither is a failure of the model


@project_view(Role.VIEWER)
def problem_detail(request: MemberRequest, project: Project, pk: str) -> HttpResponse:
    """?task=: the problem, and every sample of every evaluation of it, newest evaluation first; ?outcome= narrows."""
    suite = get_owned(Suite, project, pk)
    task_id, outcome = (request.GET.get(name, "").replace("\0", "") for name in ("task", "outcome"))
    evaluations = Evaluation.objects.filter(suite=suite, archived_at=None)
    samples = SampleResult.objects.filter(evaluation__in=evaluations, task_id=task_id)
    newest = evaluations.finished().made_here().order_by("-created_at", "-id").first()
    problem = known(suite, task_id, newest)
    if problem is None and not samples.exists():
        raise Http404("No such problem.")
    shown = samples.filter(outcome=outcome) if outcome else samples
    subject = [f"evaluation__{name}" for name in SUBJECT]
    rows = shown.select_related(*subject).defer("evaluation__summary", *(f"evaluation__{name}" for name in UNSHOWN))
    page = page_of(rows.annotate(made=F("evaluation__created_at")), request.GET, NEWEST_EVALUATION, A_PAGE)
    context = {"suite": suite, "task_id": task_id, "problem": problem, "page": page, "outcome": outcome}
    context["prompt"] = problem.prompt if problem else samples[0].prompt
    context["shown"] = [(row, _diff(problem, row)) for row in page.rows]
    context["outcomes"] = SampleResult.Outcome.choices
    return render(request, "evaluation/problem.html", context)


@project_view(Role.VIEWER)
def sample_detail(request: MemberRequest, project: Project, pk: str, sample: int) -> HttpResponse:
    evaluation = get_owned(Evaluation.objects.for_list(project), project, pk)
    row = get_object_or_404(SampleResult, evaluation=evaluation, pk=sample)
    problem = known(evaluation.suite, row.task_id, evaluation)
    context: dict[str, Any] = {"evaluation": evaluation, "sample": row, "problem": problem}
    context["diff"] = _diff(problem, row)
    context |= {"before": _failed(row, backwards=True), "after": _failed(row)}
    return render(request, "evaluation/sample.html", context)


@project_view(Role.MEMBER, methods=("GET", "POST"))
def problem_of_sample(request: MemberRequest, project: Project, pk: str, sample: int) -> HttpResponse:
    """Make what a model wrote a problem of the project's own suite: to mend its tests, or to ask it in another way."""
    evaluation = get_owned(Evaluation.objects.for_list(project), project, pk)
    row = get_object_or_404(SampleResult, evaluation=evaluation, pk=sample)
    form = ProblemForm(request.POST or None, initial=_asked(row, known(evaluation.suite, row.task_id, evaluation)))
    if request.method == "POST" and form.is_valid():
        try:
            problem = actions.add_problem(project=project, by=request.user, from_sample=row, **form.cleaned_data)
            return problem_added(request, problem)
        except Refused as refused:
            form.add_error(None, str(refused))
    context = {"form": form, "evaluation": evaluation, "sample": row}
    return render(request, "evaluation/problem_new.html", context, status=422 if form.errors else 200)


def problem_added(request: MemberRequest, problem: SuiteProblem) -> HttpResponse:
    """To its suite, which is where it is admitted."""
    messages.success(request, f"{problem} counts from the suite's next evaluation on, if it is admitted.")
    return redirect("evaluation:suite", problem.suite.project.slug, problem.suite_id)


def _asked(row: SampleResult, problem: Known | None) -> dict[str, str]:
    """What the form begins with; what failed is the wrong completion, what passed is the right one."""
    passed = row.outcome == SampleResult.Outcome.PASSED
    if problem is None:
        return {"language": "python", "prompt": row.prompt, "reference" if passed else "buggy": row.completion}
    told = {name: getattr(problem, name) for name in ("language", "suffix", "reference", "tests", "buggy")}
    told["prompt"] = f"{problem.setup}{problem.prompt}"
    return told if passed else told | {"buggy": row.completion}


@project_view(Role.VIEWER)
def samples_export(request: MemberRequest, project: Project, pk: str, kind: str) -> HttpResponseBase:
    evaluation = get_owned(Evaluation, project, pk)
    if kind not in export.TYPES:
        raise Http404("Samples come as csv or jsonl.")
    return export.samples(evaluation, kind)


def _diff(problem: Known | None, row: SampleResult) -> list[Line] | None:
    """None where there is no reference to compare with."""
    return diff(problem.reference, row.completion) if problem and problem.reference else None


def _failed(row: SampleResult, backwards: bool = False) -> int | None:
    """The evaluation's next failed sample in the order of problems, or the one before."""
    way = "lt" if backwards else "gt"
    beyond = Q(**{f"task_id__{way}": row.task_id}) | Q(task_id=row.task_id, **{f"sample__{way}": row.sample})
    order = ("-task_id", "-sample") if backwards else ("task_id", "sample")
    rows: QuerySet[SampleResult] = SampleResult.objects.filter(beyond, evaluation=row.evaluation_id)
    return rows.exclude(outcome__in=NO_FAULT).order_by(*order).values_list("pk", flat=True).first()
