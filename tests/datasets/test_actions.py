"""Data work is started only from what is ready, and a receipt makes a row ready."""

from __future__ import annotations

import pytest

from controlplane.access.models import AuditEntry
from controlplane.access.refusals import Refused
from datasets_app import actions, jobs
from datasets_app.models import DatasetVersion
from tests import factories


def ingest(project, grace, **changes):
    sources = changes.get("sources") or [factories.make_source(project)]
    return actions.ingest_dataset(project=project, by=grace, name="code", sources=sources, recipe={"seed": 3})


def test_a_dataset_gets_the_next_version_each_time(project, grace):
    first = ingest(project, grace)
    second = ingest(project, grace, sources=list(first.sources.all()))
    assert [str(first), str(second)] == ["code v1", "code v2"]
    assert second.job.status == "queued"
    assert AuditEntry.objects.filter(action="ingest_dataset", actor=grace).count() == 2


def test_held_out_sources_alone_are_refused(project, grace):
    with pytest.raises(Refused, match="at least one source to train on"):
        ingest(project, grace, sources=[factories.make_source(project, is_held_out=True)])
    assert not DatasetVersion.objects.exists()


def test_a_sources_name_is_taken_once(project, grace):
    factories.make_source(project, "stdlib")
    with pytest.raises(Refused, match="stdlib already"):
        actions.add_source(project=project, by=grace, name="stdlib", location="/srv")


def test_an_ingest_spec_names_sources_and_the_whole_recipe(project, grace):
    version = ingest(project, grace)
    spec = jobs.ingest_dataset.spec_for(version.job)
    assert [source.name for source in spec.sources] == ["python-stdlib"]
    assert (spec.recipe.seed, "redaction" in {step.name for step in spec.recipe.steps}) == (3, True)


def test_a_recipe_that_does_not_hold_together_is_refused_by_step_and_parameter(project, grace):
    steps = [{"name": "lines", "parameters": {"max_line": "wide"}}]
    asked = {"project": project, "by": grace, "name": "code", "sources": [factories.make_source(project)]}
    for recipe, words in (({"steps": steps}, "Step lines, parameter max_line"), ({"redact": True}, "no field redact")):
        with pytest.raises(Refused, match=words):
            actions.ingest_dataset(**asked, recipe=recipe)
    assert not DatasetVersion.objects.exists()


def test_a_tokenizer_waits_for_its_dataset(project, grace):
    with pytest.raises(Refused, match="code v1 is not ready yet"):
        actions.train_tokenizer(
            project=project, by=grace, name="t", dataset_version=ingest(project, grace), parameters={}
        )


def test_a_tokenizers_name_is_taken_once(project, grace):
    tokenizer = factories.make_tokenizer(factories.make_dataset_version(project))
    asked = {"name": tokenizer.name, "dataset_version": tokenizer.dataset_version, "parameters": {}}
    with pytest.raises(Refused, match="already"):
        actions.train_tokenizer(project=project, by=grace, **asked)


def test_shards_wait_for_dataset_and_tokenizer(project, grace):
    version = factories.make_dataset_version(project)
    waiting = actions.train_tokenizer(project=project, by=grace, name="t", dataset_version=version, parameters={})
    with pytest.raises(Refused, match="t is not ready yet"):
        actions.build_shards(project=project, by=grace, dataset_version=version, tokenizer=waiting, parameters={})


def test_a_receipt_makes_the_row_ready_with_the_stages_account(project, grace):
    version = ingest(project, grace)
    factories.succeed(version.job, factories.manifest("ingest_dataset", "dataset", documents=12))
    version.refresh_from_db()
    assert version.is_ready
    assert (version.uri, version.counts) == ("file:///nowhere/made", {"documents": 12})


def test_specs_of_tokenizer_and_shards_pin_their_inputs_by_hash(project):
    version = factories.make_dataset_version(project)
    tokenizer = factories.make_tokenizer(version)
    shards = factories.make_shard_set(version, tokenizer)
    assert jobs.train_tokenizer.spec_for(tokenizer.job).dataset.sha256 == version.sha256
    spec = jobs.build_shards.spec_for(shards.job)
    assert (spec.dataset.sha256, spec.tokenizer.sha256) == (version.sha256, tokenizer.sha256)
