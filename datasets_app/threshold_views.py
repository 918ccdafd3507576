"""What would another threshold keep? Sliders over a version's measures, answered before anything is run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.http import Http404, HttpResponse
from django.shortcuts import render

from controlplane.access.doors import MemberRequest, get_owned, project_view
from controlplane.access.models import Project, Role
from datasets_app import threshold_figures, thresholds
from datasets_app.models import DatasetVersion
from datasets_app.parquet import Unreadable


class ThresholdForm(forms.Form):
    """A number a threshold, named as in the recipe's form; an empty one is off."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for threshold in thresholds.THRESHOLDS:
            about = threshold.about
            self.fields[threshold.name] = forms.FloatField(
                required=False, min_value=about.minimum, max_value=about.maximum, label=about.help.rstrip(".")
            )

    def asked(self, usual: Mapping[str, float | None]) -> dict[str, float | None]:
        """By name; what was not sent, or is no number, is as usual."""
        return {
            name: self.cleaned_data[name] if name in self.data and name in self.cleaned_data else value
            for name, value in usual.items()
        }


@project_view(Role.VIEWER)
def threshold_page(request: MemberRequest, project: Project, pk: str) -> HttpResponse:
    version = get_owned(DatasetVersion.objects.select_related("dataset", "job"), project, pk)
    if not version.is_ready or version.uri is None:
        raise Http404(f"{version} is not ready")
    usual = thresholds.of_recipe(version.recipe)
    form = ThresholdForm(request.GET, initial=usual)
    form.is_valid()
    asked = form.asked(usual)
    context: dict[str, Any] = {"version": version, "form": form}
    try:
        answer = thresholds.answer(version.uri, version.recipe, asked)
        context |= {"answer": answer, **threshold_figures.of(answer, form, usual, asked)}
    except Unreadable as error:
        context["problem"] = error
    template = "datasets/thresholds.html#outcome" if request.htmx else "datasets/thresholds.html"
    return render(request, template, context, status=503 if "problem" in context else 422 if form.errors else 200)
