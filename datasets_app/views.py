"""Pages of sources, datasets, tokenizers and shards: get the row through its door, validate, act, answer."""

from __future__ import annotations

from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render

from controlplane.access.doors import MemberRequest, get_owned, project_view
from controlplane.access.models import Project, Role
from controlplane.access.refusals import Refused
from datasets_app import actions, documents, figures
from datasets_app.forms import IngestForm, RowSearchForm, ShardsForm, SourceForm, TokenizerForm
from datasets_app.models import DatasetVersion, ShardSet, Source, Tokenizer

SHOWN = 100


@project_view(Role.VIEWER)
def dataset_list(request: MemberRequest, project: Project) -> HttpResponse:
    context = {
        "versions": DatasetVersion.objects.for_list(project).filter(archived_at=None)[:SHOWN],
        "shard_sets": ShardSet.objects.for_list(project).filter(archived_at=None)[:SHOWN],
    }
    return render(request, "datasets/list.html", context)


@project_view(Role.MEMBER, methods=("GET", "POST"))
def dataset_new(request: MemberRequest, project: Project) -> HttpResponse:
    form = IngestForm(request.POST or None, project=project)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            version = actions.ingest_dataset(
                project=project, by=request.user, name=data["name"], sources=data["sources"], recipe=form.recipe()
            )
            return redirect("datasets:version", project.slug, version.pk)
        except Refused as refused:
            form.add_error(None, str(refused))
    return render(request, "datasets/new.html", {"form": form}, status=422 if form.errors else 200)


@project_view(Role.VIEWER)
def version_detail(request: MemberRequest, project: Project, pk: str) -> HttpResponse:
    version = get_owned(DatasetVersion.objects.select_related("dataset", "job", "created_by"), project, pk)
    context = {"version": version, "sources": version.sources.order_by("is_held_out", "name")}
    context |= figures.of_dataset(version.summary) if version.is_ready else {}
    return render(request, "datasets/version.html", context)


@project_view(Role.VIEWER)
def rows(request: MemberRequest, project: Project, pk: str) -> HttpResponse:
    version = get_owned(DatasetVersion.objects.select_related("dataset", "job"), project, pk)
    form = RowSearchForm(request.GET)
    if not version.is_ready or not form.is_valid():
        raise Http404
    try:
        page = documents.find(version.uri or "", form.cleaned_data, request.GET.get("after", ""))
    except documents.Unreadable as error:
        return _unreadable(request, version, error)
    return render(request, "datasets/rows.html", {"version": version, "form": form, "page": page})


@project_view(Role.VIEWER)
def row(request: MemberRequest, project: Project, pk: str, document_id: str) -> HttpResponse:
    version = get_owned(DatasetVersion.objects.select_related("dataset", "job"), project, pk)
    try:
        document = documents.get(version.uri, document_id) if version.uri else None
    except documents.Unreadable as error:
        return _unreadable(request, version, error)
    if document is None:
        raise Http404(f"No document {document_id} in {version}")
    seen = ShardSet.objects.for_list(project).filter(dataset_version=version)
    return render(request, "datasets/row.html", {"version": version, "document": document, "shard_sets": seen})


@project_view(Role.VIEWER)
def dropped(request: MemberRequest, project: Project, pk: str, reason: str) -> HttpResponse:
    version = get_owned(DatasetVersion.objects.select_related("dataset", "job"), project, pk)
    about = version.summary.get("reasons", {}).get(reason)
    if about is None or version.uri is None:
        raise Http404(f"{version} dropped nothing for {reason}")
    try:
        found = documents.dropped(version.uri, reason)
    except documents.Unreadable as error:
        return _unreadable(request, version, error)
    context = {"version": version, "reason": reason, "about": about, "rows": found}
    return render(request, "datasets/dropped.html", context)


def _unreadable(request: MemberRequest, version: DatasetVersion, error: documents.Unreadable) -> HttpResponse:
    context = {"version": version, "form": RowSearchForm(), "problem": error}
    return render(request, "datasets/rows.html", context, status=503)


@project_view(Role.VIEWER)
def source_list(request: MemberRequest, project: Project) -> HttpResponse:
    return _sources(request, project, SourceForm())


@project_view(Role.MEMBER, methods=("POST",))
def source_add(request: MemberRequest, project: Project) -> HttpResponse:
    form = SourceForm(request.POST)
    if form.is_valid():
        try:
            actions.add_source(project=project, by=request.user, **form.cleaned_data)
            return redirect("datasets:source-list", project.slug)
        except Refused as refused:
            form.add_error(None, str(refused))
    return _sources(request, project, form)


def _sources(request: MemberRequest, project: Project, form: SourceForm) -> HttpResponse:
    sources = Source.objects.filter(project=project, archived_at=None).order_by("is_held_out", "name")
    context = {"form": form, "sources": sources}
    return render(request, "datasets/sources.html", context, status=422 if form.errors else 200)


@project_view(Role.VIEWER)
def tokenizer_list(request: MemberRequest, project: Project) -> HttpResponse:
    tokenizers = Tokenizer.objects.for_list(project).filter(archived_at=None)[:SHOWN]
    return render(request, "datasets/tokenizers.html", {"tokenizers": tokenizers})


@project_view(Role.MEMBER, methods=("GET", "POST"))
def tokenizer_new(request: MemberRequest, project: Project) -> HttpResponse:
    initial = {"dataset_version": request.GET.get("dataset_version")}
    form = TokenizerForm(request.POST or None, project=project, initial=initial)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        inputs = {"name": data["name"], "dataset_version": data["dataset_version"]}
        try:
            tokenizer = actions.train_tokenizer(
                project=project, by=request.user, **inputs, parameters=form.parameters()
            )
            return redirect("datasets:tokenizer", project.slug, tokenizer.pk)
        except Refused as refused:
            form.add_error(None, str(refused))
    return render(request, "datasets/tokenizer_new.html", {"form": form}, status=422 if form.errors else 200)


@project_view(Role.VIEWER)
def tokenizer_detail(request: MemberRequest, project: Project, pk: str) -> HttpResponse:
    tokenizer = get_owned(Tokenizer.objects.for_list(project), project, pk)
    context = {"tokenizer": tokenizer}
    context |= figures.of_tokenizer(tokenizer.summary) if tokenizer.is_ready else {}
    return render(request, "datasets/tokenizer.html", context)


@project_view(Role.MEMBER, methods=("GET", "POST"))
def shards_new(request: MemberRequest, project: Project) -> HttpResponse:
    form = ShardsForm(request.POST or None, project=project)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        inputs = {"dataset_version": data["dataset_version"], "tokenizer": data["tokenizer"]}
        try:
            shards = actions.build_shards(project=project, by=request.user, **inputs, parameters=form.parameters())
            return redirect("datasets:shard-set", project.slug, shards.pk)
        except Refused as refused:
            form.add_error(None, str(refused))
    return render(request, "datasets/shards_new.html", {"form": form}, status=422 if form.errors else 200)


@project_view(Role.VIEWER)
def shard_set_detail(request: MemberRequest, project: Project, pk: str) -> HttpResponse:
    shards = get_owned(ShardSet.objects.for_list(project), project, pk)
    return render(request, "datasets/shard_set.html", {"shards": shards, "meta": shards.summary.get("meta", {})})
