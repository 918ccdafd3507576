"""The roof's pages: overview, pipelines with their clocks, the yard's own health, and the palette's search."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET

from controlplane.access.doors import MemberRequest, get_owned, project_view
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


def home(request: HttpRequest) -> HttpResponse:
    """To the first project that the person may see."""
    if not request.user.is_authenticated:
        return redirect(settings.LOGIN_URL)
    projects = Project.objects.filter(archived_at=None).order_by("created_at")
    visible = projects if request.user.is_superuser else projects.filter(memberships__user=request.user)
    first = visible.first()
    return redirect("pipeline:overview", first.slug) if first else render(request, "pipeline/no_project.html")


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


@project_view(Role.VIEWER)
def pipeline_list(request: MemberRequest, project: Project) -> HttpResponse:
    rows = [clock(row) for row in Pipeline.objects.for_list(project)[:100]]
    return render(request, "pipeline/list.html", {"clocks": rows, "form": FirstModelForm()})


@project_view(Role.VIEWER)
def pipeline_detail(request: MemberRequest, project: Project, pk: str) -> HttpResponse:
    pipeline = get_owned(Pipeline.objects.for_list(project), project, pk)
    template = "pipeline/detail.html"
    template += "#clock" if request.htmx else ""
    return render(request, template, {"pipeline": pipeline, "clock": clock(pipeline)})


@project_view(Role.MEMBER, methods=("POST",))
def start(request: MemberRequest, project: Project) -> HttpResponse:
    form = FirstModelForm(request.POST)
    if not form.is_valid():
        rows = [clock(row) for row in Pipeline.objects.for_list(project)[:100]]
        return render(request, "pipeline/list.html", {"clocks": rows, "form": form}, status=422)
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
    """What runs on this machine: the supervisor's processes, and whether it is alive itself."""
    if not request.user.is_authenticated:
        return redirect(settings.LOGIN_URL)
    state = read_state(settings.STATE_DIR)
    context = {"state": state, "is_running": is_running(settings.STATE_DIR), "active": Job.objects.active().count()}
    return render(request, "pipeline/status.html", context)
