"""ContaminationCheck > ContaminationMatch: which problems of a suite stand in the training data of a dataset version.

One check serves every evaluation of the same suite version by a model that was trained on the same dataset version.
What a score is without the problems that were found: `eval_app.contamination`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from django.db import models
from django.db.models import F, Q

from controlplane.jobs.models import ACTIVE
from datasets_app.models import DatasetVersion, MadeByJob

if TYPE_CHECKING:
    from eval_app.models import Suite


class ContaminationCheckQuerySet(models.QuerySet["ContaminationCheck"]):
    def of(self, suite: Suite, dataset_version: DatasetVersion) -> ContaminationCheckQuerySet:
        """Newest first."""
        found = self.filter(suite=suite, dataset_version=dataset_version, archived_at=None)
        return found.select_related("job").order_by("-created_at", "-id")

    def of_suite(self, suite: Suite) -> ContaminationCheckQuerySet:
        found = self.filter(suite=suite, archived_at=None).select_related("job", "dataset_version__dataset")
        return found.defer("dataset_version__summary").order_by("-created_at", "-id")

    def for_page(self) -> ContaminationCheckQuerySet:
        rows = self.select_related("suite", "dataset_version__dataset", "job", "created_by")
        return rows.defer("dataset_version__summary")

    def under_way(self) -> ContaminationCheckQuerySet:
        return self.filter(job__status__in=ACTIVE)


class ContaminationCheck(MadeByJob):
    """A suite looked for in a dataset version. `summary` is the stage's: what each problem resembles most, and how."""

    suite = models.ForeignKey("evaluation.Suite", models.PROTECT, related_name="contamination_checks")
    dataset_version = models.ForeignKey(DatasetVersion, models.PROTECT, related_name="contamination_checks")
    parameters = models.JSONField(default=dict)  # worker.specs.FindContamination without its inputs

    objects = ContaminationCheckQuerySet.as_manager()

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["suite", "dataset_version", "-created_at"], name="contamination_check_newest")
        ]

    def __str__(self) -> str:
        return f"{self.suite} in {self.dataset_version}"


class ContaminationMatch(models.Model):
    """One document that holds a problem, whole or in part: the more similar it is, the lower its `rank` in the check."""

    class Kind(models.TextChoices):
        """How it was changed, if at all (worker.contamination.verify)."""

        VERBATIM = "verbatim", "verbatim"
        REFORMATTED = "reformatted", "reformatted"
        RENAMED = "renamed", "renamed"
        PARTIAL = "partial", "partial"

    in_check = models.ForeignKey(ContaminationCheck, models.CASCADE, related_name="matches")
    rank = models.PositiveIntegerField()
    task_id = models.CharField(max_length=120)
    part = models.CharField(max_length=12)  # "prompt": its words; "reference": its code with the right completion
    kind = models.CharField(max_length=12, choices=Kind.choices)
    similarity = models.FloatField()
    overlap = models.FloatField()  # share of the probe's tokens that the document has, in order
    ast_similarity = models.FloatField(
        null=True
    )  # of the syntax trees; null where there is no grammar or none was asked
    n_shared = models.PositiveIntegerField()  # distinct n-grams in both
    n_grams = models.PositiveIntegerField()  # of the probe
    document_id = models.CharField(max_length=64)
    path = models.TextField()
    source = models.CharField(max_length=80)
    language = models.CharField(max_length=60)
    line_from = models.PositiveIntegerField()  # of the document, from 1, both included
    line_to = models.PositiveIntegerField()
    excerpt = models.TextField()  # those lines
    probe = models.TextField()  # what was looked for

    class Meta:
        ordering: ClassVar = ["in_check", "rank"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["in_check", "rank"], name="contamination_rank_once"),
            models.CheckConstraint(
                condition=Q(kind__in=["verbatim", "reformatted", "renamed", "partial"]),
                name="contamination_kind_is_known",
            ),
            models.CheckConstraint(condition=Q(part__in=["prompt", "reference"]), name="contamination_part_is_known"),
            models.CheckConstraint(
                condition=Q(similarity__gte=0, similarity__lte=1, overlap__gte=0, overlap__lte=1),
                name="contamination_similarity_is_a_share",
            ),
            models.CheckConstraint(condition=Q(line_to__gte=F("line_from")), name="contamination_lines_in_order"),
        ]
        indexes: ClassVar = [models.Index(fields=["in_check", "task_id"], name="contamination_of_problem")]

    def __str__(self) -> str:
        return f"{self.task_id} in {self.path}: {self.kind}"
