"""The rows that tests begin with, each made in one line. Models are imported late: pytest reads this file early."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.utils import timezone

if TYPE_CHECKING:
    from django.test import Client

    from controlplane.access.models import ApiToken, Project, User

PASSWORD = "correct-horse-battery"


def project(slug: str = "demo", name: str = "First yard") -> Project:
    from controlplane.access.models import Project

    return Project.objects.create(slug=slug, name=name)


def user(username: str, project: Project | None = None, role: str = "MEMBER", **more: Any) -> User:
    """An account with PASSWORD, in `project` as `role` (the name of a Role) if one is given."""
    from controlplane.access.models import Membership, Role, User

    person = User.objects.create_user(username, password=PASSWORD, **more)
    if project is not None:
        Membership.objects.create(project=project, user=person, role=Role[role])
    return person


def signed_in_client(person: User, **more: Any) -> Client:
    from django.test import Client

    client = Client(**more)
    client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    return client


def token(project: Project, person: User, *scopes: str, name: str = "a script") -> tuple[ApiToken, str]:
    """A token for a day and its secret, with all scopes unless some are named."""
    from controlplane.access.actions import create_token
    from controlplane.access.models import ApiToken

    ends = timezone.now() + timedelta(days=1)
    return create_token(
        project=project, user=person, name=name, scopes=scopes or ApiToken.Scope.values, expires_at=ends
    )


def bearer(secret: str) -> dict[str, str]:
    """What a request of Django's test client takes as `headers`."""
    return {"Authorization": f"Bearer {secret}"}


def run(project: Project, name: str = "brave-heron-12") -> Any:
    """A TrainingRun that waits, on a dataset version, a tokenizer, shards and a model of its own, a job each."""
    from datasets_app.models import Dataset, DatasetVersion, ShardSet, Tokenizer
    from training_app.models import Model, TrainingRun

    dataset = Dataset.objects.create(project=project, name=f"data of {name}")
    version = DatasetVersion.objects.create(
        project=project, job=job(project, "ingest_dataset"), dataset=dataset, number=1, recipe={}
    )
    tokenizer = Tokenizer.objects.create(
        project=project,
        job=job(project, "train_tokenizer"),
        name=f"vocabulary of {name}",
        dataset_version=version,
        parameters={},
    )
    shards = ShardSet.objects.create(
        project=project,
        job=job(project, "build_shards"),
        dataset_version=version,
        tokenizer=tokenizer,
        parameters={},
    )
    model, _ = Model.objects.get_or_create(project=project, name="completer")
    training = job(project, "train_model", title=name)
    return TrainingRun.objects.create(
        project=project, job=training, name=name, shard_set=shards, model=model, recipe={}
    )


def job(project: Project, kind: str, title: str = "a piece of work", **more: Any) -> Any:
    """A Job that waits in the queue of the CPUs; the queue itself is not rung."""
    from controlplane.jobs.models import Job

    return Job.objects.create(project=project, kind=kind, entry="", title=title, queue="cpu", **more)
