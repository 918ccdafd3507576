"""A pipeline: the seven verbs in a row, with a clock from raw data to a live model."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.urls import reverse

from controlplane.access.models import Project, ProjectOwned
from datasets_app.models import DatasetVersion, ShardSet, Tokenizer
from eval_app.models import Evaluation
from playground_app.models import Deployment
from training_app.models import ModelVersion, TrainingRun

MADE = ("dataset_version", "tokenizer", "shard_set", "run", "evaluation", "deployment")


# Pages of pipelines show names and clocks; a stage's own account, kilobytes of JSON, is for its row's page.
WITH_A_SUMMARY = ("dataset_version", "tokenizer", "shard_set", "run", "evaluation", "deployment")


class PipelineQuerySet(models.QuerySet["Pipeline"]):
    def active(self) -> PipelineQuerySet:
        return self.filter(finished_at=None)

    def for_list(self, project: Project) -> PipelineQuerySet:
        return (
            self.filter(project=project)
            .select_related(
                "project",
                "dataset_version__dataset",
                "dataset_version__job",
                "tokenizer__job",
                "shard_set__job",
                "shard_set__dataset_version__dataset",
                "run__job",
                "model_version__model",
                "evaluation__job",
                "evaluation__suite",
                "evaluation__model_version__model",
                "deployment__job",
                "deployment__model_version__model",
            )
            # The stages' own accounts are tens of kilobytes each, and no clock shows them.
            .defer(*(f"{step}__summary" for step in MADE), "shard_set__dataset_version__summary")
            .order_by("-created_at", "-id")
        )


class Pipeline(ProjectOwned):
    """Each step's row appears when its turn comes; a step is done when that row is ready."""

    name = models.CharField(max_length=80)
    plan = models.JSONField()  # what each verb is asked: see controlplane.pipeline.plans
    dataset_version = models.ForeignKey(DatasetVersion, models.PROTECT, null=True, related_name="+")
    tokenizer = models.ForeignKey(Tokenizer, models.PROTECT, null=True, related_name="+")
    shard_set = models.ForeignKey(ShardSet, models.PROTECT, null=True, related_name="+")
    run = models.ForeignKey(TrainingRun, models.PROTECT, null=True, related_name="+")
    model_version = models.ForeignKey(ModelVersion, models.PROTECT, null=True, related_name="+")
    evaluation = models.ForeignKey(Evaluation, models.PROTECT, null=True, related_name="+")
    deployment = models.ForeignKey(Deployment, models.PROTECT, null=True, related_name="+")
    finished_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=10, blank=True)  # succeeded, failed or cancelled, once finished
    detail = models.TextField(blank=True)

    objects = PipelineQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(finished_at__isnull=True, outcome="")
                | models.Q(finished_at__isnull=False, outcome__in=["succeeded", "failed", "cancelled"]),
                name="pipeline_is_finished_or_active",
            )
        ]
        indexes: ClassVar = [models.Index(fields=["project", "-created_at", "-id"], name="pipeline_list")]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("pipeline:pipeline", args=[self.project.slug, self.pk])
