"""Pages of evaluations and suites."""

from __future__ import annotations

from typing import Any

from django.db.models import Count
from django.http import HttpResponse
from django.shortcuts import redirect, render

from controlplane.access.doors import MemberRequest, get_owned, project_view
from controlplane.access.models import Project, Role
from controlplane.access.refusals import Refused
from controlplane.ui import choices
from controlplane.ui.pages import Key, page_of
from eval_app import actions, contamination, cost, figures
from eval_app.forms import EvaluationForm, SuiteForm, SuiteUploadForm
from eval_app.models import Evaluation, Suite

SAMPLES = 100  # a page
BY_PROBLEM = (Key("task_id", descending=False), Key("sample", descending=False))


@project_view(Role.VIEWER)
def evaluation_list(request: MemberRequest, project: Project) -> HttpResponse:
    page = page_of(Evaluation.objects.for_list(project).in_short().filter(archived_at=None), request.GET)
    return render(request, "evaluation/list.html", {"page": page})


@project_view(Role.VIEWER)
def evaluation_detail(request: MemberRequest, project: Project, pk: str) -> HttpResponse:
    evaluation = get_owned(Evaluation.objects.for_list(project), project, pk)
    outcome = request.GET.get("outcome", "")
    samples = evaluation.samples.filter(outcome=outcome) if outcome else evaluation.samples.all()
    context: dict[str, Any] = {
        "evaluation": evaluation,
        "page": page_of(samples.defer("prompt", "output"), request.GET, BY_PROBLEM, SAMPLES),
        "outcomes": evaluation.samples.values("outcome").annotate(n=Count("id")).order_by("-n"),
        "outcome": outcome,
    }
    context["may_judge_again"] = evaluation.is_ready and not evaluation.harness and request.role >= Role.MEMBER
    context["again"] = evaluation.judged_again.filter(archived_at=None).select_related("suite", "job").order_by("pk")
    context |= figures.of_evaluation(evaluation) if evaluation.is_ready else {"so_far": cost.judged(evaluation)}
    context["may_write"] = request.role >= Role.MEMBER
    context["standing"] = contamination.of_evaluation(evaluation) if evaluation.is_ready else None
    return render(request, "evaluation/evaluation.html", context)


@project_view(Role.MEMBER, methods=("GET", "POST"))
def evaluation_new(request: MemberRequest, project: Project) -> HttpResponse:
    actions.add_built_in_suites(project=project)
    initial = {name: request.GET.get(name) for name in ("model_version", "baseline", "suite")}
    form = EvaluationForm(request.POST or None, project=project, initial=initial)
    if rows := choices.asked(request, form):
        return rows
    if request.method == "POST" and form.is_valid():
        inputs = {"subject": form.subject} | {name: form.cleaned_data[name] for name in ("suite", "dataset_version")}
        try:
            made = actions.evaluate_model(project=project, by=request.user, **inputs, parameters=form.parameters())
            return redirect("evaluation:evaluation", project.slug, made.pk)
        except Refused as refused:
            form.add_error(None, str(refused))
    return render(request, "evaluation/new.html", {"form": form}, status=422 if form.errors else 200)


@project_view(Role.VIEWER)
def suite_list(request: MemberRequest, project: Project) -> HttpResponse:
    return _suites(request, project)


@project_view(Role.MEMBER, methods=("POST",))
def suite_add(request: MemberRequest, project: Project) -> HttpResponse:
    form = SuiteForm(request.POST)
    if form.is_valid():
        try:
            made = actions.add_suite(project=project, by=request.user, **form.cleaned_data)
            return redirect("evaluation:suite", project.slug, made.pk)
        except Refused as refused:
            form.add_error(None, str(refused))
    return _suites(request, project, form=form)


@project_view(Role.MEMBER, methods=("POST",))
def suite_upload(request: MemberRequest, project: Project) -> HttpResponse:
    form = SuiteUploadForm(request.POST, request.FILES, prefix="upload")
    if form.is_valid():
        file = form.cleaned_data.pop("file")
        try:
            made = actions.upload_suite(
                project=project, by=request.user, file_name=file.name, content=file.read(), **form.cleaned_data
            )
            return redirect("evaluation:suite", project.slug, made.pk)
        except Refused as refused:
            form.add_error("file", str(refused))
    return _suites(request, project, upload=form)


def _suites(
    request: MemberRequest, project: Project, form: SuiteForm | None = None, upload: SuiteUploadForm | None = None
) -> HttpResponse:
    if project.archived_at is None:
        actions.add_built_in_suites(project=project)
    context: dict[str, Any] = {"form": form or SuiteForm(), "upload": upload or SuiteUploadForm(prefix="upload")}
    context |= {"suites": Suite.objects.for_list(project), "may_write": request.role >= Role.MEMBER}
    return render(request, "evaluation/suites.html", context, status=422 if form or upload else 200)
