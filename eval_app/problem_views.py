"""Pages of a suite's problems, of what models wrote for one, and of one sample."""

from __future__ import annotations

from typing import Any

from django.db.models import F, Q, QuerySet
from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render

from controlplane.access.doors import MemberRequest, get_owned, project_view
from controlplane.access.models import Project, Role
from controlplane.ui.pages import Key, page_of
from eval_app import export
from eval_app.diffs import Line, diff
from eval_app.models import Evaluation, SampleResult, Suite
from eval_app.problems import Known, known

A_PAGE = 20  # whole programs with their output and diff
NEWEST_EVALUATION = (Key("made"), Key("evaluation_id"), Key("sample", descending=False))
NO_FAULT = ("passed", "sandbox_failed")  # neither is a failure of the model


@project_view(Role.VIEWER)
def suite_detail(request: MemberRequest, project: Project, pk: str) -> HttpResponse:
    """The suite's problems: its own rows, or those that its newest evaluation was judged on."""
    suite = get_owned(Suite, project, pk)
    newest = Evaluation.objects.finished().filter(suite=suite).order_by("-created_at", "-id").first()
    context: dict[str, Any] = {"suite": suite, "newest": newest}
    context["judged"] = {row["task_id"]: row for row in newest.summary["problems"]} if newest else {}
    own = suite.problems.order_by("created_at", "pk").values_list("task_id", flat=True) if suite.is_own else ()
    context["rows"] = [(task_id, context["judged"].get(task_id)) for task_id in (own or context["judged"])]
    return render(request, "evaluation/suite.html", context)


@project_view(Role.VIEWER)
def problem_detail(request: MemberRequest, project: Project, pk: str) -> HttpResponse:
    """?task=: the problem, and every sample of every evaluation of it, newest evaluation first; ?outcome= narrows."""
    suite = get_owned(Suite, project, pk)
    task_id, outcome = (request.GET.get(name, "").replace("\0", "") for name in ("task", "outcome"))
    evaluations = Evaluation.objects.filter(suite=suite, archived_at=None)
    samples = SampleResult.objects.filter(evaluation__in=evaluations, task_id=task_id)
    newest = evaluations.filter(sha256__isnull=False).order_by("-created_at", "-id").first()
    problem = known(suite, task_id, newest)
    if problem is None and not samples.exists():
        raise Http404("No such problem.")
    shown = samples.filter(outcome=outcome) if outcome else samples
    rows = shown.select_related("evaluation__model_version__model").defer("evaluation__summary")
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
