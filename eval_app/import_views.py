"""The page that takes another harness's results, and the one that has an evaluation's programs judged again."""

from __future__ import annotations

from collections.abc import Sequence

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render

from controlplane.access.doors import MemberRequest, get_owned, project_view
from controlplane.access.models import Project, Role
from controlplane.access.refusals import Refused
from controlplane.ui import choices
from eval_app import actions
from eval_app.forms import JudgeAgainForm
from eval_app.import_forms import ImportForm
from eval_app.models import Evaluation


@project_view(Role.MEMBER, methods=("GET", "POST"))
def results_import(request: MemberRequest, project: Project) -> HttpResponse:
    initial = {name: request.GET.get(name) for name in ("model_version", "baseline", "suite")}
    form = ImportForm(request.POST or None, request.FILES or None, project=project, initial=initial)
    if rows := choices.asked(request, form):
        return rows
    if request.method == "POST" and form.is_valid():
        try:
            made, left_out = actions.import_results(project=project, by=request.user, **form.asked())
            return _imported(request, made, left_out)
        except Refused as refused:
            form.add_error("results", str(refused))
    return render(request, "evaluation/import.html", {"form": form}, status=422 if form.errors else 200)


def _imported(request: MemberRequest, made: Sequence[Evaluation], left_out: Sequence[str]) -> HttpResponse:
    messages.success(request, f"Imported: {', '.join(map(str, made))}.")
    if left_out:
        messages.warning(request, f"Left out, as it has no pass@1: {'; '.join(left_out)}.")
    if len(made) > 1:
        return redirect("evaluation:list", request.project.slug)
    return redirect("evaluation:evaluation", request.project.slug, made[0].pk)


@project_view(Role.MEMBER, methods=("GET", "POST"))
def judge_again(request: MemberRequest, project: Project, pk: str) -> HttpResponse:
    evaluation = get_owned(Evaluation.objects.for_list(project), project, pk)
    initial = {"suite": evaluation.suite_id, "timeout_seconds": evaluation.parameters.get("timeout_seconds", 5)}
    form = JudgeAgainForm(request.POST or None, project=project, initial=initial)
    if rows := choices.asked(request, form):
        return rows
    if request.method == "POST" and form.is_valid():
        try:
            made = actions.judge_again(evaluation=evaluation, by=request.user, **form.cleaned_data)
            return redirect("evaluation:evaluation", project.slug, made.pk)
        except Refused as refused:
            form.add_error(None, str(refused))
    context = {"form": form, "evaluation": evaluation}
    return render(request, "evaluation/judge_again.html", context, status=422 if form.errors else 200)
