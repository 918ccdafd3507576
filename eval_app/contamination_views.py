"""Pages of a check: the problems that stand in the training data, and for each its rows beside it."""

from __future__ import annotations

from typing import Any

from django.db.models import Count
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render

from controlplane.access.doors import MemberRequest, get_owned, project_view
from controlplane.access.models import Project, Role
from controlplane.access.refusals import Refused
from controlplane.ui import choices
from controlplane.ui.pages import Key, page_of
from eval_app import actions, contamination
from eval_app.contamination_models import ContaminationCheck
from eval_app.forms import ContaminationForm
from eval_app.models import Suite

A_PAGE = 20  # rows beside a problem
BY_RANK = (Key("rank", descending=False),)


@project_view(Role.MEMBER, methods=("GET", "POST"))
def contamination_find(request: MemberRequest, project: Project) -> HttpResponse:
    """?suite= and ?dataset_version= are filled in."""
    given = {name: request.GET.get(name) for name in ("suite", "dataset_version")}
    form = ContaminationForm(request.POST or None, project=project, initial=given)
    if rows := choices.asked(request, form):
        return rows
    if request.method == "POST" and form.is_valid():
        try:
            made = actions.find_contamination(project=project, by=request.user, **form.cleaned_data)
            return redirect("evaluation:contamination", project.slug, made.pk)
        except Refused as refused:
            form.add_error(None, str(refused))
    suite = Suite.objects.filter(project=project, pk=given["suite"]).first() if given["suite"] else None
    return render(
        request, "evaluation/contamination_new.html", {"form": form, "suite": suite}, status=422 if form.errors else 200
    )


@project_view(Role.VIEWER)
def contamination_detail(request: MemberRequest, project: Project, pk: str) -> HttpResponse:
    check = get_owned(ContaminationCheck.objects.for_page(), project, pk)
    context: dict[str, Any] = {"check": check}
    if check.is_ready:
        kinds = check.matches.values_list("kind").annotate(n=Count("pk")).order_by("-n", "kind")
        context |= {"found": contamination.found_in(check), "kinds": list(kinds)}
    return render(request, "evaluation/contamination.html", context)


@project_view(Role.VIEWER)
def contamination_problem(request: MemberRequest, project: Project, pk: str) -> HttpResponse:
    """?task=: the problem beside each row that holds it, the most alike first."""
    check = get_owned(ContaminationCheck.objects.for_page(), project, pk)
    task_id = request.GET.get("task", "").replace("\0", "")
    worst = check.summary.get("problems", {}).get(task_id)
    if worst is None:
        raise Http404("No such problem was found.")
    page = page_of(check.matches.filter(task_id=task_id), request.GET, BY_RANK, A_PAGE)
    context: dict[str, Any] = {"check": check, "task_id": task_id, "worst": worst, "page": page}
    context["shown"] = [(match, contamination.side_by_side(match)) for match in page.rows]
    return render(request, "evaluation/contamination_problem.html", context)
