"""Source > Dataset > DatasetVersion, Tokenizer, ShardSet.

A row that ends in an artifact has a job that makes it; it is ready once `sha256` is set, which happens in the same
transaction that ends the job. Nothing here mirrors the job's status.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from controlplane.access.models import Project, ProjectOwned
from controlplane.jobs.models import Job


class Source(ProjectOwned):
    """Where raw code comes from: a folder that the workers can read."""

    name = models.CharField(max_length=80)
    location = models.CharField(max_length=500)
    license = models.CharField(max_length=80, default="unknown")
    origin = models.CharField(max_length=300, blank=True)
    is_held_out = models.BooleanField(default=False)  # read for measuring only, never trained on

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["project", "name"], name="source_name_once")]

    def __str__(self) -> str:
        return self.name


class Dataset(ProjectOwned):
    name = models.CharField(max_length=80)
    description = models.TextField(blank=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["project", "name"], name="dataset_name_once")]

    def __str__(self) -> str:
        return self.name


class MadeByJob(ProjectOwned):
    """A row whose artifact a job makes: `uri` and `sha256` are null until it did; `summary` is the stage's own account."""

    job = models.OneToOneField(Job, models.PROTECT, related_name="+")
    uri = models.CharField(max_length=500, null=True, blank=True)  # noqa: DJ001 - null means "not made yet"
    sha256 = models.CharField(max_length=64, null=True, blank=True)  # noqa: DJ001
    n_bytes = models.BigIntegerField(null=True, blank=True)
    counts = models.JSONField(default=dict)
    summary = models.JSONField(default=dict)

    class Meta:
        abstract = True

    @property
    def is_ready(self) -> bool:
        return self.sha256 is not None

    @property
    def short_hash(self) -> str:
        return (self.sha256 or "")[:6]


class DatasetVersionQuerySet(models.QuerySet["DatasetVersion"]):
    def ready(self) -> DatasetVersionQuerySet:
        return self.filter(sha256__isnull=False, archived_at=None)

    def for_list(self, project: Project) -> DatasetVersionQuerySet:
        return (
            self.filter(project=project)
            .select_related("dataset", "job", "created_by")
            .defer("summary")
            .order_by("-created_at", "-id")
        )

    def for_choice(self, project: Project) -> DatasetVersionQuerySet:
        """What a form offers: names only, since a form reads all of them."""
        ready = self.filter(project=project).ready().select_related("dataset")
        return ready.only("number", "dataset__name").order_by("-created_at", "-id")


class DatasetVersion(MadeByJob):
    """One cleaning of some sources by a recipe: immutable documents in Parquet."""

    dataset = models.ForeignKey(Dataset, models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    sources = models.ManyToManyField(Source, related_name="dataset_versions")
    recipe = models.JSONField()

    objects = DatasetVersionQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["dataset", "number"], name="dataset_version_once")]
        indexes: ClassVar = [models.Index(fields=["project", "-created_at", "-id"], name="dataset_version_list")]

    def __str__(self) -> str:
        return f"{self.dataset.name} v{self.number}"


class TokenizerQuerySet(models.QuerySet["Tokenizer"]):
    def ready(self) -> TokenizerQuerySet:
        return self.filter(sha256__isnull=False, archived_at=None)

    def for_list(self, project: Project) -> TokenizerQuerySet:
        return (
            self.filter(project=project)
            .select_related("dataset_version__dataset", "job", "created_by")
            .defer("dataset_version__summary")
            .order_by("-created_at", "-id")
        )

    def for_choice(self, project: Project) -> TokenizerQuerySet:
        return self.filter(project=project).ready().only("name").order_by("-created_at", "-id")


class Tokenizer(MadeByJob):
    """A vocabulary trained on a sample of a dataset version. Its hash is pinned on shards, runs, models and deployments."""

    name = models.CharField(max_length=80)
    dataset_version = models.ForeignKey(DatasetVersion, models.PROTECT, related_name="tokenizers")
    parameters = models.JSONField()  # worker.specs.TrainTokenizer without its dataset

    objects = TokenizerQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["project", "name"], name="tokenizer_name_once")]
        indexes: ClassVar = [models.Index(fields=["project", "-created_at", "-id"], name="tokenizer_list")]

    def __str__(self) -> str:
        return self.name


class ShardSetQuerySet(models.QuerySet["ShardSet"]):
    def ready(self) -> ShardSetQuerySet:
        return self.filter(sha256__isnull=False, archived_at=None)

    def for_list(self, project: Project) -> ShardSetQuerySet:
        return (
            self.filter(project=project)
            .select_related("dataset_version__dataset", "tokenizer", "job", "created_by")
            .defer("summary", "dataset_version__summary", "tokenizer__summary")
            .order_by("-created_at", "-id")
        )

    def for_choice(self, project: Project) -> ShardSetQuerySet:
        ready = self.filter(project=project).ready().select_related("dataset_version__dataset")
        names = ("counts", "dataset_version__number", "dataset_version__dataset__name")
        return ready.only(*names).order_by("-created_at", "-id")


class ShardSet(MadeByJob):
    """A dataset version as token sequences of one tokenizer, packed for training."""

    dataset_version = models.ForeignKey(DatasetVersion, models.PROTECT, related_name="shard_sets")
    tokenizer = models.ForeignKey(Tokenizer, models.PROTECT, related_name="shard_sets")
    parameters = models.JSONField()  # worker.specs.BuildShards without its inputs

    objects = ShardSetQuerySet.as_manager()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["project", "-created_at", "-id"], name="shard_set_list")]

    def __str__(self) -> str:
        tokens = self.counts.get("tokens")
        return f"{self.dataset_version} · {tokens / 1e6:.1f} M tokens" if tokens else f"{self.dataset_version} shards"
