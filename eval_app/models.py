"""Suite (> SuiteProblem, where the project writes its own) > Evaluation > SampleResult."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.utils import timezone

from controlplane.access.models import Project, ProjectOwned, User
from datasets_app.models import DatasetVersion, MadeByJob
from eval_app import conditions
from training_app.models import ModelVersion


class SuiteQuerySet(models.QuerySet["Suite"]):
    def for_choice(self, project: Project) -> SuiteQuerySet:
        """What a form offers, by name."""
        mine = self.filter(project=project, archived_at=None)
        return mine.annotate(label=models.F("name")).order_by("name")


class Suite(ProjectOwned):
    """Problems: a built-in name (actions.BUILT_IN), a file that the workers can read, or, with no location, the rows of
    SuiteProblem that the project keeps itself.
    """

    name = models.CharField(max_length=80)
    location = models.CharField(max_length=500, blank=True)
    description = models.TextField(blank=True)

    objects = SuiteQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["project", "name"], name="suite_name_once")]

    def __str__(self) -> str:
        return self.name

    @property
    def is_own(self) -> bool:
        """Whether its problems are rows here, to which more can be added."""
        return not self.location


class SuiteProblem(models.Model):
    """One problem of a suite of the project's own: complete `prompt` (before `suffix`) so that `tests` pass."""

    suite = models.ForeignKey(Suite, models.CASCADE, related_name="problems")
    task_id = models.CharField(max_length=120)
    language = models.CharField(max_length=30)  # a runtime's name
    prompt = models.TextField()
    suffix = models.TextField(blank=True)
    reference = models.TextField()  # a completion that is right
    tests = models.TextField()  # code after the completion that fails unless it is right
    from_completion = models.CharField(max_length=40, blank=True)  # the playground's id: no key, as it lies above
    created_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["suite", "task_id"], name="problem_once_a_suite"),
            models.CheckConstraint(condition=~models.Q(tests="") & ~models.Q(prompt=""), name="problem_can_be_judged"),
        ]

    def __str__(self) -> str:
        return self.task_id

    def record(self) -> dict[str, Any]:
        """As the worker reads it (worker.evaluation.suites.problem); with a suffix it is a gap to fill in."""
        names = ("task_id", "language", "prompt", "suffix", "reference", "tests")
        return {name: getattr(self, name) for name in names} | {"kind": "infill" if self.suffix else "complete"}


class _Short(models.Func):
    """A score without its lists of problems and texts, which are nine tenths of it: cut before it leaves the database."""

    template = "(%(expressions)s - '{problems,held_out,contamination}'::text[])"
    output_field = models.JSONField()


class EvaluationQuerySet(models.QuerySet["Evaluation"]):
    def for_list(self, project: Project) -> EvaluationQuerySet:
        return (
            self.filter(project=project)
            .select_related("suite", "model_version__model", "job", "created_by")
            .order_by("-created_at", "-id")
        )

    def finished(self) -> EvaluationQuerySet:
        return self.filter(sha256__isnull=False, archived_at=None)

    def for_leaderboard(self, suite: Suite) -> EvaluationQuerySet:
        """What can be ranked of a suite, newest first; `score` is the summary without its long lists."""
        done = self.finished().filter(suite=suite).order_by("-created_at", "-id")
        return done.annotate(score=_Short("summary"))

    def newest_finished(self) -> EvaluationQuerySet:
        """Of each model version the evaluation whose score counts: the newest that is done."""
        done = self.finished().select_related("suite")
        return done.order_by("model_version", "-created_at", "-id").distinct("model_version")


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

    @property
    def shares(self) -> dict[str, float]:
        """Share of its judged samples that passed, by problem in suite order; one that could not be judged is left out."""
        return {row["task_id"]: row["c"] / row["n"] for row in self.summary["problems"] if row["n"]}

    def is_comparable_with(self, other: Evaluation) -> bool:
        return not self.differences(other)

    def differences(self, other: Evaluation) -> list[str]:
        """What would make comparing the two scores wrong: the names of what differs."""
        return [item.name for item in self.differing(other)]

    def differing(self, other: Evaluation) -> list[conditions.Difference]:
        """As `differences`, with what either side has. Both must be ready."""
        suites = [conditions.Difference("suite", str(self.suite), str(other.suite))]
        return (suites if self.suite_id != other.suite_id else []) + conditions.differing(self.summary, other.summary)


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
