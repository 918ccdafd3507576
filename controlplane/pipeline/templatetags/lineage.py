"""{% lineage_of row %}: the strip under a detail page's title. A tag of the roof, since only the roof sees the whole chain."""

from __future__ import annotations

from typing import Any

from django import template
from django.db.models import Model

from controlplane.pipeline.lineage import steps

register = template.Library()


@register.inclusion_tag("ui/lineage.html")
def lineage_of(row: Model) -> dict[str, Any]:
    return {"steps": steps(row)}
