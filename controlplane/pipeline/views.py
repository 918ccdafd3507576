"""The roof's pages: overview, pipelines with their clocks, the yard's own health, and the palette's search."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET

from controlplane.access import actions as access_actions
from controlplane.access.doors import MemberRequest, get_owned, project_view
from controlplane.access.forms import ProjectEditForm
from controlplane.access.models import Project, Role
from controlplane.access.refusals import Refused
from controlplane.jobs.models import Job
from controlplane.pipeline import actions
from controlplane.pipeline import overview as overview_page
from controlplane.pipeline.clock import clock
from controlplane.pipeline.forms import FirstModelForm
from controlplane.pipeline.models import Pipeline
from controlplane.pipeline.search import find
from controlplane.pipeline.services.state import is_running, read_state
from controlplane.pipeline.steps import STEPS
from controlplane.pipeline.touched import touched_by_closing
from controlplane.ui.pages import page_of


def home(request: HttpRequest) -> HttpResponse:
    """To the first project that the person may see."""
    if not request.user.is_authenticated:
        return redirect(settings.LOGIN_URL)
    first = Project.objects.visible_to(request.user).open().order_by("created_at").first()
    return redirect(first) if first else render(request, "pipeline/no_project.html")


@require_GET
def health(request: HttpRequest) -> HttpResponse:
    """For load balancers: 200 while the database answers."""
    connection.ensure_connection()
    return HttpResponse("ok\n", content_type="text/plain")


@project_view(Role.VIEWER)
def overview(request: MemberRequest, project: Project) -> HttpResponse:
    template = "pipeline/overview.html"
    template += "#now" if request.htmx else ""
    return render(request, template, overview_page.context(project))


@project_view(Role.VIEWER, methods=("GET", "POST"))
def settings_page(request: MemberRequest, project: Project) -> HttpResponse:
    """The project's name and description, which maintainers may change, and what closing it would touch."""
    initial = {"name": project.name, "description": project.description}
    form = ProjectEditForm(request.POST or None, initial=initial)
    may_edit = request.role >= Role.MAINTAINER
    if request.method == "POST" and not may_edit:
        raise PermissionDenied("A maintainer of the project changes its settings.")
    if form.is_valid():
        access_actions.edit_project(project=project, by=request.user, **form.cleaned_data)
        messages.success(request, "Saved.")
        return redirect("pipeline:settings", project.slug)
    context = {"form": form, "may_edit": may_edit, "may_archive": request.role >= Role.ADMIN}
    context |= {"touched": touched_by_closing(project)}
    return render(request, "pipeline/settings.html", context, status=422 if form.errors else 200)


@project_view(Role.ADMIN, methods=("POST",))
def archive(request: MemberRequest, project: Project) -> HttpResponse:
    if request.POST.get("confirm", "").strip() != project.name:
        messages.error(request, f"To archive the project, type its name: {project.name}")
        return redirect("pipeline:settings", project.slug)
    try:
        actions.close_project(project=project, by=request.user)
        messages.success(request, f"{project} is archived. It can be read, and restored in its settings.")
    except Refused as refused:
        messages.error(request, str(refused))
    return redirect("pipeline:settings", project.slug)


@project_view(Role.MAINTAINER, methods=("POST",), even_archived=True)
def restore(request: MemberRequest, project: Project) -> HttpResponse:
    try:
        access_actions.restore_project(project=project, by=request.user)
        messages.success(
            request, f"{project} is open again. Its deployments were unloaded: deploy what people should get."
        )
    except Refused as refused:
        messages.error(request, str(refused))
    return redirect("pipeline:settings", project.slug)


@project_view(Role.VIEWER)
def pipeline_list(request: MemberRequest, project: Project) -> HttpResponse:
    return _pipelines(request, project, FirstModelForm())


def _pipelines(request: MemberRequest, project: Project, form: FirstModelForm) -> HttpResponse:
    page = page_of(Pipeline.objects.for_list(project), request.GET)
    context = {"page": page, "n_steps": len(STEPS), "form": form}
    return render(request, "pipeline/list.html", context, status=422 if form.errors else 200)


@project_view(Role.VIEWER)
def pipeline_detail(request: MemberRequest, project: Project, pk: str) -> HttpResponse:
    pipeline = get_owned(Pipeline.objects.for_clock(project), project, pk)
    template = "pipeline/detail.html"
    template += "#clock" if request.htmx else ""
    return render(request, template, {"pipeline": pipeline, "clock": clock(pipeline)})


@project_view(Role.MEMBER, methods=("POST",))
def start(request: MemberRequest, project: Project) -> HttpResponse:
    form = FirstModelForm(request.POST)
    if not form.is_valid():
        return _pipelines(request, project, form)
    pipeline = actions.start_first_model(project=project, by=request.user, minutes=form.cleaned_data["minutes"])
    return redirect("pipeline:pipeline", project.slug, pipeline.pk)


@project_view(Role.MEMBER, methods=("POST",))
def stop(request: MemberRequest, project: Project, pk: str) -> HttpResponse:
    pipeline = get_owned(Pipeline, project, pk)
    try:
        actions.stop_pipeline(pipeline=pipeline, by=request.user)
    except Refused as refused:
        messages.error(request, str(refused))
    return redirect("pipeline:pipeline", project.slug, pk)


@project_view(Role.MEMBER, methods=("POST",))
def resume(request: MemberRequest, project: Project, pk: str) -> HttpResponse:
    pipeline = get_owned(Pipeline, project, pk)
    try:
        actions.resume_pipeline(pipeline=pipeline, by=request.user)
    except Refused as refused:
        messages.error(request, str(refused))
    return redirect("pipeline:pipeline", project.slug, pk)


@project_view(Role.VIEWER)
def search(request: MemberRequest, project: Project) -> HttpResponse:
    """The palette's results: [{kind, name, url}]."""
    return JsonResponse(find(project, request.GET.get("q", "")), safe=False)


def status(request: HttpRequest) -> HttpResponse:
    """What runs on this machine: the supervisor's processes and whether it is alive itself; of jobs, the person's own."""
    if not request.user.is_authenticated:
        return redirect(settings.LOGIN_URL)
    mine = Project.objects.visible_to(request.user).values("pk")
    context = {
        "state": read_state(settings.STATE_DIR),
        "is_running": is_running(settings.STATE_DIR),
        "active": Job.objects.active().filter(project__in=mine).count(),
    }
    return render(request, "pipeline/status.html", context)
