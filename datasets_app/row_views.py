"""Rows of a version: search, one row and its way, what a reason dropped, near duplicates, two rows side by side."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import render

from controlplane.access.doors import MemberRequest, get_owned, project_view
from controlplane.access.models import Project, Role
from datasets_app import clusters, documents, journeys
from datasets_app.forms import RowSearchForm
from datasets_app.models import DatasetVersion
from datasets_app.thresholds import BY_REASON


def of_files(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """A page that reads a ready version's files: 404 before it is ready, 503 in its words where they are unreadable."""

    @wraps(view)
    def page(request: MemberRequest, project: Project, pk: str, *args: Any, **kwargs: Any) -> HttpResponse:
        version = get_owned(DatasetVersion.objects.select_related("dataset", "job"), project, pk)
        if version.uri is None:
            raise Http404(f"{version} is not ready")
        try:
            return view(request, version, *args, **kwargs)
        except documents.Unreadable as error:
            return render(request, "datasets/unreadable.html", {"version": version, "problem": error}, status=503)

    return page


@project_view(Role.VIEWER)
@of_files
def rows(request: MemberRequest, version: DatasetVersion) -> HttpResponse:
    knows = documents.knows_origins(version.uri or "")
    form = RowSearchForm(request.GET, reasons=version.summary.get("reasons", {}), knows_origins=knows)
    if not form.is_valid():
        return render(request, "datasets/rows.html", {"version": version, "form": form}, status=422)
    find = documents.find_dropped if form.is_for_dropped else documents.find
    page = find(version.uri or "", form.cleaned_data, request.GET.get("after", ""))
    return render(request, "datasets/rows.html", {"version": version, "form": form, "page": page})


@project_view(Role.VIEWER)
@of_files
def row(request: MemberRequest, version: DatasetVersion, document_id: str) -> HttpResponse:
    uri = version.uri or ""
    document = documents.get(uri, document_id)
    if document is None:
        raise Http404(f"No row {document_id} in {version}")
    context = {
        "version": version,
        "document": document,
        "journey": journeys.journey(document, version.recipe),
        "redactions": list(journeys.redactions(document)),
        "gave_way": documents.repeats(uri, document_id) if document["is_kept"] else [],
        "stayed": None if document["is_kept"] else _stayed(uri, document),
    }
    return render(request, "datasets/row.html", context)


def _stayed(uri: str, document: dict[str, Any]) -> dict[str, Any] | None:
    """The row that a duplicate gave way to."""
    is_repeat = document["reason"] in {"duplicate", "near-duplicate", "resembles-held-out"}
    return documents.get(uri, document["detail"]) if is_repeat and document["detail"] else None


@project_view(Role.VIEWER)
@of_files
def dropped(request: MemberRequest, version: DatasetVersion, reason: str) -> HttpResponse:
    about = version.summary.get("reasons", {}).get(reason)
    if about is None:
        raise Http404(f"{version} dropped nothing for {reason}")
    uri, threshold = version.uri or "", BY_REASON.get(reason)
    found = documents.dropped(uri, reason)
    if threshold is not None:
        kept = documents.nearest(uri, threshold.measure.column, threshold.is_maximum)
    else:
        kept = documents.of_languages(uri, sorted({row["language"] for row in found if row["language"]}))
    context = {"version": version, "reason": reason, "about": about, "rows": found, "kept": kept}
    context |= {"threshold": threshold, "bound": journeys.bound_of(reason, None, version.recipe)}
    return render(request, "datasets/dropped.html", context)


@project_view(Role.VIEWER)
@of_files
def cluster_list(request: MemberRequest, version: DatasetVersion) -> HttpResponse:
    asked = request.GET.get("page", "")
    number, is_across = int(asked) if asked.isdecimal() and len(asked) < 7 else 0, "across" in request.GET
    found, has_more = clusters.page(version.uri or "", number, is_across)
    context = {"version": version, "clusters": found, "number": number, "is_across": is_across, "has_more": has_more}
    return render(request, "datasets/clusters.html", context)


@project_view(Role.VIEWER)
@of_files
def cluster(request: MemberRequest, version: DatasetVersion, document_id: str) -> HttpResponse:
    members = clusters.of_row(version.uri or "", document_id)
    if not members:
        raise Http404(f"{document_id} resembles no other row of {version}")
    return render(request, "datasets/cluster.html", {"version": version, "members": members, "here": document_id})


@project_view(Role.VIEWER)
@of_files
def pair(request: MemberRequest, version: DatasetVersion, document_id: str, other_id: str) -> HttpResponse:
    """Two rows side by side. Of a dropped one only an excerpt is kept, so as much of the other is compared."""
    found = [documents.get(version.uri or "", name) for name in (document_id, other_id)]
    if None in found:
        raise Http404(f"{version} has not both of these rows")
    texts = [(row or {}).get("content") or (row or {}).get("excerpt") or "" for row in found]
    excerpts = [len(text) for text, row in zip(texts, found, strict=True) if row and not row["is_kept"]]
    if excerpts:
        # As many whole lines: the last one, cut in the middle, would differ for nothing.
        texts = [text[: min(excerpts)].rpartition("\n")[0] or text for text in texts]
    lines = list(clusters.side_by_side(*texts)) if all(texts) else []
    context = {"version": version, "pair": found, "lines": lines, "is_excerpt": bool(excerpts)}
    return render(request, "datasets/pair.html", context)
