"""A pipeline: the seven verbs in a row, with a clock from raw data to a live model."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.urls import reverse
from django.utils import timezone

from controlplane.access.models import Project, ProjectOwned
from datasets_app.models import DatasetVersion, ShardSet, Tokenizer
from eval_app.models import Evaluation
from playground_app.models import Deployment
from training_app.models import ModelVersion, TrainingRun

MADE = ("dataset_version", "tokenizer", "shard_set", "run", "evaluation", "deployment")


class PipelineQuerySet(models.QuerySet["Pipeline"]):
    def active(self) -> PipelineQuerySet:
        return self.filter(finished_at=None)

    def for_list(self, project: Project) -> PipelineQuerySet:
        """With `n_done`, how many of the seven steps are done: a list shows no step by itself."""
        ready = [models.Q(**{f"{step}__sha256__isnull": False}) for step in MADE]
        done = sum((_one_if(condition) for condition in ready), _one_if(models.Q(model_version__isnull=False)))
        return self.filter(project=project).annotate(n_done=done).order_by("-created_at", "-id")

    def for_clock(self, project: Project) -> PipelineQuerySet:
        """With every step's row, its name and its job: one query a kind. Joined, it was 19 tables and 200 ms to plan.

        A stage's own account is tens of kilobytes, and no clock shows it.
        """
        return self.filter(project=project).prefetch_related(*_step_rows()).order_by("-created_at", "-id")


def _one_if(condition: models.Q) -> models.Case:
    return models.Case(models.When(condition, then=1), default=0, output_field=models.IntegerField())


def _step_rows() -> list[models.Prefetch[Any, Any, Any]]:
    joined: dict[str, tuple[models.QuerySet[Any], tuple[str, ...]]] = {
        "project": (Project.objects.all(), ()),
        "dataset_version": (DatasetVersion.objects.defer("summary"), ("dataset", "job")),
        "tokenizer": (Tokenizer.objects.defer("summary"), ("job",)),
        "shard_set": (
            ShardSet.objects.defer("summary", "dataset_version__summary"),
            ("dataset_version__dataset", "job"),
        ),
        "run": (TrainingRun.objects.defer("summary"), ("job",)),
        "model_version": (ModelVersion.objects.all(), ("model",)),
        "evaluation": (Evaluation.objects.defer("summary"), ("suite", "model_version__model", "job")),
        "deployment": (Deployment.objects.defer("summary"), ("model_version__model", "job")),
    }
    return [models.Prefetch(step, rows.select_related(*names)) for step, (rows, names) in joined.items()]


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

    @property
    def status(self) -> str:
        return self.outcome or "running"

    @property
    def seconds(self) -> float:
        """Wall time from the start to the end or to now, pauses included: raw data to a live model."""
        return ((self.finished_at or timezone.now()) - self.created_at).total_seconds()

    def get_absolute_url(self) -> str:
        return reverse("pipeline:pipeline", args=[self.project.slug, self.pk])


class OptOut(ProjectOwned):
    """Somebody asked to be left out. `rules`: of datasets_app.opt_outs.Rules. What was made of it: `versions`, `marks`."""

    rules = models.JSONField()
    reason = models.TextField()
    versions = models.ManyToManyField(DatasetVersion, related_name="+")

    def __str__(self) -> str:
        return ", ".join(pattern for patterns in self.rules.values() for pattern in patterns)


class OptOutMark(models.Model):
    """A model version was trained on shards that hold rows of an opt-out; -1: the shards could not be asked."""

    opt_out = models.ForeignKey(OptOut, models.CASCADE, related_name="marks")
    model_version = models.ForeignKey(ModelVersion, models.CASCADE, related_name="opt_out_marks")
    rows = models.IntegerField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["opt_out", "model_version"], name="opt_out_marks_a_model_once")
        ]

    def __str__(self) -> str:
        return f"{self.model_version}: {self.opt_out}"
