"""Pages of runs and the registry."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse, JsonResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django_htmx.http import trigger_client_event

from controlplane.access.doors import MemberRequest, get_owned, project_view
from controlplane.access.models import Project, Role
from controlplane.access.refusals import Refused
from controlplane.ui import choices
from controlplane.ui.pages import Page, page_of
from controlplane.ui.search import QueryError
from training_app import actions, columns, figures, recipes, table
from training_app.forms import RunEditForm, RunForm, RunViewForm
from training_app.models import ModelImport, ModelVersion, Promotion, RunView, TrainingRun

MAX_CHOSEN = 500  # runs that are archived at a time; each is an audit entry
MAX_COMPARED = 30  # curves beyond that cannot be told apart


@project_view(Role.VIEWER)
def run_list(request: MemberRequest, project: Project) -> HttpResponse:
    """The table as the address asks for it, and as the saved view that the address names begins."""
    views = list(RunView.objects.for_person(project, request.user))
    view = next((view for view in views if view.pk == request.GET.get("view")), None)
    base = table.Asked.of(QueryDict(view.query)) if view else table.Asked()
    asked = table.Asked.of(request.GET, base)
    links = table.Links(asked, base, view.pk if view else "")
    context = {
        "asked": asked,
        "links": links,
        "heads": links.heads(),
        "chosen_tags": links.tags(),
        "shown": asked.columns(),
    }
    try:
        runs = table.filtered(project, asked)
        context |= _counts(links, table.counted(runs)) | {"page": table.page(project, runs, asked, request.GET)}
    except QueryError as error:
        context |= {"page": Page([]), "query_error": error.message, "pointed": error.pointed(asked.q)}
    if request.htmx:
        return render(request, "training/run_list.html#runs", context)
    context |= {"views": views, "view": view, "offered": columns.offered(project, asked.column)}
    context |= {"form": RunViewForm(initial={"query": asked.query_string()}), "state": asked.query_string()}
    context |= {"may_change": view is not None and _may_change(request, project, view)}
    return render(request, "training/run_list.html", context, status=422 if "query_error" in context else 200)


def _counts(links: table.Links, counts: Counter[str]) -> dict[str, Any]:
    active = counts["running"] + counts["queued"]
    shown = counts["archived"] if links.asked.status == "archived" else sum(counts.values()) - counts["archived"]
    total = counts[links.asked.status] if links.asked.status else shown
    return {"statuses": links.statuses(counts), "n_active": active, "total": total}


def _may_change(request: MemberRequest, project: Project, view: RunView) -> bool:
    return view.created_by_id == request.user.pk or request.role >= Role.MAINTAINER


@project_view(Role.MEMBER, methods=("POST",))
def runs_archive(request: MemberRequest, project: Project) -> HttpResponse:
    runs = _chosen(request, project)
    active = actions.archive_runs(runs=runs, by=request.user)
    if len(runs) > len(active):
        messages.success(request, f"{_runs(len(runs) - len(active))} archived. What was made from them stays.")
    if active:
        messages.error(request, f"Stop these first: {', '.join(run.name for run in active)}.")
    return _back_to_list(request, project)


@project_view(Role.MEMBER, methods=("POST",))
def runs_restore(request: MemberRequest, project: Project) -> HttpResponse:
    runs = _chosen(request, project)
    actions.restore_runs(runs=runs, by=request.user)
    messages.success(request, f"{_runs(len(runs))} restored.")
    return _back_to_list(request, project)


def _chosen(request: MemberRequest, project: Project) -> list[TrainingRun]:
    """The runs of the ticked boxes; ids that are not the project's are none of its runs."""
    asked = request.POST.getlist("run")[:MAX_CHOSEN]
    return list(TrainingRun.objects.for_list(project).filter(pk__in=asked))


def _runs(number: int) -> str:
    return f"{number} {'run' if number == 1 else 'runs'}"


def _back_to_list(request: MemberRequest, project: Project) -> HttpResponse:
    """To the list as it was looked at; the address of the form says how that was."""
    query = QueryDict(request.GET.get("back", ""))
    return redirect(f"{reverse('training:run-list', args=[project.slug])}?{query.urlencode()}")


@project_view(Role.MEMBER, methods=("POST",))
def view_save(request: MemberRequest, project: Project) -> HttpResponse:
    form = RunViewForm(request.POST)
    try:
        if form.is_valid():
            view = actions.save_run_view(project=project, by=request.user, **form.cleaned_data)
            return redirect(f"{reverse('training:run-list', args=[project.slug])}?view={view.pk}")
        messages.error(request, "A view needs a name of at most 80 characters.")
    except Refused as refused:
        messages.error(request, str(refused))
    return _back_to_list(request, project)


@project_view(Role.MEMBER, methods=("POST",))
def view_change(request: MemberRequest, project: Project, pk: str) -> HttpResponse:
    view = _own_view(request, project, pk)
    actions.change_run_view(view=view, by=request.user, query=QueryDict(request.POST.get("query", "")).urlencode())
    messages.success(request, f"The view {view} is changed.")
    return redirect(f"{reverse('training:run-list', args=[project.slug])}?view={view.pk}")


@project_view(Role.MEMBER, methods=("POST",))
def view_archive(request: MemberRequest, project: Project, pk: str) -> HttpResponse:
    view = _own_view(request, project, pk)
    actions.archive_run_view(view=view, by=request.user)
    messages.success(request, f"The view {view} is gone.")
    return redirect("training:run-list", project.slug)


def _own_view(request: MemberRequest, project: Project, pk: str) -> RunView:
    """A view that the person may change: one's own, and for maintainers the shared ones."""
    views = RunView.objects.changeable_by(project, request.user, request.role >= Role.MAINTAINER)
    return get_owned(views, project, pk)


@project_view(Role.VIEWER)
def run_detail(request: MemberRequest, project: Project, pk: str) -> HttpResponse:
    run = get_owned(TrainingRun.objects.for_list(project), project, pk)
    context = {
        "run": run,
        "job": run.job,
        "charts": list(figures.CHARTS),
        "checkpoints": run.checkpoints.order_by("-step")[:10],
        "version": run.model_versions.select_related("model").first(),
        "edit": RunEditForm(initial={"name": run.name, "tags": ", ".join(run.tags), "notes": run.notes}),
    }
    if not request.htmx:
        return render(request, "training/run.html", context)
    answer = render(request, "training/run.html#now", context)
    return answer if run.job.is_active else trigger_client_event(answer, "yard:ended")  # its charts stop reading


@project_view(Role.VIEWER)
def run_chart(request: MemberRequest, project: Project, pk: str, chart: str) -> HttpResponse:
    """One chart's figure as JSON, which the page draws; with x0 and x1, only those steps, in finer detail."""
    run = get_owned(TrainingRun.objects.select_related("job"), project, pk)
    if chart not in figures.CHARTS:
        raise Http404(f"No chart is called {chart}")
    first, last = _number(request.GET.get("x0")), _number(request.GET.get("x1"))
    return JsonResponse(figures.curves(run.job, chart, first, last))


@project_view(Role.MEMBER, methods=("GET", "POST"))
def run_new(request: MemberRequest, project: Project) -> HttpResponse:
    initial = {"shard_set": request.GET.get("shard_set"), "model_name": "code-model", "recipe": "first-model"}
    form = RunForm(request.POST or None, project=project, initial=initial)
    if rows := choices.asked(request, form):
        return rows
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
    given = [*request.GET.get("ids", "").split(","), *request.GET.getlist("run")]  # a script's list, a form's boxes
    chosen = [pk.replace("\0", "") for pk in dict.fromkeys(given) if pk]
    asked = chosen[:MAX_COMPARED]
    found = {run.pk: run for run in TrainingRun.objects.for_list(project).filter(pk__in=asked)}
    runs = [found[pk] for pk in asked if pk in found]
    if len(runs) < 2:
        messages.error(request, "Choose at least two runs to compare.")
        return redirect("training:run-list", project.slug)
    if chart := request.GET.get("chart"):
        if chart not in figures.COMPARED:
            raise Http404(f"No chart is called {chart}")
        return JsonResponse(figures.overlaid(runs, chart))
    if len(chosen) > MAX_COMPARED:
        messages.info(request, f"Of the {len(chosen)} runs chosen, the first {MAX_COMPARED} are compared.")
    context = {
        "runs": runs,
        "differing": figures.differing(runs),
        "charts": figures.COMPARED,
        "metrics": [(name, [run.metrics.get(name) for run in runs]) for name in figures.COMPARED],
    }
    return render(request, "training/compare.html", context)


@project_view(Role.VIEWER)
def model_list(request: MemberRequest, project: Project) -> HttpResponse:
    page = page_of(ModelVersion.objects.for_list(project).filter(archived_at=None), request.GET)
    aliases: dict[str, list[str]] = {}
    for version_id, alias in Promotion.objects.current(project).values_list("to_version_id", "alias"):
        aliases.setdefault(version_id, []).append(alias)
    rows = [{"version": version, "aliases": aliases.get(version.pk, [])} for version in page.rows]
    context = {"rows": rows, "page": page, "unfinished": ModelImport.objects.unfinished(project)}
    return render(request, "training/model_list.html", context)


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
        "imported": ModelImport.objects.filter(pk=version.imported_id).first(),
    }
    return render(request, "training/model_version.html", context)


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None
