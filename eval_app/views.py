"""Pages of evaluations and suites."""

from __future__ import annotations

from typing import Any

from django.db.models import Count
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from controlplane.access.doors import MemberRequest, get_owned, project_view
from controlplane.access.models import Project, Role
from controlplane.access.refusals import Refused
from eval_app import actions, figures
from eval_app.forms import EvaluationForm, SuiteForm
from eval_app.models import Evaluation, SampleResult, Suite

SHOWN = 100
SAMPLES = 400


@project_view(Role.VIEWER)
def evaluation_list(request: MemberRequest, project: Project) -> HttpResponse:
    evaluations = Evaluation.objects.for_list(project).filter(archived_at=None)[:SHOWN]
    return render(request, "evaluation/list.html", {"evaluations": evaluations})


@project_view(Role.VIEWER)
def evaluation_detail(request: MemberRequest, project: Project, pk: str) -> HttpResponse:
    evaluation = get_owned(Evaluation.objects.for_list(project), project, pk)
    outcome = request.GET.get("outcome", "")
    samples = evaluation.samples.filter(outcome=outcome) if outcome else evaluation.samples.all()
    context: dict[str, Any] = {
        "evaluation": evaluation,
        "samples": samples.defer("prompt", "output").order_by("task_id", "sample")[:SAMPLES],
        "outcomes": evaluation.samples.values("outcome").annotate(n=Count("id")).order_by("-n"),
        "outcome": outcome,
    }
    context |= figures.of_evaluation(evaluation.summary) if evaluation.is_ready else {}
    return render(request, "evaluation/evaluation.html", context)


@project_view(Role.VIEWER)
def sample_detail(request: MemberRequest, project: Project, pk: str, sample: int) -> HttpResponse:
    evaluation = get_owned(Evaluation.objects.for_list(project), project, pk)
    row = get_object_or_404(SampleResult, evaluation=evaluation, pk=sample)
    return render(request, "evaluation/sample.html", {"evaluation": evaluation, "sample": row})


@project_view(Role.MEMBER, methods=("GET", "POST"))
def evaluation_new(request: MemberRequest, project: Project) -> HttpResponse:
    actions.add_built_in_suites(project=project)
    initial = {"model_version": request.GET.get("model_version")}
    form = EvaluationForm(request.POST or None, project=project, initial=initial)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        inputs = {name: data[name] for name in ("model_version", "suite", "dataset_version")}
        evaluation = actions.evaluate_model(project=project, by=request.user, **inputs, parameters=form.parameters())
        return redirect("evaluation:evaluation", project.slug, evaluation.pk)
    return render(request, "evaluation/new.html", {"form": form}, status=422 if form.errors else 200)


@project_view(Role.VIEWER)
def suite_list(request: MemberRequest, project: Project) -> HttpResponse:
    return _suites(request, project, SuiteForm())


@project_view(Role.MEMBER, methods=("POST",))
def suite_add(request: MemberRequest, project: Project) -> HttpResponse:
    form = SuiteForm(request.POST)
    if form.is_valid():
        try:
            actions.add_suite(project=project, by=request.user, **form.cleaned_data)
            return redirect("evaluation:suite-list", project.slug)
        except Refused as refused:
            form.add_error(None, str(refused))
    return _suites(request, project, form)


def _suites(request: MemberRequest, project: Project, form: SuiteForm) -> HttpResponse:
    suites = Suite.objects.filter(project=project, archived_at=None).annotate(n=Count("evaluations")).order_by("name")
    built_in = [{"name": name, "description": text} for name, text in actions.BUILT_IN.items()]
    context = {"form": form, "suites": suites, "built_in": built_in}
    return render(request, "evaluation/suites.html", context, status=422 if form.errors else 200)
