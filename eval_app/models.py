"""Suite > Evaluation > SampleResult."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from controlplane.access.models import Project, ProjectOwned
from datasets_app.models import DatasetVersion, MadeByJob
from training_app.models import ModelVersion


class Suite(ProjectOwned):
    """Problems in HumanEval's format: a built-in name ("human-eval", "starter-python") or a file that the workers can read."""

    name = models.CharField(max_length=80)
    location = models.CharField(max_length=500)
    description = models.TextField(blank=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["project", "name"], name="suite_name_once")]

    def __str__(self) -> str:
        return self.name


class EvaluationQuerySet(models.QuerySet["Evaluation"]):
    def for_list(self, project: Project) -> EvaluationQuerySet:
        return (
            self.filter(project=project)
            .select_related("suite", "model_version__model", "job", "created_by")
            .order_by("-created_at", "-id")
        )


class Evaluation(MadeByJob):
    """One suite run on one model version. The score carries suite version, runtimes, isolation, decode settings and seed."""

    suite = models.ForeignKey(Suite, models.PROTECT, related_name="evaluations")
    model_version = models.ForeignKey(ModelVersion, models.PROTECT, related_name="evaluations")
    dataset_version = models.ForeignKey(DatasetVersion, models.PROTECT, null=True, related_name="+")
    parameters = models.JSONField()  # worker.specs.EvaluateModel without its inputs

    objects = EvaluationQuerySet.as_manager()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["project", "-created_at", "-id"], name="evaluation_list")]

    def __str__(self) -> str:
        return f"{self.suite} of {self.model_version}"

    @property
    def pass_at_1(self) -> float:
        """Share of problems solved at the first try, 0 to 1; only a ready evaluation has it."""
        return float(self.summary["pass_at_k"]["1"]["value"])

    @property
    def held_out_bits_per_byte(self) -> float | None:
        """Over all languages of the held-out split; None when no dataset was given."""
        return self.bits_by_split().get("held_out")

    def bits_by_split(self) -> dict[str, float]:
        """Bits per byte over all languages, by held-out split; empty when no dataset was given."""
        splits = self.summary.get("held_out") or {}
        return {split: row["all"]["bits_per_byte"] for split, row in splits.items() if "all" in row}

    def is_comparable_with(self, other: Evaluation) -> bool:
        return not self.differences(other)

    def differences(self, other: Evaluation) -> list[str]:
        """What would make comparing the two scores wrong: the names of what differs."""
        ours, theirs = self.summary, other.summary
        named = {
            "suite": (self.suite_id, other.suite_id),
            "suite version": (ours["suite"]["version"], theirs["suite"]["version"]),
            "isolation": (ours["isolation"]["level"], theirs["isolation"]["level"]),
            "decode settings": (ours["decode"], theirs["decode"]),
            "problems": (ours["n_problems"], theirs["n_problems"]),
        }
        return [name for name, (one, two) in named.items() if one != two]


class SampleResult(models.Model):
    """One generated program and its verdict."""

    class Outcome(models.TextChoices):
        PASSED = "passed", "passed"
        FAILED = "failed", "failed"
        ERROR = "error", "error"
        TIMEOUT = "timeout", "timeout"
        MEMORY = "memory", "memory"
        OUTPUT = "output", "output"
        DISK = "disk", "disk"
        SANDBOX_FAILED = "sandbox_failed", "sandbox failed"

    evaluation = models.ForeignKey(Evaluation, models.CASCADE, related_name="samples")
    task_id = models.CharField(max_length=120)
    sample = models.PositiveIntegerField()
    outcome = models.CharField(max_length=16, choices=Outcome.choices)
    prompt = models.TextField()
    completion = models.TextField()
    output = models.TextField(blank=True)  # the tail of stdout and stderr
    seconds = models.FloatField()
    is_truncated = models.BooleanField(default=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["evaluation", "task_id", "sample"], name="sample_once"),
            models.CheckConstraint(
                condition=models.Q(
                    outcome__in=["passed", "failed", "error", "timeout", "memory", "output", "disk", "sandbox_failed"]
                ),
                name="sample_outcome_is_known",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.task_id} #{self.sample}: {self.outcome}"
