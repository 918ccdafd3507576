"""{% lineage_of row %}: the strip under a detail page's title. A tag of the roof, since only the roof sees the whole chain."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import template
from django.db.models import Count, Model
from django.template import Context

from controlplane.pipeline.lineage import steps
from controlplane.pipeline.models import OptOutMark
from playground_app.models import Deployment
from training_app.models import ModelVersion

register = template.Library()


@register.inclusion_tag("ui/lineage.html")
def lineage_of(row: Model) -> dict[str, Any]:
    return {"steps": steps(row)}


@register.inclusion_tag("pipeline/_marks.html", takes_context=True)
def opt_outs_of(context: Context, version: ModelVersion) -> dict[str, Any]:
    """What a model version's page says of opt-outs whose rows it was trained on."""
    marks = OptOutMark.objects.filter(model_version=version).select_related("opt_out").order_by("-opt_out__created_at")
    return {"marks": marks, "project": context["project"]}


@register.simple_tag
def opted_out_among(rows: Iterable[ModelVersion | Deployment]) -> dict[str, int]:
    """{model version: number of opt-outs whose rows it was trained on} of a list's rows: one query for all of them."""
    versions = {row.model_version_id if isinstance(row, Deployment) else row.pk for row in rows}
    marks = OptOutMark.objects.filter(model_version__in=versions).values("model_version")
    return dict(marks.annotate(marks=Count("pk")).values_list("model_version", "marks"))


@register.inclusion_tag("pipeline/_opted_out.html", takes_context=True)
def opted_out_tag(context: Context, marks: dict[str, int], version_id: str) -> dict[str, Any]:
    """The mark of one row of a list; `marks` is what opted_out_among says."""
    return {"marks": marks.get(version_id, 0), "version_id": version_id, "project": context["project"]}
