"""One suite's page: which of its problems count on this yard's machines, and who solves them."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render

from controlplane.access.doors import MemberRequest, get_owned, project_view
from controlplane.access.models import Project, Role
from controlplane.access.refusals import Refused
from eval_app import actions, admission
from eval_app.contamination_models import ContaminationCheck
from eval_app.forms import AdmitForm
from eval_app.models import Suite

NEWEST_CHECKS = 10


@project_view(Role.VIEWER)
def suite_detail(request: MemberRequest, project: Project, pk: str) -> HttpResponse:
    """?language= and ?state= narrow the list of problems."""
    return _page(request, get_owned(Suite, project, pk), AdmitForm())


@project_view(Role.MEMBER, methods=("POST",))
def suite_admit(request: MemberRequest, project: Project, pk: str) -> HttpResponse:
    suite = get_owned(Suite, project, pk)
    form = AdmitForm(request.POST)
    if not form.is_valid():
        return _page(request, suite, form)
    try:
        actions.admit_suite(project=project, by=request.user, suite=suite, parameters=form.cleaned_data)
    except Refused as refused:
        messages.error(request, str(refused))
    return redirect("evaluation:suite", project.slug, pk)


def _page(request: MemberRequest, suite: Suite, form: AdmitForm) -> HttpResponse:
    asked = {name: request.GET.get(name, "") for name in ("language", "state")}
    context = {**admission.of_suite(suite, **asked), "form": form, "may_write": request.role >= Role.MEMBER}
    context["checks"] = ContaminationCheck.objects.of_suite(suite)[:NEWEST_CHECKS]
    return render(request, "evaluation/suite.html", context, status=422 if form.errors else 200)
