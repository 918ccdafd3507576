"""What closing a project touches, counted for the person who is about to. It changes nothing."""

from __future__ import annotations

from dataclasses import dataclass

from controlplane.access.models import ApiToken, Project
from controlplane.jobs.models import Job
from datasets_app.models import DatasetVersion
from playground_app.actions import LOADED
from playground_app.models import Deployment
from training_app.models import ModelVersion, TrainingRun


@dataclass(frozen=True)
class Touched:
    runs: int
    model_versions: int
    dataset_versions: int
    loaded: int  # deployments that are unloaded
    live_tokens: int  # tokens that then only read
    active_jobs: int  # these must end first


def touched_by_closing(project: Project) -> Touched:
    mine = {"project": project}
    return Touched(
        runs=TrainingRun.objects.filter(**mine).count(),
        model_versions=ModelVersion.objects.filter(**mine).count(),
        dataset_versions=DatasetVersion.objects.filter(**mine).count(),
        loaded=Deployment.objects.filter(state__in=LOADED, **mine).count(),
        live_tokens=ApiToken.objects.filter(revoked_at=None, **mine).count(),
        active_jobs=Job.objects.filter(**mine).active().count(),
    )
