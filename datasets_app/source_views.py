"""Pages of sources: choose a kind, look at the first rows, add it; later, what it held and which versions read it."""

from __future__ import annotations

from django.contrib import messages
from django.db.models import Count
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
    is_archive = request.GET.get("shown") == "archived"
    page = page_of(Source.objects.for_list(project, archived=is_archive), request.GET)
    n_archived = Source.objects.for_list(project, archived=True).count()
    return render(request, "datasets/sources.html", {"page": page, "is_archive": is_archive, "n_archived": n_archived})


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


@project_view(Role.MEMBER, methods=("GET", "POST"))
def source_edit(request: MemberRequest, project: Project, pk: str) -> HttpResponse:
    """The same form as for adding, but for the name. ?kind= makes it one of another kind."""
    source = get_owned(Source, project, pk)
    asked = sources.BY_NAME.get(request.POST.get("kind") or request.GET.get("kind") or source.kind)
    kind = asked or sources.BY_NAME[source.kind]
    form = (
        SourceForm(request.POST, kind=kind, of=source) if request.method == "POST" else SourceForm.to_edit(source, kind)
    )
    if request.method == "POST" and form.is_valid():
        try:
            actions.edit_source(source=source, by=request.user, **form.asked())
            messages.success(request, f"{source} is changed. Versions that were made of it stay as they are.")
            return redirect("datasets:source", project.slug, pk)
        except Refused as refused:
            form.add_error(None, str(refused))
    context = {"source": source, "form": form, "kind": kind, "kinds": sources.KINDS, **_use_of(source)}
    return render(request, "datasets/source_edit.html", context, status=422 if form.errors else 200)


@project_view(Role.MEMBER, methods=("POST",))
def source_archive(request: MemberRequest, project: Project, pk: str) -> HttpResponse:
    source = get_owned(Source, project, pk)
    try:
        if request.POST.get("confirm") != source.name:
            raise Refused("Type the source's name to archive it.")
        actions.archive_source(source=source, by=request.user)
    except Refused as refused:
        messages.error(request, str(refused))
        return redirect("datasets:source", project.slug, pk)
    messages.success(request, f"{source} is archived: no new version is made of it.")
    return redirect("datasets:source-list", project.slug)


@project_view(Role.MEMBER, methods=("POST",))
def source_restore(request: MemberRequest, project: Project, pk: str) -> HttpResponse:
    actions.restore_source(source=get_owned(Source, project, pk), by=request.user)
    return redirect("datasets:source", project.slug, pk)


def _use_of(source: Source) -> dict[str, int]:
    """How many versions were made of it, and of how many datasets."""
    made = source.dataset_versions.filter(archived_at=None)
    return made.aggregate(n_versions=Count("pk"), n_datasets=Count("dataset", distinct=True))


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
        "may_change": request.role >= Role.MEMBER,
        **_use_of(source),
    }
    return render(request, "datasets/source.html", context)
