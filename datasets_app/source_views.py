"""Pages of sources: choose a kind, look at the first rows, add it; later, what it held and which versions read it."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import redirect, render

from controlplane.access.doors import MemberRequest, get_owned, project_view
from controlplane.access.models import Project, Role
from controlplane.access.refusals import Refused
from controlplane.ui.pages import page_of
from datasets_app import actions
from datasets_app.models import DatasetVersion, Source, SourcePreview
from datasets_app.source_forms import SourceForm
from worker import sources


@project_view(Role.VIEWER)
def source_list(request: MemberRequest, project: Project) -> HttpResponse:
    page = page_of(Source.objects.for_list(project), request.GET)
    return render(request, "datasets/sources.html", {"page": page})


@project_view(Role.MEMBER, methods=("GET", "POST"))
def source_add(request: MemberRequest, project: Project) -> HttpResponse:
    kind = sources.BY_NAME.get(request.POST.get("kind") or request.GET.get("kind", ""))
    if request.method == "GET":
        form = SourceForm(kind=kind) if kind else None
        return render(request, "datasets/source_add.html", {"kinds": sources.KINDS, "kind": kind, "form": form})
    form = SourceForm(request.POST, kind=kind or sources.KINDS[0])
    if form.is_valid():
        try:
            return _act(request, project, form)
        except Refused as refused:
            form.add_error(None, str(refused))
    context = {"kinds": sources.KINDS, "kind": form.of_kind, "form": form}
    return render(request, "datasets/source_add.html", context, status=422)


def _act(request: MemberRequest, project: Project, form: SourceForm) -> HttpResponse:
    """Look or add, by the button that was pressed."""
    if "preview" in request.POST:
        preview = actions.preview_source(project=project, by=request.user, **form.asked())
        return redirect("datasets:source-preview", project.slug, preview.pk)
    source = actions.add_source(project=project, by=request.user, **form.asked())
    return redirect("datasets:source", project.slug, source.pk)


@project_view(Role.MEMBER)
def source_preview(request: MemberRequest, project: Project, pk: str) -> HttpResponse:
    preview = get_owned(SourcePreview.objects.select_related("job"), project, pk)
    table = (preview.result or {}).get("table") or {}
    form = SourceForm.of(preview, table.get("columns", ()), table.get("mapping"))
    is_seen = preview.result is not None and not table.get("problem")
    context = {"preview": preview, "kind": form.of_kind, "form": form, "table": table, "is_seen": is_seen}
    return render(request, "datasets/source_preview.html", context)


@project_view(Role.VIEWER)
def source_detail(request: MemberRequest, project: Project, pk: str) -> HttpResponse:
    source = get_owned(Source.objects.select_related("created_by"), project, pk)
    mapped = source.options.get("columns", {})
    context = {
        "source": source,
        "kind": sources.BY_NAME[source.kind],
        "columns": [(role, mapped[role]) for role in sources.ROLES if role in mapped],
        "page": page_of(DatasetVersion.objects.that_read(source), request.GET),
    }
    return render(request, "datasets/source.html", context)
