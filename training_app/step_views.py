"""Pages that open a step to its rows, and a row to the steps that saw it."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render

from controlplane.access.doors import MemberRequest, get_owned, project_view
from controlplane.access.models import Project, Role
from datasets_app.models import DatasetVersion
from datasets_app.parquet import Unreadable
from training_app import steps
from training_app.models import TrainingRun

LARGEST_STEP = 10**15


@project_view(Role.VIEWER)
def run_step_asked(request: MemberRequest, project: Project, pk: str) -> HttpResponse:
    """The form on a run's page; a number that is none leads back to it."""
    get_owned(TrainingRun.objects.only("id", "project"), project, pk)
    text = request.GET.get("step", "").strip()
    if not text.isdecimal() or not 1 <= int(text[:16]) <= LARGEST_STEP:
        messages.error(request, "Steps are whole numbers from 1.")
        return redirect("training:run", project.slug, pk)
    return redirect("training:run-step", project.slug, pk, int(text[:16]))


@project_view(Role.VIEWER)
def run_step(request: MemberRequest, project: Project, pk: str, step: int) -> HttpResponse:
    """What one step saw."""
    found = TrainingRun.objects.select_related("job", "shard_set__dataset_version__dataset", "shard_set__tokenizer")
    run = get_owned(found, project, pk)
    if not 1 <= step <= LARGEST_STEP:
        raise Http404("Steps count from 1.")
    context = {"run": run, "number": step, "split": steps.SPLIT}
    try:
        context["step"] = steps.of_step(run, step)
    except steps.NotRecorded as error:
        return render(request, "training/step.html", context | {"problem": error}, status=404)
    except Unreadable as error:
        return render(request, "training/step.html", context | {"problem": error}, status=503)
    return render(request, "training/step.html", context)


@project_view(Role.VIEWER)
def document_seen(request: MemberRequest, project: Project, pk: str, document_id: str) -> HttpResponse:
    """Shard sets, samples, runs and steps that saw a document: a part of its page, and a page of its own."""
    version = get_owned(DatasetVersion.objects.select_related("dataset", "project"), project, pk)
    context = {"version": version, "document_id": document_id, "most": steps.MOST_STEPS}
    try:
        context["packed"] = steps.of_document(version, document_id)
    except Unreadable as error:
        context["problem"] = error
    part = "#seen" if request.htmx else ""
    return render(request, f"training/document_seen.html{part}", context, status=503 if "problem" in context else 200)
