"""Runs: how one is named and started, what its events keep, and how its result enters the registry."""

from __future__ import annotations

import pytest

from controlplane.access.refusals import Refused
from tests import factories
from training_app import actions, jobs
from training_app.models import ModelVersion
from training_app.recipes import recipe_for


@pytest.fixture
def shards(project):
    version = factories.make_dataset_version(project)
    return factories.make_shard_set(version, factories.make_tokenizer(version))


def train(shards, **changes):
    asked = {"recipe": recipe_for("first-model", max_steps=10), "model_name": "completer", **changes}
    return actions.train_model(project=shards.project, by=None, shard_set=shards, **asked)


def test_a_run_without_a_name_gets_a_friendly_one(shards):
    first, second = train(shards), train(shards)
    for run in (first, second):
        adjective, noun, number = run.name.split("-")
        assert adjective.isalpha() and noun.isalpha() and number.isdecimal()
    assert first.name != second.name
    assert first.job.title == first.name


def test_a_run_waits_for_its_shards(project):
    with pytest.raises(Refused, match="not ready yet"):
        train(factories.run(project).shard_set)


def test_a_runs_name_is_taken_once(shards):
    train(shards, name="mine")
    with pytest.raises(Refused, match="mine already"):
        train(shards, name="mine")


def test_a_spec_pins_shards_and_tokenizer_and_carries_the_recipe(shards):
    spec = jobs.train_model.spec_for(train(shards).job)
    assert (spec.shards.sha256, spec.tokenizer.sha256) == (shards.sha256, shards.tokenizer.sha256)
    assert (spec.recipe.max_steps, spec.recipe.max_seconds) == (10, None)


def test_events_keep_the_last_value_of_each_metric_and_the_checkpoints(shards):
    run = train(shards)
    tell = jobs.train_model.on_event
    tell(run.job, "metrics.logged", {"step": 1, "values": {"loss/train": 8.0, "loss/val": 8.1}})
    tell(run.job, "metrics.logged", {"step": 2, "values": {"loss/train": 7.0}})
    for n_bytes in (10, 12):  # an attempt that begins again writes the same step again
        tell(run.job, "checkpoint.written", {"step": 2, "path": "/jobs/ba2", "n_bytes": n_bytes})
    run.refresh_from_db()
    assert run.metrics == {"loss/train": 7.0, "loss/val": 8.1, "step": 2}
    assert [(row.step, row.n_bytes) for row in run.checkpoints.all()] == [(2, 12)]


def test_a_finished_run_registers_its_model_under_the_next_number(shards):
    for number in (1, 2):
        run = train(shards)
        receipt = factories.manifest("train_model", "model", uri=f"file:///models/{number}", parameters=3_400_000)
        factories.succeed(run.job, receipt)
        version = run.model_versions.get()
        assert (version.number, version.n_parameters, version.tokenizer) == (number, 3_400_000, shards.tokenizer)
        assert version.sha256 == receipt.outputs["model"].sha256


def test_registering_twice_gives_the_same_version(shards):
    run = factories.make_training_run(shards)
    first, again = (actions.register_model_version(run=run, n_parameters=5) for _ in range(2))
    assert first == again
    assert ModelVersion.objects.count() == 1


def test_a_run_without_a_model_is_not_registered(shards):
    with pytest.raises(Refused, match="has not made a model yet"):
        actions.register_model_version(run=train(shards), n_parameters=5)


def test_a_running_run_is_not_archived_and_a_finished_one_leaves_the_list(shards, grace, grace_client):
    run = train(shards)
    with pytest.raises(Refused, match="Stop the run"):
        actions.archive_run(run=run, by=grace)
    done = factories.make_training_run(shards, name="calm-otter-9")
    grace_client.post(f"/projects/demo/runs/{done.pk}/archive")
    assert [row.name for row in grace_client.get("/projects/demo/runs/").context["page"].rows] == [run.name]


def test_editing_a_run_keeps_its_address_and_refuses_a_taken_name(shards, grace, grace_client):
    run, other = train(shards), train(shards, name="taken")
    page = f"/projects/demo/runs/{run.pk}/"
    grace_client.post(f"{page}edit", {"name": "renamed", "tags": "a, b, a", "notes": "looks fine"})
    run.refresh_from_db()
    assert (run.name, run.tags) == ("renamed", ["a", "b"])
    answer = grace_client.post(f"{page}edit", {"name": other.name, "tags": "", "notes": ""}, follow=True)
    assert "There is a run called taken already" in answer.content.decode()


def test_a_run_is_started_from_the_page(shards, grace_client):
    form = {"shard_set": shards.pk, "model_name": "completer", "recipe": "first-model", "max_steps": 20, "tags": "x"}
    answer = grace_client.post("/projects/demo/runs/new", form)
    assert answer.status_code == 302
    page = grace_client.get(answer.url)
    assert page.context["run"].recipe["max_steps"] == 20


def test_seconds_and_steps_exclude_each_other(shards, grace_client):
    form = {"shard_set": shards.pk, "model_name": "m", "recipe": "first-model", "max_steps": 20, "max_seconds": 3}
    answer = grace_client.post("/projects/demo/runs/new", form)
    assert answer.status_code == 422
    assert "not both" in answer.content.decode()


def test_attention_is_kept_within_documents_only_where_shards_record_them(shards, grace_client):
    form = {"shard_set": shards.pk, "model_name": "completer", "recipe": "first-model", "mask_documents": "on"}
    answer = grace_client.post("/projects/demo/runs/new", form)
    assert answer.status_code == 422
    assert "These shards record no document boundaries" in answer.content.decode()
    shards.parameters = {**shards.parameters, "boundaries": True}
    shards.save()
    assert grace_client.post("/projects/demo/runs/new", form).status_code == 302
    run = shards.runs.get()
    assert run.recipe["mask_documents"] is True
    assert jobs.train_model.spec_for(run.job).recipe.mask_documents
    del form["mask_documents"]
    assert grace_client.post("/projects/demo/runs/new", form).status_code == 302
    assert sorted(run.recipe["mask_documents"] for run in shards.runs.all()) == [False, True]
