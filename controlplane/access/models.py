"""Who may: users, projects, memberships, API tokens and the audit trail.

Every other row of the control plane belongs to a project; `ProjectOwned` is its base. What a role may do is decided in
`controlplane.access.doors`, nowhere else.
"""

from __future__ import annotations

import secrets
from typing import ClassVar

from django.contrib.auth.models import AbstractUser, AnonymousUser
from django.db import models
from django.db.models.functions import Lower
from django.urls import reverse
from django.utils import timezone

ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"  # no 0, o, 1, i, l: ids are read aloud and typed


def new_id() -> str:
    """Ten random characters, about 49 bits: short enough for a URL, long enough for a project's lifetime."""
    return "".join(secrets.choice(ALPHABET) for _ in range(10))


class User(AbstractUser):
    """A person. Staff (`is_staff`) are the people that see a model on `staff` before everyone does."""

    class Meta(AbstractUser.Meta):
        constraints: ClassVar = [models.UniqueConstraint(Lower("username"), name="username_unique_caseless")]


class Role(models.IntegerChoices):
    """What a member of a project may do; each includes those below it."""

    VIEWER = 10, "viewer"
    MEMBER = 20, "member"
    MAINTAINER = 30, "maintainer"
    ADMIN = 40, "admin"


class ProjectQuerySet(models.QuerySet["Project"]):
    def visible_to(self, user: User | AnonymousUser, at_least: int = 0) -> ProjectQuerySet:
        """The person's projects by name, each with their `role` in it; a superuser sees all, as their admin."""
        mine = models.FilteredRelation("memberships", condition=models.Q(memberships__user=user.pk))
        found = self.annotate(mine=mine).order_by("name", "id")
        if user.is_superuser:
            return found.annotate(role=models.Value(Role.ADMIN, output_field=models.SmallIntegerField()))
        return found.annotate(role=models.F("mine__role")).filter(role__gte=at_least)

    def open(self) -> ProjectQuerySet:
        return self.filter(archived_at=None)


class Project(models.Model):
    """A team's yard: everything it makes, and who may see it. Archived, it can be read and nothing more."""

    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=80)
    description = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    archived_at = models.DateTimeField(null=True, blank=True)
    members = models.ManyToManyField(User, through="Membership", related_name="projects")

    objects = ProjectQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("pipeline:overview", args=[self.slug])


class Membership(models.Model):
    project = models.ForeignKey(Project, models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    role = models.SmallIntegerField(choices=Role.choices)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "user"], name="one_membership_a_person"),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="membership_role_is_known"),
        ]

    def __str__(self) -> str:
        return f"{self.user} is {self.get_role_display()} of {self.project}"


class ProjectOwned(models.Model):
    """Base of every row that a project owns: a short id for its URL, who made it and when; archived, never deleted."""

    id = models.CharField(primary_key=True, max_length=10, default=new_id, editable=False)
    project = models.ForeignKey(Project, models.PROTECT, related_name="+")
    created_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    archived_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        abstract = True


class ApiToken(models.Model):
    """A token for scripts: shown once, kept as a hash, for one person in one project, never beyond their role."""

    class Scope(models.TextChoices):
        READ = "read", "read"
        WRITE = "write", "write"
        COMPLETE = "complete", "completions"

    project = models.ForeignKey(Project, models.CASCADE, related_name="tokens")
    user = models.ForeignKey(User, models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=80)
    prefix = models.CharField(max_length=12, db_index=True)
    sha256 = models.CharField(max_length=64, unique=True)
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class SignInLink(models.Model):
    """A one-time link that signs one person in; `up` prints one. Only the token's hash is kept."""

    user = models.ForeignKey(User, models.CASCADE, related_name="+")
    sha256 = models.CharField(max_length=64, unique=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"sign-in link for {self.user}"


class AuditEntry(models.Model):
    """One write: who did what to which object, and how it looked before and after. Rows are only ever added."""

    at = models.DateTimeField(default=timezone.now, editable=False)
    project = models.ForeignKey(Project, models.PROTECT, null=True, related_name="+")
    actor = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    token = models.ForeignKey(ApiToken, models.SET_NULL, null=True, related_name="+")
    action = models.CharField(max_length=60)  # verb_noun, the action's own name: promote_model
    object_type = models.CharField(max_length=40)
    object_id = models.CharField(max_length=40)
    object_name = models.CharField(max_length=200)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    reason = models.TextField(blank=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["project", "-id"], name="audit_by_project"),
            models.Index(fields=["object_type", "object_id"], name="audit_by_object"),
        ]

    def __str__(self) -> str:
        return f"{self.actor or 'the yard'} {self.action} {self.object_name}"
