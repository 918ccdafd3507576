"""A project's settings: its name, and closing it, which touches everything in it."""

from __future__ import annotations

import pytest

from controlplane.access.models import AuditEntry
from playground_app import triton
from playground_app.models import Deployment
from tests import factories

SETTINGS = "/projects/demo/settings/"


@pytest.fixture
def deployment(project):
    version = factories.make_dataset_version(project)
    shards = factories.make_shard_set(version, factories.make_tokenizer(version))
    model = factories.make_model_version(factories.make_training_run(shards))
    factories.make_promotion(model, "production")
    return factories.make_deployment(model)


@pytest.fixture
def unloaded(monkeypatch):
    names = []
    monkeypatch.setattr(triton, "undeploy", names.append)
    return names


def archive(client, confirm="First yard"):
    return client.post(f"{SETTINGS}archive", {"confirm": confirm}, follow=True).content.decode()


def test_maintainers_rename_and_describe_and_members_look(project, ada_client, grace_client):
    assert ada_client.post(SETTINGS, {"name": "Second yard", "description": "Rust only."}).status_code == 302
    project.refresh_from_db()
    assert (project.name, project.description, project.slug) == ("Second yard", "Rust only.", "demo")
    assert AuditEntry.objects.get(action="edit_project").before == {"name": "First yard", "description": ""}
    assert "Rust only." in grace_client.get(SETTINGS).content.decode()
    assert grace_client.post(SETTINGS, {"name": "Mine"}).status_code == 403
    assert ada_client.post(SETTINGS, {"name": ""}).status_code == 422


def test_the_page_says_what_closing_touches_and_asks_for_the_name(project, deployment, unloaded, iris_client):
    page = iris_client.get(SETTINGS).content.decode()
    assert "1 run, 1 model version and 1 dataset version become read-only" in page
    assert "1 deployment is unloaded" in page
    assert "type its name" in archive(iris_client, "demo")
    project.refresh_from_db()
    assert (project.archived_at, unloaded) == (None, [])


def test_closing_unloads_what_people_were_getting_and_makes_it_read_only(project, deployment, unloaded, iris_client):
    assert "is archived" in archive(iris_client)
    project.refresh_from_db()
    deployment.refresh_from_db()
    assert project.archived_at is not None
    assert (unloaded, deployment.state) == ([deployment.served_name], "stopped")
    actions = AuditEntry.objects.filter(project=project).order_by("id").values_list("action", flat=True)
    assert list(actions)[-2:] == ["stop_deployment", "archive_project"]


def test_nothing_is_closed_while_something_runs(project, deployment, unloaded, iris_client):
    factories.job(project, "train_model")
    assert "Active jobs: 1, active pipelines: 0" in archive(iris_client)
    project.refresh_from_db()
    assert (project.archived_at, unloaded) == (None, [])


def test_nothing_is_closed_while_triton_cannot_be_told(project, deployment, monkeypatch, iris_client):
    def gone(name):
        raise triton.Unreachable("no answer")

    monkeypatch.setattr(triton, "undeploy", gone)
    assert "Triton does not answer" in archive(iris_client)
    project.refresh_from_db()
    assert (project.archived_at, Deployment.objects.get().state) == (None, "ready")


def test_closing_is_for_admins(project, ada_client):
    assert ada_client.post(f"{SETTINGS}archive", {"confirm": "First yard"}).status_code == 403
    assert "Archive the project" not in ada_client.get(SETTINGS).content.decode()
