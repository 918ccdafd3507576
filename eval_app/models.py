"""Suite (> SuiteProblem, where the project writes its own) > Evaluation > SampleResult; and Baseline, a model of others.

An evaluation is of one subject: a model version, a baseline, or a checkpoint of a run.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Cast, Concat
from django.urls import reverse
from django.utils import timezone

from controlplane.access import sealing
from controlplane.access.models import Project, ProjectOwned, User
from controlplane.jobs.models import ACTIVE, Job
from datasets_app.models import DatasetVersion, MadeByJob
from eval_app import conditions
from eval_app.contamination_models import ContaminationCheck, ContaminationMatch  # noqa: F401 - Django looks here
from training_app.models import Checkpoint, ModelVersion


class SuiteQuerySet(models.QuerySet["Suite"]):
    def for_list(self, project: Project) -> SuiteQuerySet:
        """By name, each with `n` evaluations and, of its newest admission, how many of how many problems count."""
        newest = SuiteAdmission.objects.filter(suite=models.OuterRef("pk"), archived_at=None, sha256__isnull=False)
        counts = newest.order_by("-created_at", "-id").values("counts")[:1]
        mine = self.filter(project=project, archived_at=None).annotate(n=models.Count("evaluations"))
        return mine.annotate(admission=models.Subquery(counts)).order_by("name")

    def for_choice(self, project: Project) -> SuiteQuerySet:
        """What a form offers, by name."""
        mine = self.filter(project=project, archived_at=None).exclude(location__startswith=IMPORTED)
        return mine.annotate(label=models.F("name")).order_by("name")


IMPORTED = "imported:"  # the location of a suite of which there are imported scores alone, before harness and task


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

    @property
    def is_imported(self) -> bool:
        """Whether it is but the name of another harness's task: its problems are nowhere here."""
        return self.location.startswith(IMPORTED)


class SuiteProblem(models.Model):
    """One problem of a suite of the project's own: complete `prompt` (before `suffix`) so that `tests` pass."""

    suite = models.ForeignKey(Suite, models.CASCADE, related_name="problems")
    task_id = models.CharField(max_length=120)
    language = models.CharField(max_length=30)  # a runtime's name
    prompt = models.TextField()
    suffix = models.TextField(blank=True)
    reference = models.TextField()  # a completion that is right
    tests = models.TextField()  # code after the completion that fails unless it is right
    buggy = models.TextField(blank=True)  # a completion that is wrong: the tests must refuse it
    from_sample = models.ForeignKey("SampleResult", models.PROTECT, null=True, related_name="+")
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
        told = {name: getattr(self, name) for name in names} | {"kind": "infill" if self.suffix else "complete"}
        return told | ({"buggy": self.buggy} if self.buggy else {})


class SuiteAdmissionQuerySet(models.QuerySet["SuiteAdmission"]):
    def of_suite(self, suite: Suite) -> SuiteAdmissionQuerySet:
        """Newest first."""
        return self.filter(suite=suite, archived_at=None).select_related("job").order_by("-created_at", "-id")

    def under_way(self) -> SuiteAdmissionQuerySet:
        return self.filter(job__status__in=ACTIVE)

    def newest_ready(self, suite: Suite) -> SuiteAdmission | None:
        """What counts of the suite, as the machine that runs jobs of the CPU queue found last."""
        return self.of_suite(suite).filter(sha256__isnull=False).first()


class SuiteAdmission(MadeByJob):
    """Which problems of a suite tell right from wrong on a machine of the yard: the only ones that are scored."""

    suite = models.ForeignKey(Suite, models.CASCADE, related_name="admissions")
    parameters = models.JSONField()  # worker.specs.AdmitSuite without its suite

    objects = SuiteAdmissionQuerySet.as_manager()

    def __str__(self) -> str:
        return f"admission of {self.suite}"


class BaselineQuerySet(models.QuerySet["Baseline"]):
    def for_list(self, project: Project) -> BaselineQuerySet:
        """The project's, by name, each with `n`, how many evaluations it has."""
        mine = self.filter(project=project, archived_at=None).select_related("created_by")
        return mine.annotate(n=models.Count("evaluations", filter=Q(evaluations__archived_at=None))).order_by("name")

    def for_choice(self, project: Project) -> BaselineQuerySet:
        """What a form offers to evaluate, by name: those that have an address."""
        mine = self.filter(project=project, archived_at=None).exclude(base_url="")
        return mine.annotate(label=models.F("name")).order_by("name")


class Baseline(ProjectOwned):
    """A model outside the registry to stand beside the team's own: an OpenAI-compatible endpoint, or, with no address, a
    name for imported scores. Its key is kept sealed; no page, spec, event or audit entry has it.
    """

    class Style(models.TextChoices):
        """Which of the API's two ways it is asked: /completions with the text before, or /chat/completions."""

        COMPLETIONS = "completions", "completions"
        CHAT = "chat", "chat"

    name = models.CharField(max_length=80)
    description = models.TextField(blank=True)
    base_url = models.CharField(max_length=500, blank=True)  # to which /completions is added
    served_name = models.CharField(max_length=200, blank=True)  # what the endpoint calls the model
    style = models.CharField(max_length=12, choices=Style.choices, default=Style.COMPLETIONS)
    concurrency = models.PositiveSmallIntegerField(default=4)  # requests under way at once
    timeout_seconds = models.FloatField(default=60.0)  # of one request
    sealed_key = models.TextField(blank=True)

    objects = BaselineQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "name"], name="baseline_name_once"),
            models.CheckConstraint(condition=~Q(name=""), name="baseline_has_a_name"),
            models.CheckConstraint(condition=Q(style__in=["completions", "chat"]), name="baseline_style_is_known"),
            models.CheckConstraint(
                condition=Q(base_url="", served_name="", sealed_key="")
                | (Q(base_url__regex="^https?://") & ~Q(served_name="")),
                name="baseline_is_an_endpoint_or_a_name",
            ),
            models.CheckConstraint(
                condition=Q(concurrency__gte=1, timeout_seconds__gt=0), name="baseline_can_be_asked"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_endpoint(self) -> bool:
        return bool(self.base_url)

    @property
    def key(self) -> str:
        """In plain, for the stage that asks the endpoint; "" for none. Raises sealing.Unreadable."""
        return sealing.unseal(self.sealed_key) if self.sealed_key else ""

    @property
    def key_in_short(self) -> str:
        """What people are shown of it: its last four characters, of a long one; "" for none."""
        try:
            return sealing.in_short(self.key)
        except sealing.Unreadable:
            return "cannot be read any more: give it again"


class _Short(models.Func):
    """A score without its lists of problems and texts, which are nine tenths of it: cut before it leaves the database."""

    template = "(%(expressions)s - '{%(without)s}'::text[])"
    output_field = models.JSONField()

    def __init__(self, expression: str, without: str, **extra: Any) -> None:
        super().__init__(expression, without=without, **extra)


_LISTS = "problems,contamination"


SUBJECTS = ("model_version", "baseline", "checkpoint")
# What an evaluation's name and link are read from; a run's own account and recipe are kilobytes that no list shows.
SUBJECT = ("project", "suite", "model_version__model", "baseline", "checkpoint__run")
UNSHOWN = tuple(f"checkpoint__run__{name}" for name in ("summary", "counts", "recipe", "metrics", "notes"))


_AS_TEXT = models.CharField()
# What `subject_name` says, for the database to search and to sort by.
SUBJECT_LABEL = Case(
    When(
        model_version__isnull=False,
        then=Concat("model_version__model__name", Value(" v"), Cast("model_version__number", _AS_TEXT)),
    ),
    When(baseline__isnull=False, then=F("baseline__name")),
    default=Concat("checkpoint__run__name", Value(" at step "), Cast("checkpoint__step", _AS_TEXT)),
    output_field=_AS_TEXT,
)


class EvaluationQuerySet(models.QuerySet["Evaluation"]):
    def with_subject(self) -> EvaluationQuerySet:
        """Joined with whatever each is of, so that `subject`, its name and its link ask nothing more."""
        return self.select_related(*SUBJECT).defer(*UNSHOWN)

    def for_list(self, project: Project) -> EvaluationQuerySet:
        mine = self.filter(project=project).with_subject().select_related("job", "created_by")
        return mine.order_by("-created_at", "-id")

    def named(self, text: str) -> EvaluationQuerySet:
        """Those whose suite or subject has `text` in its name."""
        found = self.annotate(subject_label=SUBJECT_LABEL)
        return found.filter(Q(suite__name__icontains=text) | Q(subject_label__icontains=text))

    def finished(self) -> EvaluationQuerySet:
        return self.filter(sha256__isnull=False, archived_at=None)

    def for_leaderboard(self, suite: Suite) -> EvaluationQuerySet:
        """What can be ranked of a suite, newest first; `score` is the summary without its long lists."""
        done = self.finished().filter(suite=suite).order_by("-created_at", "-id")
        return done.annotate(score=_Short("summary", f"{_LISTS},held_out"), subject_label=SUBJECT_LABEL)

    def newest_finished(self) -> EvaluationQuerySet:
        """Of each model version the evaluation whose score counts: the newest that is done."""
        done = self.finished().filter(model_version__isnull=False).made_here().select_related("suite")
        return done.order_by("model_version", "-created_at", "-id").distinct("model_version")

    def in_short(self) -> EvaluationQuerySet:
        """With `told` short of the lists of problems: fifty whole scores on a page are 3 MB of JSON, half of its time."""
        return self.defer("summary").annotate(score=_Short("summary", f"{_LISTS},excluded"))

    def made_here(self) -> EvaluationQuerySet:
        """Those that the yard judged itself: none that was imported."""
        return self.filter(harness="")


def _only(one: str) -> Q:
    """Of the three subjects, this one and no other."""
    return Q(**{f"{name}__isnull": name != one for name in SUBJECTS})


class Evaluation(MadeByJob):
    """One suite run on one subject. The score carries suite version, runtimes, isolation, decode settings and seed.

    An imported one was made by another `harness` and has no job here; what that harness did not tell is not known.
    """

    job = models.OneToOneField(Job, models.PROTECT, null=True, related_name="+")  # type: ignore[assignment]
    suite = models.ForeignKey(Suite, models.PROTECT, related_name="evaluations")
    model_version = models.ForeignKey(ModelVersion, models.PROTECT, null=True, related_name="evaluations")
    baseline = models.ForeignKey(Baseline, models.PROTECT, null=True, related_name="evaluations")
    checkpoint = models.ForeignKey(Checkpoint, models.PROTECT, null=True, related_name="evaluations")
    dataset_version = models.ForeignKey(DatasetVersion, models.PROTECT, null=True, related_name="+")
    judged_from = models.ForeignKey("self", models.PROTECT, null=True, related_name="judged_again")
    harness = models.CharField(max_length=20, blank=True)  # "" is this yard's own; "lm-eval", "bigcode"
    parameters = models.JSONField()  # worker.specs.EvaluateModel without its inputs

    objects = EvaluationQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=_only("model_version") | _only("baseline") | _only("checkpoint"),
                name="evaluation_has_one_subject",
            ),
            models.CheckConstraint(
                condition=Q(harness="", job__isnull=False)
                | Q(harness__in=["lm-eval", "bigcode"], job__isnull=True, sha256__isnull=False),
                name="evaluation_has_a_job_or_is_imported",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["project", "-created_at", "-id"], name="evaluation_list")]

    def __str__(self) -> str:
        return f"{self.suite} of {self.subject_name}"

    @property
    def subject(self) -> ModelVersion | Baseline | Checkpoint:
        """What was evaluated."""
        found = self.model_version or self.baseline or self.checkpoint
        assert found is not None  # the database refuses an evaluation of nothing
        return found

    @property
    def subject_kind(self) -> str:
        """ "model_version", "baseline" or "checkpoint"."""
        return next(name for name in SUBJECTS if getattr(self, f"{name}_id"))

    @property
    def subject_name(self) -> str:
        return str(self.subject)

    @property
    def subject_url(self) -> str:
        """The page of what was evaluated; of a checkpoint, its run's."""
        if self.model_version_id:
            return reverse("training:model-version", args=[self.project.slug, self.model_version_id])
        if self.baseline_id:
            return reverse("evaluation:baseline", args=[self.project.slug, self.baseline_id])
        return reverse("training:run", args=[self.project.slug, self.checkpoint.run_id])  # type: ignore[union-attr]

    @property
    def status(self) -> str:
        """The job's; of an imported one "imported"."""
        return self.job.status if self.job else "imported"

    @property
    def told(self) -> dict[str, Any]:
        """The summary, or as much of it as `in_short` read."""
        score: dict[str, Any] | None = self.__dict__.get("score")
        return self.summary if score is None else score

    @property
    def pass_at_1(self) -> float:
        """Share of problems solved at the first try, 0 to 1; only a ready evaluation has it."""
        return float(self.told["pass_at_k"]["1"]["value"])

    @property
    def ignored(self) -> dict[str, str]:
        """Decode settings that an endpoint did not take, each with why."""
        return (self.summary.get("endpoint") or {}).get("ignored") or {}

    @property
    def n_tokens(self) -> int | None:
        """That the model read and wrote; None where the score does not say it."""
        told = self.told.get("cost") or {}
        found = [told[name] for name in ("prompt_tokens", "completion_tokens") if told.get(name) is not None]
        return sum(found) if found else None

    @property
    def held_out_bits_per_byte(self) -> float | None:
        """Over all languages of the held-out split; None when no dataset was given."""
        return self.bits_by_split().get("held_out")

    def bits_by_split(self) -> dict[str, float]:
        """Bits per byte over all languages, by held-out split; empty when no dataset was given."""
        splits = self.told.get("held_out") or {}
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
    seconds = models.FloatField(null=True)  # null: imported, and not told
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
