"""The engine room's rows: Job, JobEvent, MetricPoint.

Postgres is the truth about work; Redis is only a doorbell. A Job knows nothing of the row it works for: the product row
points at it. Status is one field and changes by compare-and-set only (see `controlplane.jobs.transitions`); attempts,
durations and history are read from JobEvents.
"""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models
from django.utils import timezone

from controlplane.access.models import Project, User
from controlplane.jobs.metrics import MetricPointQuerySet


class Status(models.TextChoices):
    """failed: our code said no, with a code. crashed: it ended without a word."""

    QUEUED = "queued", "queued"
    RUNNING = "running", "running"
    SUCCEEDED = "succeeded", "succeeded"
    FAILED = "failed", "failed"
    CRASHED = "crashed", "crashed"
    CANCELLED = "cancelled", "cancelled"


ACTIVE = (Status.QUEUED, Status.RUNNING)
FINAL = (Status.SUCCEEDED, Status.FAILED, Status.CRASHED, Status.CANCELLED)


class JobQuerySet(models.QuerySet["Job"]):
    def active(self) -> JobQuerySet:
        return self.filter(status__in=ACTIVE)

    def for_list(self, project: Project) -> JobQuerySet:
        return self.filter(project=project).select_related("created_by").order_by("-created_at", "-id")


class Job(models.Model):
    """One piece of work: one process, one directory (named by the id)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, models.PROTECT, related_name="jobs")
    kind = models.CharField(max_length=40)  # the verb and the worker's stage: train_model
    entry = models.CharField(max_length=80)  # what the queue calls: training_app.jobs.train_model
    title = models.CharField(max_length=200)  # what it works for, for people: "brave-heron-12"
    url = models.CharField(max_length=200, blank=True)  # the page of what it works for
    queue = models.CharField(max_length=10)  # the resource: cpu or gpu
    priority = models.SmallIntegerField(default=0)  # higher goes first
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.QUEUED)
    created_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)

    # The current attempt. Every write about it carries `attempt`, so that a late one changes nothing.
    attempt = models.PositiveSmallIntegerField(default=0)
    max_attempts = models.PositiveSmallIntegerField(default=3)
    lease_until = models.DateTimeField(null=True, blank=True)
    worker_name = models.CharField(max_length=80, blank=True)
    pid = models.PositiveIntegerField(null=True, blank=True)
    pid_started_at = models.FloatField(null=True, blank=True)  # psutil create_time: tells a reused pid apart
    host = models.CharField(max_length=80, blank=True)

    # Told by the stage.
    stage = models.CharField(max_length=80, blank=True)
    progress_done = models.FloatField(default=0)
    progress_total = models.FloatField(null=True, blank=True)
    progress_unit = models.CharField(max_length=20, blank=True)
    progress_rate = models.FloatField(null=True, blank=True)  # units a second, smoothed
    progress_at = models.DateTimeField(null=True, blank=True)  # of the last report, by the stage's clock
    failure_code = models.CharField(max_length=60, blank=True)
    failure_message = models.TextField(blank=True)

    # How far the relay has read.
    event_offset = models.BigIntegerField(default=0)
    event_seq = models.BigIntegerField(default=0)

    objects = JobQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(status__in=Status.values), name="job_status_is_known"),
            models.CheckConstraint(condition=models.Q(queue__in=["cpu", "gpu"]), name="job_queue_is_known"),
            models.CheckConstraint(
                condition=models.Q(status__in=FINAL, finished_at__isnull=False)
                | models.Q(status__in=ACTIVE, finished_at__isnull=True),
                name="job_is_finished_or_active",
            ),
            models.CheckConstraint(
                condition=~models.Q(status=Status.RUNNING) | models.Q(attempt__gte=1, lease_until__isnull=False),
                name="job_runs_under_a_lease",
            ),
            models.CheckConstraint(
                condition=~models.Q(status=Status.FAILED) | ~models.Q(failure_code=""), name="job_failed_with_a_code"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["project", "-created_at", "-id"], name="job_list"),
            # The reconciler reads this every second; finished jobs, the great majority, are not in it.
            models.Index(fields=["status", "lease_until"], name="job_active", condition=models.Q(status__in=ACTIVE)),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.title}"

    @property
    def is_active(self) -> bool:
        return self.status in ACTIVE

    @property
    def eta_seconds(self) -> float | None:
        """Seconds until `progress_total` at the present rate; None while either is not known."""
        if self.status != Status.RUNNING or not self.progress_total or not self.progress_rate:
            return None
        return max(0.0, self.progress_total - self.progress_done) / self.progress_rate

    @property
    def progress_percent(self) -> int | None:
        if not self.progress_total:
            return None
        return min(100, int(100 * self.progress_done / self.progress_total))


class JobEvent(models.Model):
    """What happened, in order. Stage events carry the stage's `seq`; the control plane's own (job.queued, ...) none.

    metrics.logged and progress.made are not kept here, they would be most of the table: see MetricPoint and Job.
    """

    job = models.ForeignKey(Job, models.CASCADE, related_name="events")
    attempt = models.PositiveSmallIntegerField()
    seq = models.BigIntegerField(null=True)
    at = models.DateTimeField()
    event = models.CharField(max_length=40)
    payload = models.JSONField(default=dict)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["job", "seq"], name="stage_event_once")]
        indexes: ClassVar = [models.Index(fields=["job", "id"], name="event_by_job")]

    def __str__(self) -> str:
        return f"{self.event} of {self.job_id}"


class MetricPoint(models.Model):
    """A value at a step. Thinned by the relay to min, max and last of each second, so that no spike is lost."""

    job = models.ForeignKey(Job, models.CASCADE, related_name="metrics")
    name = models.CharField(max_length=80)
    step = models.BigIntegerField()
    value = models.FloatField()
    at = models.DateTimeField()

    objects = MetricPointQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["job", "name", "step"], name="metric_once_a_step", include=["value"])
        ]

    def __str__(self) -> str:
        return f"{self.name}={self.value} at {self.step}"


class MetricWindow(models.Model):
    """The lowest and highest value of a metric in `level` steps from `start` on: see controlplane.jobs.metrics."""

    job = models.ForeignKey(Job, models.CASCADE, related_name="+", db_index=False)
    name = models.CharField(max_length=80)
    level = models.PositiveSmallIntegerField()
    start = models.BigIntegerField()
    low = models.FloatField()
    low_step = models.BigIntegerField()
    high = models.FloatField()
    high_step = models.BigIntegerField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["job", "name", "level", "start"], name="metric_window_once")
        ]

    def __str__(self) -> str:
        return f"{self.name} from {self.start}: {self.low} to {self.high}"
