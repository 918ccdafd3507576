"""{% lineage_of row %}: the strip under a detail page's title. A tag of the roof, since only the roof sees the whole chain."""

from __future__ import annotations

from typing import Any

from django import template
from django.db.models import Model
from django.template import Context

from controlplane.pipeline.lineage import steps
from controlplane.pipeline.models import OptOutMark
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
