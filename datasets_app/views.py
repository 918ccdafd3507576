"""Pages of datasets: the list, one version with its statistics and funnel, and what differs between two."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from controlplane.access.doors import MemberRequest, get_owned, project_view
from controlplane.access.models import Project, Role
from controlplane.ui.pages import page_of
from datasets_app import documents, figures, recipes
from datasets_app import version_diff as differing
from datasets_app.models import DatasetVersion, ShardSet
from datasets_app.parquet import Unreadable

SHARDS_SHOWN = 10  # under the datasets; all of them have a page


@project_view(Role.VIEWER)
def dataset_list(request: MemberRequest, project: Project) -> HttpResponse:
    page = page_of(DatasetVersion.objects.for_list(project).filter(archived_at=None), request.GET)
    newest = page_of(ShardSet.objects.for_list(project).filter(archived_at=None), {}, size=SHARDS_SHOWN)
    return render(request, "datasets/list.html", {"page": page, "shards": newest})


@project_view(Role.VIEWER)
def version_detail(request: MemberRequest, project: Project, pk: str) -> HttpResponse:
    version = get_owned(DatasetVersion.objects.select_related("dataset", "job", "created_by"), project, pk)
    context: dict[str, Any] = {"version": version, "sources": version.sources.order_by("is_held_out", "name")}
    context |= {"recipe": figures.of_recipe(version.recipe), "digest": recipes.digest(version.recipe)}
    context["others"] = (
        version.dataset.versions.ready().exclude(pk=version.pk).order_by("-number").defer("summary")[:20]
    )
    if version.job.is_active:
        context["so_far"] = figures.funnel_so_far(version.job)
    if version.is_ready:
        rows_url = reverse("datasets:rows", args=[project.slug, version.pk])
        context |= figures.of_dataset(version.summary, rows_url)
        context["tail"] = figures.tail_of(version.summary["languages"], request.GET)
        try:
            figures.add_licences(context["tail"], documents.licences(version.uri or ""))
        except Unreadable as error:
            context["problem"] = error
    return render(request, "datasets/version.html", context)


@project_view(Role.VIEWER)
def version_diff(request: MemberRequest, project: Project, pk: str, other_pk: str) -> HttpResponse:
    """`pk` is the later of the two; ?gone=REASON or ?new=REASON lists rows."""
    versions = DatasetVersion.objects.select_related("dataset", "job")
    after, before = (get_owned(versions, project, key) for key in (pk, other_pk))
    if after.uri is None or before.uri is None:
        raise Http404("Only finished versions can be compared")
    context = {"before": before, "after": after, "recipe": recipes.diff(before.recipe, after.recipe)}
    try:
        context |= _difference(before.uri, after.uri, request.GET.get("gone"), request.GET.get("new"))
    except Unreadable as error:
        context["problem"] = error
    return render(request, "datasets/diff.html", context, status=503 if "problem" in context else 200)


def _difference(before: str, after: str, gone: str | None, new: str | None) -> dict[str, Any]:
    found: dict[str, Any] = {"gone": differing.only_in(before, after), "new": differing.only_in(after, before)}
    found |= {f"n_{name}": sum(why.rows for why in found[name]) for name in ("gone", "new")}
    if gone or new:
        pair = (before, after) if gone else (after, before)
        found |= {"rows": differing.rows_only_in(*pair, gone or new or ""), "shown": gone or new, "is_gone": bool(gone)}
    return found
