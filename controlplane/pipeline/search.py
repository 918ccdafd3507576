"""The palette's search: names that contain what was typed, newest first, a few of each kind."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.urls import reverse

from controlplane.access.models import Project
from controlplane.pipeline.lineage import URLS
from controlplane.pipeline.models import Pipeline
from datasets_app.models import DatasetVersion, Tokenizer
from eval_app.models import Baseline, Evaluation
from playground_app.models import Deployment
from training_app.models import ModelVersion, TrainingRun

EACH = 5
PAGES = URLS | {Pipeline: ("pipeline", "pipeline:pipeline"), Baseline: ("baseline", "evaluation:baseline")}


def find(project: Project, text: str) -> list[dict[str, str]]:
    """At most EACH of each kind, as {kind, name, url}; an empty text finds nothing."""
    text = text.replace("\0", "").strip()  # Postgres refuses NUL in any text
    if not text:
        return []
    results = []
    for rows in _queries(project, text):
        for row in rows.order_by("-created_at")[:EACH]:
            kind, name = PAGES[type(row)]
            results.append({"kind": kind, "name": str(row), "url": reverse(name, args=[project.slug, row.pk])})
    return results


def _queries(project: Project, text: str) -> list[QuerySet[Any]]:
    mine = {"project": project, "archived_at": None}
    return [
        TrainingRun.objects.filter(name__icontains=text, **mine),
        ModelVersion.objects.filter(model__name__icontains=text, **mine).select_related("model"),
        DatasetVersion.objects.filter(dataset__name__icontains=text, **mine).select_related("dataset"),
        Tokenizer.objects.filter(name__icontains=text, **mine),
        Evaluation.objects.named(text).filter(**mine).with_subject().defer("summary"),
        Baseline.objects.filter(name__icontains=text, **mine),
        Deployment.objects.filter(served_name__icontains=text, **mine).select_related("model_version__model"),
        Pipeline.objects.filter(name__icontains=text, **mine),
    ]
