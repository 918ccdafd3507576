"""Source > Dataset > DatasetVersion, Tokenizer, ShardSet.

A row that ends in an artifact has a job that makes it; it is ready once `sha256` is set, which happens in the same
transaction that ends the job. Nothing here mirrors the job's status.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import F, Q, Value
from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.db.models.functions import Cast, Concat

from controlplane.access.models import Project, ProjectOwned
from controlplane.jobs.models import Job
from worker import sources


class SourceSettings(ProjectOwned):
    """What a reader is told: where raw code is, of which kind it is (worker.sources) and with which of its options."""

    name = models.CharField(max_length=80)
    kind = models.CharField(max_length=20, default="folder")
    location = models.CharField(max_length=500)
    license = models.CharField(max_length=80, default="unknown")
    origin = models.CharField(max_length=300, blank=True)
    is_held_out = models.BooleanField(default=False)  # read for measuring only, never trained on
    exclude = models.JSONField(default=list, blank=True)
    options = models.JSONField(default=dict, blank=True)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.name

    @property
    def kind_title(self) -> str:
        return sources.BY_NAME[self.kind].title


class SourceQuerySet(models.QuerySet["Source"]):
    def for_list(self, project: Project, archived: bool = False) -> SourceQuerySet:
        return self.filter(project=project, archived_at__isnull=not archived).order_by("-created_at", "-id")


class Source(SourceSettings):
    """A place that dataset versions are made from. What it held is known once a version was made of it."""

    read_at = models.DateTimeField(null=True, blank=True)
    snapshot = models.CharField(max_length=64, blank=True)  # a digest of the state in which it was read
    n_files = models.BigIntegerField(null=True, blank=True)
    n_bytes = models.BigIntegerField(null=True, blank=True)

    objects = SourceQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "name"], name="source_name_once"),
            models.CheckConstraint(condition=Q(kind__in=list(sources.BY_NAME)), name="source_kind_known"),
            models.CheckConstraint(
                condition=Q(read_at=None, snapshot="") | (Q(read_at__isnull=False) & ~Q(snapshot="")),
                name="source_read_with_a_snapshot",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["project", "-created_at", "-id"], name="source_list")]


class SourcePreview(SourceSettings):
    """A look at a source before it is one: `result` is worker.data.preview's summary, null while its job has none."""

    job = models.OneToOneField(Job, models.PROTECT, related_name="+")
    result = models.JSONField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(kind__in=list(sources.BY_NAME)), name="source_preview_kind_known")
        ]


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

    def that_read(self, source: Source) -> DatasetVersionQuerySet:
        """Newest first; `snapshot` is the state in which each found the source, null before it is ready."""
        read = KeyTransform(source.name, KeyTransform("read", "summary"))
        found = self.filter(project=source.project, sources=source).select_related("dataset", "job").defer("summary")
        return found.annotate(snapshot=KeyTextTransform("snapshot", read)).order_by("-created_at", "-id")

    def tokens_by_source(self, project: Project, versions: int = 20) -> dict[str, int]:
        """Training tokens of each source, as the newest of the last `versions` that read it counted them."""
        ready = self.filter(project=project).ready().order_by("-created_at", "-id")
        found: dict[str, int] = {}
        for mixture in ready.values_list("summary__mixture", flat=True)[:versions]:
            for source, row in (mixture or {}).items():
                found.setdefault(source, row["tokens"])
        return found

    def for_choice(self, project: Project) -> DatasetVersionQuerySet:
        """What a form offers; `label` is what `str` says, for the database to search."""
        label = Concat("dataset__name", Value(" v"), Cast("number", models.CharField()))
        ready = self.filter(project=project).ready().select_related("dataset").defer("summary")
        return ready.annotate(label=label).order_by("-created_at", "-id")


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
        ready = self.filter(project=project).ready().defer("summary")
        return ready.annotate(label=F("name")).order_by("-created_at", "-id")


class Tokenizer(MadeByJob):
    """A vocabulary trained on a sample of a dataset version. Its hash is pinned on shards, runs, models and deployments.

    One that came with an imported model has no dataset version: nothing was measured, and its job is the model's import.
    """

    name = models.CharField(max_length=80)
    dataset_version = models.ForeignKey(DatasetVersion, models.PROTECT, null=True, related_name="tokenizers")
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
        """The label ends with the id: one version and one tokenizer may be packed in several ways."""
        version = ("dataset_version__dataset__name", Value(" v"), Cast("dataset_version__number", models.CharField()))
        label = Concat(*version, Value(" with "), "tokenizer__name", Value(" · "), "id")
        ready = self.filter(project=project).ready().select_related("dataset_version__dataset", "tokenizer")
        light = ready.defer("summary", "dataset_version__summary", "tokenizer__summary")
        return light.annotate(label=label).order_by("-created_at", "-id")


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
