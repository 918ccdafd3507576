"""{% release_of version %}: scores and deployments on a model version's page, which lies below this room."""

from __future__ import annotations

from typing import Any

from django import template

from playground_app.models import Deployment
from training_app.models import ModelVersion

register = template.Library()


@register.inclusion_tag("playground/_release.html", takes_context=True)
def release_of(context: template.Context, version: ModelVersion) -> dict[str, Any]:
    evaluations = (
        version.evaluations.in_short().filter(archived_at=None).select_related("suite", "job").order_by("-created_at")
    )
    deployments = Deployment.objects.for_list(version.project).filter(model_version=version)
    return {"project": context["project"], "evaluations": evaluations[:20], "deployments": deployments[:20]}
