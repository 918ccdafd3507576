"""Pages of jobs and workers. Everything is read from Postgres and the job's directory; Redis may be away."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import BadRequest
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from controlplane.access.doors import MemberRequest, get_owned, project_view, role_in, signed_in
from controlplane.access.models import Project, Role
from controlplane.access.refusals import Refused
from controlplane.jobs import actions
from controlplane.jobs.figures import resource_charts, resource_figure
from controlplane.jobs.history import LogChunk, attempts, read_log
from controlplane.jobs.models import Job, Status
from controlplane.jobs.relay import job_dir
from controlplane.jobs.workers import list_workers, queue_is_reachable
from controlplane.ui.pages import page_of

EVENTS = 100


# ---- lists -----------------------------------------------------------------------------------------------------------


@project_view(Role.VIEWER)
def job_list(request: MemberRequest, project: Project) -> HttpResponse:
    """Newest first. ?status= and ?kind= narrow it."""
    status, kind = request.GET.get("status", ""), request.GET.get("kind", "")
    jobs = Job.objects.for_list(project)
    if status in Status.values:
        jobs = jobs.filter(status=status)
    if kind:
        jobs = jobs.filter(kind=kind)
    page = page_of(jobs, request.GET)
    context = {
        "project": project,
        "page": page,
        "statuses": Status.values,
        "status": status,
        "kind": kind,
        "is_active": any(job.is_active for job in page.rows),
    }
    return render(request, "jobs/list.html#rows" if request.htmx else "jobs/list.html", context)


@signed_in
def workers(request: HttpRequest) -> HttpResponse:
    """Every worker; of what they do, only the jobs of the person's own projects by name."""
    user = request.user
    rows = [
        {"worker": worker, "job": job if job is not None and role_in(user, job.project) is not None else None}
        for worker in list_workers()
        for job in [worker.current_job]
    ]
    context = {"rows": rows, "is_reachable": queue_is_reachable()}
    htmx = request.headers.get("HX-Request") == "true"
    return render(request, "jobs/workers.html#rows" if htmx else "jobs/workers.html", context)


# ---- one job ---------------------------------------------------------------------------------------------------------


@project_view(Role.VIEWER)
def job(request: MemberRequest, project: Project, pk: UUID) -> HttpResponse:
    """The page; htmx asks for ?part=live and, with a byte, ?after=… for what the log has grown by."""
    row = _job(project, pk)
    if "after" in request.GET:
        return render(request, "jobs/job.html#log_more", {"job": row, "log": _log(row, request.GET["after"])})
    context = _live(request, project, row)
    if request.GET.get("part") == "live":
        return render(request, "jobs/job.html#live", {**context, "is_update": True})
    return render(request, "jobs/job.html", {**context, "log": _log(row, None), "charts": resource_charts(row)})


def _live(request: MemberRequest, project: Project, row: Job) -> dict[str, Any]:
    own = list(row.events.filter(seq=None).order_by("id"))
    return {
        "project": project,
        "job": row,
        "attempts": attempts(own),
        "events": row.events.order_by("-id")[:EVENTS],
        "may_act": request.role >= Role.MEMBER,
        "Status": Status,
    }


def _log(row: Job, after: str | None) -> LogChunk:
    if after is not None and not after.isdigit():
        raise BadRequest("The log's cursor is a byte offset.")
    return read_log(job_dir(row) / "output.log", None if after is None else int(after))


@project_view(Role.VIEWER)
def log(request: MemberRequest, project: Project, pk: UUID) -> FileResponse:
    """All of the output, as plain text."""
    path = job_dir(_job(project, pk)) / "output.log"
    if not path.exists():
        raise Http404("This job has said nothing yet.")
    return FileResponse(path.open("rb"), content_type="text/plain; charset=utf-8", filename=f"{pk}.log")


@project_view(Role.VIEWER)
def resources(request: MemberRequest, project: Project, pk: UUID) -> JsonResponse:
    """The figure named by ?of=, for a chart that keeps itself current."""
    figure = resource_figure(_job(project, pk), request.GET.get("of", ""))
    if figure is None:
        raise Http404("No such chart.")
    return JsonResponse(figure)


# ---- what people ask of it -------------------------------------------------------------------------------------------


@project_view(Role.MEMBER, methods=("POST",))
def stop(request: MemberRequest, project: Project, pk: UUID) -> HttpResponse:
    row = _job(project, pk)
    try:
        actions.stop_job(job=row, by=request.user)
        messages.success(request, "The job is asked to save and stop." if row.is_active else "The job is cancelled.")
    except Refused as refusal:
        messages.error(request, str(refusal))
    return _back(request, project, row)


@project_view(Role.MEMBER, methods=("POST",))
def retry(request: MemberRequest, project: Project, pk: UUID) -> HttpResponse:
    row = _job(project, pk)
    try:
        actions.retry_job(job=row, by=request.user)
        messages.success(request, "The job is queued again; it continues from what it had kept.")
    except Refused as refusal:
        messages.error(request, str(refusal))
    return _back(request, project, row)


@project_view(Role.MEMBER, methods=("POST",))
def priority(request: MemberRequest, project: Project, pk: UUID) -> HttpResponse:
    row, raw = _job(project, pk), request.POST.get("priority", "")
    try:
        if not raw.removeprefix("-").isdecimal():
            raise Refused("A priority is a whole number from -100 to 100.")
        actions.set_priority(job=row, by=request.user, priority=int(raw))
    except Refused as refusal:
        messages.error(request, str(refusal))
    return _back(request, project, row)


def _job(project: Project, pk: UUID) -> Job:
    return get_owned(Job.objects.select_related("created_by"), project, str(pk))


def _back(request: MemberRequest, project: Project, row: Job) -> HttpResponse:
    """To the page that asked, if it is one of ours; else to the job's."""
    target = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure()):
        target = reverse("jobs:job", args=[project.slug, row.pk])
    return HttpResponseRedirect(target)
