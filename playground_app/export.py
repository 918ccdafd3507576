"""Completions as the rows that export_feedback reads: a JSONL artifact, named by its content."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings

from controlplane.access.models import Project
from playground_app.models import Completion, Feedback
from worker import manifest, specs


def accepted(project: Project) -> Any:
    """The completions that people took, oldest first."""
    kept = Completion.objects.filter(project=project, feedback__kind=Feedback.Kind.ACCEPT)
    return kept.select_related("deployment__model_version__model", "user").order_by("at", "id")


def publish_rows(project: Project) -> specs.ArtifactRef:
    """rows.jsonl in storage: the same completions give the same artifact."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "feedback"
        folder.mkdir()
        with (folder / "rows.jsonl").open("w", encoding="utf-8") as out:
            for row in _rows(project):
                out.write(json.dumps(row, ensure_ascii=False) + "\n")
        artifact = manifest.publish(folder, settings.STORAGE_URL, "feedback")
    return specs.ArtifactRef(artifact.uri, artifact.sha256)


def _rows(project: Project) -> Iterator[dict[str, Any]]:
    for item in accepted(project).iterator(chunk_size=1000):
        yield {
            "id": item.pk,
            "language": item.language or "python",
            "prompt": item.prompt,
            "completion": item.text,
            "suffix": item.suffix,
            "accepted": True,
            "at": item.at.isoformat(),
            "deployment": item.deployment_id,
            "model_version": str(item.deployment.model_version),
            "author": item.user.username if item.user else "",
        }
