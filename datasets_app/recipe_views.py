"""The recipe editor: a form of every step, started from any version's recipe, checked as often as one likes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpResponse
from django.shortcuts import redirect, render

from controlplane.access.doors import MemberRequest, project_view
from controlplane.access.models import Project, Role
from controlplane.access.refusals import Refused
from controlplane.ui import choices
from datasets_app import actions, recipes
from datasets_app.models import DatasetVersion
from datasets_app.recipe_form import RecipeForm, StartForm, initial_of


@project_view(Role.MEMBER, methods=("GET", "POST"))
def dataset_new(request: MemberRequest, project: Project) -> HttpResponse:
    """GET ?start=VERSION&step-parameter=value opens the editor; POST starts the version, with `check` it only looks."""
    start = StartForm(request.GET or None, project=project)
    if rows := choices.asked(request, start):
        return rows
    tokens = DatasetVersion.objects.tokens_by_source(project)
    initial = _initial(start, request.GET.dict())
    form = RecipeForm(request.POST or None, project=project, tokens=tokens, initial=initial)
    if request.method == "POST" and form.is_valid() and "check" not in request.POST:
        try:
            version = actions.ingest_dataset(project=project, by=request.user, recipe=form.recipe(), **_named(form))
            return redirect("datasets:version", project.slug, version.pk)
        except Refused as refused:
            form.add_error(None, str(refused))
    context = {"form": form, "start": start, "tokens": tokens, **_checked(form, project, initial)}
    template = "datasets/recipe.html#check" if request.htmx else "datasets/recipe.html"
    return render(request, template, context, status=422 if form.errors else 200)


def _named(form: RecipeForm) -> dict[str, Any]:
    return {name: form.cleaned_data[name] for name in ("name", "sources")}


def _initial(start: StartForm, asked: Mapping[str, str]) -> dict[str, Any]:
    """The recipe of the version to start from, else the usual one; then the parameters that the link names."""
    initial: dict[str, Any] = {}
    version = start.cleaned_data.get("start") if start.is_valid() else None
    if version is not None:
        sources = list(version.sources.all())
        weights = {f"weight-{s.pk}": version.recipe.get("mixture", {}).get(s.name) for s in sources}
        initial = {"name": version.dataset.name, "sources": [s.pk for s in sources], **weights}
        initial |= initial_of(version.recipe)
    return initial | {name: value for name, value in asked.items() if "-" in name}


def _checked(form: RecipeForm, project: Project, initial: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe's digest, the newest version that was made by it, and what its mixture comes to."""
    if not form.is_bound or not form.is_valid():
        return {}
    digest = recipes.digest(form.recipe())
    versions = DatasetVersion.objects.for_list(project)[:200]
    same = next((version for version in versions if recipes.digest(version.recipe) == digest), None)
    return {"digest": digest, "same": same, "mixture": form.mixture(), "unknown": form.unknown()}
