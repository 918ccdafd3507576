"""Deployment > Completion > Feedback."""

from __future__ import annotations

import secrets
from typing import ClassVar

from django.db import models
from django.utils import timezone

from controlplane.access.models import Project, User
from datasets_app.models import MadeByJob
from training_app.models import ModelVersion


class DeploymentQuerySet(models.QuerySet["Deployment"]):
    def ready(self) -> DeploymentQuerySet:
        return self.filter(state=Deployment.State.READY)

    def for_list(self, project: Project) -> DeploymentQuerySet:
        return (
            self.filter(project=project)
            .select_related("model_version__model", "model_version__tokenizer", "job", "created_by")
            .defer("summary", "model_version__tokenizer__summary")
            .order_by("-created_at", "-id")
        )


class Deployment(MadeByJob):
    """One model version, loaded on Triton under `served_name`. Audiences reach it through the aliases of its model."""

    class State(models.TextChoices):
        STARTING = "starting", "starting"
        READY = "ready", "ready"
        DRAINING = "draining", "draining"
        STOPPED = "stopped", "stopped"
        LOST = "lost", "lost"  # the server no longer answers for it

    model_version = models.ForeignKey(ModelVersion, models.PROTECT, related_name="deployments")
    served_name = models.CharField(max_length=80)
    engine = models.CharField(max_length=20)
    parameters = models.JSONField(default=dict)
    state = models.CharField(max_length=10, choices=State.choices, default=State.STARTING)

    objects = DeploymentQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(state__in=["starting", "ready", "draining", "stopped", "lost"]),
                name="deployment_state_is_known",
            ),
            models.UniqueConstraint(
                fields=["served_name"], condition=~models.Q(state="stopped"), name="served_name_once"
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["project", "-created_at", "-id"], name="deployment_list")]

    def __str__(self) -> str:
        return f"{self.model_version} on {self.engine}"


def new_completion_id() -> str:
    return f"cmpl-{secrets.token_hex(12)}"


class Completion(models.Model):
    """One request answered. Feedback carries only the id, so everything that explains it is kept here."""

    id = models.CharField(primary_key=True, max_length=40, default=new_completion_id, editable=False)
    project = models.ForeignKey(Project, models.PROTECT, related_name="+")
    deployment = models.ForeignKey(Deployment, models.PROTECT, related_name="completions")
    user = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    at = models.DateTimeField(default=timezone.now)
    audience = models.CharField(max_length=12)  # the alias it was reached by
    origin = models.CharField(max_length=12)  # playground or api
    language = models.CharField(max_length=30, blank=True)
    prompt = models.TextField()
    suffix = models.TextField(blank=True)
    text = models.TextField(blank=True)
    prompt_sha256 = models.CharField(max_length=64)
    settings = models.JSONField(default=dict)  # worker.specs.DecodeSettings as used
    finish_reason = models.CharField(max_length=20, blank=True)  # running, then stop, length, cancelled or error
    n_prompt_tokens = models.PositiveIntegerField(null=True)
    n_tokens = models.PositiveIntegerField(null=True)
    first_token_ms = models.FloatField(null=True)
    total_ms = models.FloatField(null=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["deployment", "-at"], name="completion_by_deployment"),
            models.Index(fields=["project", "-at"], name="completion_by_project"),
        ]

    def __str__(self) -> str:
        return self.id


class Feedback(models.Model):
    """What became of a completion: seen, accepted or dismissed. At most one of each kind a completion."""

    class Kind(models.TextChoices):
        VIEW = "view", "seen"
        ACCEPT = "accept", "accepted"
        DISMISS = "dismiss", "dismissed"

    completion = models.ForeignKey(Completion, models.CASCADE, related_name="feedback")
    kind = models.CharField(max_length=8, choices=Kind.choices)
    at = models.DateTimeField(default=timezone.now)
    elapsed_ms = models.PositiveIntegerField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["completion", "kind"], name="feedback_once_a_kind"),
            models.CheckConstraint(
                condition=models.Q(kind__in=["view", "accept", "dismiss"]), name="feedback_kind_is_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.completion_id}"
