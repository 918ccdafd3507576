"""Opt-out: name a repository, a path pattern or an author, see what holds such rows, and have it left out."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import redirect, render

from controlplane.access.doors import MemberRequest, get_owned, project_view
from controlplane.access.models import Project, Role
from controlplane.access.refusals import Refused
from controlplane.pipeline import actions
from controlplane.pipeline.forms import OptOutActForm, OptOutForm
from controlplane.pipeline.models import OptOut
from controlplane.pipeline.opt_outs import reach_of
from controlplane.ui.pages import page_of


@project_view(Role.VIEWER)
def opt_out_page(request: MemberRequest, project: Project) -> HttpResponse:
    form = OptOutForm(request.GET or None)
    act = OptOutActForm(initial=form.cleaned_data) if form.is_valid() else None
    return _page(request, project, form, act)


@project_view(Role.MAINTAINER, methods=("POST",))
def opt_out_act(request: MemberRequest, project: Project) -> HttpResponse:
    form = OptOutActForm(request.POST)
    if form.is_valid():
        try:
            reason = form.cleaned_data["reason"]
            row = actions.opt_out(project=project, by=request.user, rules=form.rules(), reason=reason)
            return redirect("pipeline:opt-out-detail", project.slug, row.pk)
        except Refused as refused:
            form.add_error(None, str(refused))
    asked = OptOutForm(request.POST)
    return _page(request, project, asked, form if asked.is_valid() else None)


def _page(request: MemberRequest, project: Project, form: OptOutForm, act: OptOutActForm | None) -> HttpResponse:
    """What holds the rows, where the form says whose; and those that were left out before."""
    rows = OptOut.objects.filter(project=project).select_related("created_by").order_by("-created_at", "-id")
    context: dict[str, Any] = {"form": form, "act": act, "page": page_of(rows, {})}
    context["may_act"] = request.role >= Role.MAINTAINER
    if act is not None:
        context |= {"rules": form.rules(), "reach": reach_of(project, form.rules())}
    is_refused = form.errors or (act is not None and act.errors)
    return render(request, "pipeline/opt_out.html", context, status=422 if is_refused else 200)


@project_view(Role.VIEWER)
def opt_out_detail(request: MemberRequest, project: Project, pk: str) -> HttpResponse:
    row = get_owned(OptOut.objects.select_related("created_by"), project, pk)
    marks = row.marks.select_related("model_version__model").order_by("-rows", "pk")
    versions = row.versions.select_related("dataset", "job").defer("summary")
    return render(request, "pipeline/opt_out_detail.html", {"row": row, "marks": marks, "versions": versions})
