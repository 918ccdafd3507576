"""Pages of baselines: models of others, beside which the team's own stand."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.debug import sensitive_post_parameters

from controlplane.access.doors import MemberRequest, get_owned, project_view
from controlplane.access.models import Project, Role
from controlplane.access.refusals import Refused
from controlplane.ui.pages import page_of
from eval_app import actions
from eval_app.baseline_forms import BaselineForm
from eval_app.models import Baseline, Evaluation


@project_view(Role.VIEWER)
def baseline_list(request: MemberRequest, project: Project) -> HttpResponse:
    context = {"baselines": Baseline.objects.for_list(project), "may_edit": request.role >= Role.MAINTAINER}
    context["archived"] = Baseline.objects.filter(project=project).exclude(archived_at=None).order_by("name")
    return render(request, "evaluation/baselines.html", context)


@project_view(Role.VIEWER)
def baseline_detail(request: MemberRequest, project: Project, pk: str) -> HttpResponse:
    baseline = get_owned(Baseline.objects.select_related("created_by"), project, pk)
    rows = Evaluation.objects.for_list(project).filter(baseline=baseline, archived_at=None)
    context = {"baseline": baseline, "page": page_of(rows, request.GET)}
    context |= {"may_edit": request.role >= Role.MAINTAINER, "may_evaluate": request.role >= Role.MEMBER}
    return render(request, "evaluation/baseline.html", context)


@sensitive_post_parameters("key")
@project_view(Role.MAINTAINER, methods=("GET", "POST"))
def baseline_add(request: MemberRequest, project: Project) -> HttpResponse:
    form = BaselineForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            made = actions.add_baseline(project=project, by=request.user, **form.cleaned_data)
            return redirect("evaluation:baseline", project.slug, made.pk)
        except Refused as refused:
            form.add_error(None, str(refused))
    return render(request, "evaluation/baseline_form.html", {"form": form}, status=422 if form.errors else 200)


@sensitive_post_parameters("key")
@project_view(Role.MAINTAINER, methods=("GET", "POST"))
def baseline_edit(request: MemberRequest, project: Project, pk: str) -> HttpResponse:
    baseline = get_owned(Baseline, project, pk)
    form = BaselineForm(request.POST or None, of=baseline)
    if request.method == "POST" and form.is_valid():
        try:
            actions.edit_baseline(baseline=baseline, by=request.user, **form.cleaned_data)
            return redirect("evaluation:baseline", project.slug, pk)
        except Refused as refused:
            form.add_error(None, str(refused))
    context = {"form": form, "baseline": get_owned(Baseline, project, pk)}
    return render(request, "evaluation/baseline_form.html", context, status=422 if form.errors else 200)


@project_view(Role.MAINTAINER, methods=("POST",))
def baseline_archive(request: MemberRequest, project: Project, pk: str) -> HttpResponse:
    return _set_archived(request, project, pk, actions.archive_baseline)


@project_view(Role.MAINTAINER, methods=("POST",))
def baseline_restore(request: MemberRequest, project: Project, pk: str) -> HttpResponse:
    return _set_archived(request, project, pk, actions.restore_baseline)


def _set_archived(request: MemberRequest, project: Project, pk: str, action: Callable[..., None]) -> HttpResponse:
    baseline = get_owned(Baseline, project, pk)
    try:
        action(baseline=baseline, by=request.user)
    except Refused as refused:
        messages.error(request, str(refused))
    return redirect("evaluation:baseline", project.slug, pk)
