"""TrainingRun > Checkpoint, ModelImport, and the registry: Model > ModelVersion > Promotion."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q, Value
from django.db.models.functions import Cast, Concat
from django.utils import timezone

from controlplane.access.models import Project, ProjectOwned, User
from controlplane.jobs.models import ACTIVE
from datasets_app.models import MadeByJob, ShardSet, Tokenizer

# A stage's own account can be kilobytes of JSON; a list of runs joins three more rows that each have one.
SHARDS_AND_ABOVE = ("shard_set__", "shard_set__dataset_version__", "shard_set__tokenizer__")

IN_A_TABLE: tuple[str, ...] = (
    *("name", "counts", "metrics", "recipe", "tags", "notes", "n_bytes", "created_at", "archived_at"),
    *(f"job__{name}" for name in ("status", "started_at", "finished_at", "attempt")),
    *("shard_set__dataset_version__number", "shard_set__dataset_version__dataset__name"),
    *("shard_set__tokenizer__name", "model__name", "created_by__username"),
)


class TrainingRunQuerySet(models.QuerySet["TrainingRun"]):
    def for_list(self, project: Project) -> TrainingRunQuerySet:
        return (
            self.filter(project=project)
            .select_related("job", "shard_set__dataset_version__dataset", "shard_set__tokenizer", "created_by")
            .defer(*(f"{row}summary" for row in ("", *SHARDS_AND_ABOVE)))
            .order_by("-created_at", "-id")
        )

    def for_table(self, project: Project) -> TrainingRunQuerySet:
        """As `for_list`, with what a cell of the table may show and no more: fifty runs and all they hang on are 400 rows."""
        return self.for_list(project).select_related("model").only(*IN_A_TABLE)


class TrainingRun(MadeByJob):
    """One training: shards and a recipe in, a model directory out. The recipe is worker.specs.TrainRecipe as JSON."""

    name = models.CharField(max_length=80)
    shard_set = models.ForeignKey(ShardSet, models.PROTECT, related_name="runs")
    model = models.ForeignKey("Model", models.PROTECT, related_name="runs")  # the name its result is registered under
    recipe = models.JSONField()
    tags = ArrayField(models.CharField(max_length=40), default=list, blank=True)
    notes = models.TextField(blank=True)
    # The last value of each metric, written by the relay's sink: what the runs table sorts and searches by.
    metrics = models.JSONField(default=dict)

    objects = TrainingRunQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["project", "name"], name="run_name_once")]
        indexes: ClassVar = [
            models.Index(fields=["project", "-created_at", "-id"], name="run_list"),
            GinIndex(fields=["tags"], name="run_tags"),
        ]

    def __str__(self) -> str:
        return self.name


class RunViewQuerySet(models.QuerySet["RunView"]):
    def for_person(self, project: Project, user: User) -> RunViewQuerySet:
        """The project's shared views and the person's own, by name."""
        mine = models.Q(is_shared=True) | models.Q(created_by=user)
        return self.filter(mine, project=project, archived_at=None).order_by("name", "id")

    def changeable_by(self, project: Project, user: User, is_maintainer: bool) -> RunViewQuerySet:
        """One's own; a maintainer keeps the shared ones too."""
        rows = self.for_person(project, user)
        return rows if is_maintainer else rows.filter(created_by=user)


class RunView(ProjectOwned):
    """A way to look at the runs, under a name: for its maker alone, or shared with the project."""

    name = models.CharField(max_length=80)
    query = models.TextField(blank=True)  # the table's query string: see training_app.table
    is_shared = models.BooleanField(default=False)

    objects = RunViewQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=~models.Q(name=""), name="run_view_has_a_name"),
            models.UniqueConstraint(
                fields=["project", "name"],
                condition=models.Q(is_shared=True, archived_at=None),
                name="shared_run_view_name_once",
            ),
            models.UniqueConstraint(
                fields=["project", "created_by", "name"],
                condition=models.Q(is_shared=False, archived_at=None),
                name="own_run_view_name_once",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Checkpoint(models.Model):
    """A point from which training can continue, on the worker's disk."""

    run = models.ForeignKey(TrainingRun, models.CASCADE, related_name="checkpoints")
    step = models.PositiveBigIntegerField()
    path = models.CharField(max_length=500)
    n_bytes = models.BigIntegerField()
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["run", "step"], name="checkpoint_once_a_step")]

    def __str__(self) -> str:
        return f"{self.run} at step {self.step}"


class Model(ProjectOwned):
    """A name in the registry; its versions are the models."""

    name = models.SlugField(max_length=80)
    description = models.TextField(blank=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["project", "name"], name="model_name_once")]

    def __str__(self) -> str:
        return self.name


class ModelImportQuerySet(models.QuerySet["ModelImport"]):
    def for_list(self, project: Project) -> ModelImportQuerySet:
        return self.filter(project=project).select_related("model", "job", "created_by").order_by("-created_at", "-id")

    def unfinished(self, project: Project) -> ModelImportQuerySet:
        """Under way, or ended without a version in the last day: what the registry does not show yet, or never will."""
        day_ago = timezone.now() - timedelta(days=1)
        recent = Q(job__status__in=ACTIVE) | Q(created_at__gte=day_ago)
        return self.for_list(project).filter(recent, sha256=None, archived_at=None)


class ModelImport(MadeByJob):
    """A published model taken over as it is: its artifact is the model folder, its tokenizer has a row of its own."""

    model = models.ForeignKey(Model, models.PROTECT, related_name="imports")  # the name that it is registered under
    location = models.CharField(max_length=500)  # worker.pretrained.place says what it may be
    revision = models.CharField(max_length=120, blank=True)  # of the hub: a branch, tag or commit; "" is its default
    decode_settings = models.JSONField()  # worker.specs.DecodeSettings, for the version

    objects = ModelImportQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [models.CheckConstraint(condition=~Q(location=""), name="model_import_has_a_location")]

    def __str__(self) -> str:
        return f"{self.model} from {self.location}"

    @property
    def origin(self) -> dict[str, str]:
        """What the stage found: location, revision, format, stored_as, license and what the model's card tells."""
        found: dict[str, str] = self.summary.get("origin", {})
        return found


class ModelVersionQuerySet(models.QuerySet["ModelVersion"]):
    def for_list(self, project: Project) -> ModelVersionQuerySet:
        return (
            self.filter(project=project)
            .select_related("model", "run__shard_set__dataset_version__dataset", "imported", "tokenizer", "created_by")
            .defer(
                "imported__summary",
                "tokenizer__summary",
                "run__summary",
                "run__shard_set__summary",
                "run__shard_set__dataset_version__summary",
            )
            .order_by("-created_at", "-id")
        )

    def for_choice(self, project: Project) -> ModelVersionQuerySet:
        """What a form offers; `label` is what `str` says, for the database to search."""
        label = Concat("model__name", Value(" v"), Cast("number", models.CharField()))
        mine = self.filter(project=project, archived_at=None).select_related("model")
        return mine.annotate(label=label).order_by("-created_at", "-id")


class ModelVersion(ProjectOwned):
    """name · vN · short hash: weights by content hash, with the tokenizer and decode settings they are always used with.

    A run of ours made it, or it was imported.
    """

    model = models.ForeignKey(Model, models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    run = models.ForeignKey(TrainingRun, models.PROTECT, null=True, related_name="model_versions")
    imported = models.ForeignKey(ModelImport, models.PROTECT, null=True, related_name="model_versions")
    tokenizer = models.ForeignKey(Tokenizer, models.PROTECT, related_name="model_versions")
    step = models.PositiveBigIntegerField(null=True)
    uri = models.CharField(max_length=500)
    sha256 = models.CharField(max_length=64)
    n_parameters = models.BigIntegerField()
    decode_settings = models.JSONField()  # worker.specs.DecodeSettings
    notes = models.TextField(blank=True)

    objects = ModelVersionQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["model", "number"], name="model_version_once"),
            models.CheckConstraint(
                condition=Q(run__isnull=False, imported__isnull=True) | Q(run__isnull=True, imported__isnull=False),
                name="model_version_has_one_origin",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["project", "-created_at", "-id"], name="model_version_list")]

    def __str__(self) -> str:
        return f"{self.model.name} v{self.number}"

    @property
    def short_hash(self) -> str:
        return self.sha256[:6]


class Alias(models.TextChoices):
    """Where a version stands; an alias names at most one version of a model at a time."""

    CANDIDATE = "candidate", "candidate"
    STAFF = "staff", "staff"
    PRODUCTION = "production", "production"


class PromotionQuerySet(models.QuerySet["Promotion"]):
    def current(self, project: Project) -> PromotionQuerySet:
        """The promotion in force of each (model, alias).

        Ids first, then what they hang on: the database sorted all promotions of the project with their versions joined on.
        """
        applied = self.filter(model__project=project, applied_at__isnull=False)
        newest = applied.order_by("model", "alias", "-applied_at", "-id").distinct("model", "alias")
        found = self.filter(pk__in=newest.values("pk")).select_related("model", "to_version__model", "from_version")
        return found.order_by("model", "alias")


class Promotion(models.Model):
    """An alias moved from one version to another. The newest applied row of (model, alias) says where the alias stands."""

    model = models.ForeignKey(Model, models.PROTECT, related_name="promotions")
    alias = models.CharField(max_length=12, choices=Alias.choices)
    from_version = models.ForeignKey(ModelVersion, models.PROTECT, null=True, related_name="+")
    to_version = models.ForeignKey(ModelVersion, models.PROTECT, related_name="promotions")
    reason = models.TextField()
    gate = models.JSONField(default=list)  # the rules as they stood: [{"rule", "passed", "detail"}]
    is_override = models.BooleanField(default=False)
    is_rollback = models.BooleanField(default=False)
    requested_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    requested_at = models.DateTimeField(default=timezone.now)
    applied_at = models.DateTimeField(null=True, blank=True)  # null: waits for the deployment to be ready

    objects = PromotionQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(alias__in=Alias.values), name="promotion_alias_is_known"),
            models.CheckConstraint(condition=~models.Q(reason=""), name="promotion_has_a_reason"),
        ]
        indexes: ClassVar = [models.Index(fields=["model", "alias", "-applied_at"], name="promotion_current")]

    def __str__(self) -> str:
        return f"{self.to_version} to {self.alias}"
