"""Pages of runs and the registry."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import redirect, render

from controlplane.access.doors import MemberRequest, get_owned, project_view
from controlplane.access.models import Project, Role
from controlplane.access.refusals import Refused
from controlplane.ui.search import QueryError
from training_app import actions, figures, recipes, search
from training_app.forms import RunEditForm, RunForm
from training_app.models import ModelVersion, Promotion, TrainingRun

PAGE = 50
MAX_COMPARED = 30  # curves beyond that cannot be told apart


@project_view(Role.VIEWER)
def run_list(request: MemberRequest, project: Project) -> HttpResponse:
    query, sort = _text(request, "q", ""), _text(request, "sort", "-created")
    start = _page(request)
    runs = TrainingRun.objects.for_list(project)
    if "archived" not in request.GET:
        runs = runs.filter(archived_at=None)
    context: dict[str, Any] = {"query": query, "page": start, "is_filtered": bool(query)}
    try:
        rows = list(search.ordered(search.matching(runs, query), sort)[start * PAGE : (start + 1) * PAGE + 1])
        context |= {"runs": rows[:PAGE], "has_next": len(rows) > PAGE}
    except QueryError as error:
        context |= {"runs": [], "query_error": error.message, "pointed": error.pointed(query)}
    template = "training/run_list.html" + ("#runs" if request.htmx else "")
    return render(request, template, context, status=422 if "query_error" in context else 200)


@project_view(Role.VIEWER)
def run_detail(request: MemberRequest, project: Project, pk: str) -> HttpResponse:
    run = get_owned(TrainingRun.objects.for_list(project), project, pk)
    context = {
        "run": run,
        "job": run.job,
        "charts": [{"name": name, "figure": figures.curves(run.job, name)} for name in figures.CHARTS],
        "checkpoints": run.checkpoints.order_by("-step")[:10],
        "version": run.model_versions.select_related("model").first(),
        "edit": RunEditForm(initial={"name": run.name, "tags": ", ".join(run.tags), "notes": run.notes}),
    }
    template = "training/run.html" + ("#now" if request.htmx else "")
    return render(request, template, context)


@project_view(Role.VIEWER)
def run_chart(request: MemberRequest, project: Project, pk: str, chart: str) -> HttpResponse:
    """One chart's figure as JSON; with x0 and x1, only those steps, in finer detail."""
    run = get_owned(TrainingRun.objects.select_related("job"), project, pk)
    if chart not in figures.CHARTS:
        raise Http404(f"No chart is called {chart}")
    first, last = _number(request.GET.get("x0")), _number(request.GET.get("x1"))
    return JsonResponse(figures.curves(run.job, chart, first, last))


@project_view(Role.MEMBER, methods=("GET", "POST"))
def run_new(request: MemberRequest, project: Project) -> HttpResponse:
    initial = {"shard_set": request.GET.get("shard_set"), "model_name": "code-model", "recipe": "first-model"}
    form = RunForm(request.POST or None, project=project, initial=initial)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            run = actions.train_model(
                project=project,
                by=request.user,
                shard_set=data["shard_set"],
                recipe=recipes.recipe_for(data["recipe"], **form.changes()),
                model_name=data["model_name"],
                name=data["name"],
                tags=data["tags"],
            )
            return redirect("training:run", project.slug, run.pk)
        except Refused as refused:
            form.add_error(None, str(refused))
    return render(request, "training/run_new.html", {"form": form}, status=422 if form.errors else 200)


@project_view(Role.MEMBER, methods=("POST",))
def run_edit(request: MemberRequest, project: Project, pk: str) -> HttpResponse:
    run = get_owned(TrainingRun, project, pk)
    form = RunEditForm(request.POST)
    try:
        if form.is_valid():
            actions.edit_run(run=run, by=request.user, **form.cleaned_data)
        else:
            messages.error(request, " ".join(str(error) for errors in form.errors.values() for error in errors))
    except Refused as refused:
        messages.error(request, str(refused))
    return redirect("training:run", project.slug, pk)


@project_view(Role.MEMBER, methods=("POST",))
def run_archive(request: MemberRequest, project: Project, pk: str) -> HttpResponse:
    run = get_owned(TrainingRun.objects.select_related("job"), project, pk)
    try:
        actions.archive_run(run=run, by=request.user)
    except Refused as refused:
        messages.error(request, str(refused))
        return redirect("training:run", project.slug, pk)
    return redirect("training:run-list", project.slug)


@project_view(Role.VIEWER)
def run_compare(request: MemberRequest, project: Project) -> HttpResponse:
    asked = [pk for pk in request.GET.get("ids", "").split(",") if pk][:MAX_COMPARED]
    found = {run.pk: run for run in TrainingRun.objects.for_list(project).filter(pk__in=asked)}
    runs = [found[pk] for pk in asked if pk in found]
    if len(runs) < 2:
        messages.error(request, "Choose at least two runs to compare.")
        return redirect("training:run-list", project.slug)
    context = {
        "runs": runs,
        "differing": figures.differing(runs),
        "charts": [{"name": name, "figure": figures.overlaid(runs, name)} for name in figures.COMPARED],
        "metrics": [(name, [run.metrics.get(name) for run in runs]) for name in figures.COMPARED],
    }
    return render(request, "training/compare.html", context)


@project_view(Role.VIEWER)
def model_list(request: MemberRequest, project: Project) -> HttpResponse:
    versions = list(ModelVersion.objects.for_list(project).filter(archived_at=None)[:200])
    aliases: dict[str, list[str]] = {}
    for promotion in Promotion.objects.current(project):
        aliases.setdefault(promotion.to_version_id, []).append(promotion.alias)
    rows = [{"version": version, "aliases": aliases.get(version.pk, [])} for version in versions]
    return render(request, "training/model_list.html", {"rows": rows})


@project_view(Role.VIEWER)
def model_version_detail(request: MemberRequest, project: Project, pk: str) -> HttpResponse:
    version = get_owned(ModelVersion.objects.for_list(project), project, pk)
    history = version.model.promotions.select_related("from_version__model", "to_version__model", "requested_by")
    current = Promotion.objects.current(project).filter(model=version.model)
    context = {
        "version": version,
        "aliases": [promotion.alias for promotion in current if promotion.to_version_id == version.pk],
        "history": history.order_by("-requested_at")[:20],
        "siblings": version.model.versions.order_by("-number")[:20],
    }
    return render(request, "training/model_version.html", context)


def _text(request: MemberRequest, name: str, default: str) -> str:
    """Without NUL characters, which Postgres refuses in any text."""
    return request.GET.get(name, default).replace("\0", "")


def _page(request: MemberRequest) -> int:
    """From 0; what is no number, or beyond what an OFFSET can be, is the first page."""
    text = request.GET.get("page", "0")
    return int(text) if text.isdecimal() and len(text) < 8 else 0


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None
