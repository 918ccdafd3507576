"""Published models: asked for, registered with their tokenizers, and at home on every page that shows a model."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction

from controlplane.access.models import AuditEntry
from controlplane.pipeline import lineage
from datasets_app import comparing
from datasets_app.models import Tokenizer
from playground_app import gate
from tests import factories
from training_app import actions, jobs
from training_app.models import ModelImport, ModelVersion

SMOLLM2 = {"location": "hf:HuggingFaceTB/SmolLM2-135M", "revision": "", "model_name": "smollm2", "max_tokens": 256}


def ask(project, **changes):
    return actions.import_model(project=project, by=None, **{**SMOLLM2, **changes})


def shown(client, path):
    answer = client.get(path)
    assert answer.status_code == 200, path
    return answer.content.decode()


def test_an_import_is_one_job_that_says_where_the_model_lies(project, settings):
    settings.SOURCE_ROOTS = ["/srv/models"]
    row = ask(project, revision="main")
    spec = jobs.import_model.spec_for(row.job)
    assert (spec.location, spec.revision, spec.name) == ("hf:HuggingFaceTB/SmolLM2-135M", "main", "smollm2")
    assert jobs.import_model.environment(row.job)["SOURCE_ROOTS"] == "/srv/models"
    entry = AuditEntry.objects.get(action="import_model")
    assert entry.after == {"location": spec.location, "revision": "main", "model": "smollm2"}


def test_a_finished_import_registers_a_version_with_its_own_tokenizer(project):
    version = factories.make_imported_version(project, "smollm2")
    assert (str(version), version.run, version.n_parameters) == ("smollm2 v1", None, 134_515_008)
    assert version.tokenizer.sha256 == factories.sha("tokenizer smollm2") and version.tokenizer.is_ready
    assert version.tokenizer.name == "smollm2-v1" and version.tokenizer.dataset_version is None
    assert version.decode_settings["repetition_penalty"] == 1.0 and version.decode_settings["max_tokens"] == 256
    entry = AuditEntry.objects.get(action="register_imported_version")
    assert entry.after["license"] == "mit"


def test_a_tokenizer_that_the_project_has_already_is_not_had_twice(project):
    first = factories.make_imported_version(project, "base", sha256=factories.sha("one"))
    second = factories.make_imported_version(project, "instruct", sha256=factories.sha("one"))
    third = factories.make_imported_version(project, "other")
    assert first.tokenizer == second.tokenizer != third.tokenizer
    assert Tokenizer.objects.count() == 2


def test_a_name_that_is_taken_gets_the_hash_after_it(project):
    factories.make_tokenizer(factories.make_dataset_version(project), name="published-v1")
    version = factories.make_imported_version(project)
    assert version.tokenizer.name == f"published-v1-{version.tokenizer.short_hash}"


def test_an_imported_model_and_a_trained_one_are_versions_of_one_name(project):
    trained = factories.make_chain(project, "completer").version
    imported = factories.make_imported_version(project, "completer")
    assert imported.model == trained.model and imported.number == 2


def test_a_version_comes_from_a_run_or_an_import_and_not_from_both(project):
    trained = factories.make_chain(project).version
    imported = factories.make_imported_version(project)
    for values in ({"run": trained.run}, {"imported": None}):
        with pytest.raises(IntegrityError, match="has_one_origin"), transaction.atomic():
            ModelVersion.objects.filter(pk=imported.pk).update(**values)


def test_a_model_is_asked_for_on_a_page(grace_client, project):
    answer = grace_client.post("/projects/demo/models/import", SMOLLM2)
    row = ModelImport.objects.get()
    assert answer.url == f"/projects/demo/models/imports/{row.pk}/" == row.job.url
    assert "hf:HuggingFaceTB/SmolLM2-135M" in shown(grace_client, answer.url)
    assert row.location in shown(grace_client, "/projects/demo/models/")


@pytest.mark.parametrize(
    "location", ["models/mine", "http://example.org/m", "s3://me:key@store/m", "hf:name", "hf:a/b/c"]
)
def test_an_address_that_is_not_read_is_refused_before_it_is_a_job(grace_client, project, location):
    answer = grace_client.post("/projects/demo/models/import", {**SMOLLM2, "location": location})
    assert answer.status_code == 422 and not ModelImport.objects.exists()


def test_a_viewer_asks_for_none(victor_client, project):
    assert victor_client.post("/projects/demo/models/import", SMOLLM2).status_code == 403


def test_its_pages_say_where_it_came_from(victor_client, project):
    version = factories.make_imported_version(project, license="unknown")
    page = shown(victor_client, f"/projects/demo/models/{version.pk}/")
    assert "/srv/models/published.gguf" in page and "look it up before you use it" in page
    assert "elsewhere" in page and "at step" not in page
    for path in (
        "models/", f"models/imports/{version.imported_id}/", "tokenizers/", f"tokenizers/{version.tokenizer_id}/",
    ):  # fmt: skip
        shown(victor_client, f"/projects/demo/{path}")


def test_its_tokenizer_was_measured_on_no_text_and_none_is_made_up(project):
    assert comparing.compare([factories.make_imported_version(project).tokenizer]) is None


def test_its_lineage_says_that_what_was_before_is_elsewhere(project):
    version = factories.make_imported_version(project)
    for row in (version, version.imported):
        found = {step.kind: step.label for step in lineage.steps(row)}
        assert (found["sources"], found["dataset"], found["shards"]) == ("elsewhere",) * 3
        assert (found["run"], found["model"], found["tokenizer"]) == ("imported", "published v1", "published-v1")
    found = {step.kind: step.label for step in lineage.steps(version.tokenizer)}
    assert (found["dataset"], found["tokenizer"], found["model"]) == ("elsewhere", "published-v1", "published v1")


def test_it_is_evaluated_deployed_and_let_through_the_gate_as_any_other(ada_client, project):
    factories.make_chain(project, "home-grown")
    version = factories.make_imported_version(project)
    evaluation, deployment = factories.make_evaluation(version), factories.make_deployment(version)
    assert all(rule.passed for rule in gate.check(version))
    shown(ada_client, f"/projects/demo/models/{version.pk}/promote")
    for path in (f"evaluations/{evaluation.pk}/", f"deployments/{deployment.pk}/", "search?q=published"):
        shown(ada_client, f"/projects/demo/{path}")
    board = shown(ada_client, f"/projects/demo/evaluations/leaderboard?suite={evaluation.suite_id}")
    assert "published v1" in board and "home-grown v1" in board


def test_the_models_list_asks_the_same_number_of_questions_however_long_it_is(
    victor_client, project, django_assert_num_queries
):
    def count(number):
        with django_assert_num_queries(number):
            shown(victor_client, "/projects/demo/models/")

    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    factories.make_imported_version(project, "a")
    with CaptureQueriesContext(connection) as first:
        shown(victor_client, "/projects/demo/models/")
    for name in "bcd":
        factories.make_imported_version(project, name)
    count(len(first))
