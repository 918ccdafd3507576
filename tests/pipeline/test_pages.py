"""Every page of the rooms renders for a member: in an empty project, and with a whole chain from data to a completion.

The lists' query counts do not grow with their rows.
"""

from __future__ import annotations

import pytest
from django.urls import reverse

from controlplane.pipeline.actions import start_pipeline
from tests import factories
from tests.pipeline.parquet import write_dataset

LISTS = [
    "pipeline:overview",
    "pipeline:list",
    "datasets:list",
    "datasets:source-list",
    "datasets:tokenizer-list",
    "training:run-list",
    "training:model-list",
    "evaluation:list",
    "evaluation:suite-list",
    "playground:deployment-list",
    "playground:editor",
]
FORMS = ["datasets:new", "datasets:tokenizer-new", "datasets:shards-new", "training:run-new", "evaluation:new"]
DETAILS = {
    "datasets:version": lambda chain: [chain.dataset_version.pk],
    "datasets:rows": lambda chain: [chain.dataset_version.pk],
    "datasets:row": lambda chain: [chain.dataset_version.pk, "doc-1"],
    "datasets:dropped": lambda chain: [chain.dataset_version.pk, "duplicate"],
    "datasets:tokenizer": lambda chain: [chain.tokenizer.pk],
    "datasets:shard-set": lambda chain: [chain.shard_set.pk],
    "training:run": lambda chain: [chain.run.pk],
    "training:run-chart": lambda chain: [chain.run.pk, "loss"],
    "training:model-version": lambda chain: [chain.version.pk],
    "evaluation:evaluation": lambda chain: [chain.evaluation.pk],
    "evaluation:sample": lambda chain: [chain.evaluation.pk, chain.evaluation.samples.get().pk],
    "playground:deployment": lambda chain: [chain.deployment.pk],
    "playground:completion": lambda chain: [chain.completion.pk],
}


@pytest.fixture
def chain(project, tmp_path):
    """With files behind the dataset version, on production, in a finished pipeline."""
    made = factories.make_chain(project, uri=write_dataset(tmp_path))
    factories.make_promotion(made.version, "production")
    begin_pipeline(project, made)
    return made


def begin_pipeline(project, made):
    pipeline = start_pipeline(project=project, by=None, name="First model", plan={})
    pipeline.dataset_version, pipeline.tokenizer, pipeline.shard_set = (
        made.dataset_version,
        made.tokenizer,
        made.shard_set,
    )
    pipeline.run, pipeline.model_version = made.run, made.version
    pipeline.evaluation, pipeline.deployment = made.evaluation, made.deployment
    pipeline.save()
    return pipeline


@pytest.mark.parametrize("name", LISTS + FORMS)
def test_an_empty_project_has_every_page(grace_client, project, name):
    assert grace_client.get(reverse(name, args=[project.slug])).status_code == 200


@pytest.mark.parametrize("name", LISTS + FORMS)
def test_every_list_and_form_renders_with_rows(grace_client, project, chain, name):
    assert grace_client.get(reverse(name, args=[project.slug])).status_code == 200


@pytest.mark.parametrize("name", LISTS)
def test_a_list_answers_htmx_with_its_part(grace_client, project, chain, name):
    assert grace_client.get(reverse(name, args=[project.slug]), headers={"HX-Request": "true"}).status_code == 200


@pytest.mark.parametrize("name", DETAILS)
def test_every_detail_page_renders(grace_client, project, chain, name):
    answer = grace_client.get(reverse(name, args=[project.slug, *DETAILS[name](chain)]))
    assert answer.status_code == 200


@pytest.mark.parametrize("name", DETAILS)
def test_no_page_shows_another_projects_rows(mallory_client, other_project, chain, name):
    answer = mallory_client.get(reverse(name, args=[other_project.slug, *DETAILS[name](chain)]))
    assert answer.status_code == 404


def test_the_page_of_a_pipeline_renders_before_and_after_its_first_step(grace_client, project, chain):
    begun = start_pipeline(project=project, by=None, name="just begun", plan={})
    done = begin_pipeline(project, chain)
    for pipeline in (begun, done):
        assert grace_client.get(pipeline.get_absolute_url()).status_code == 200
        assert grace_client.get(pipeline.get_absolute_url(), headers={"HX-Request": "true"}).status_code == 200


def test_runs_are_compared_with_what_differs_first(grace_client, project, chain):
    other = factories.make_training_run(chain.shard_set, name="calm-otter-2", batch_size=32)
    answer = grace_client.get(
        reverse("training:run-compare", args=[project.slug]), {"ids": f"{chain.run.pk},{other.pk}"}
    )
    assert answer.status_code == 200
    assert answer.context["differing"] == [("batch_size", [16, 32])]


def test_comparing_less_than_two_runs_goes_back_to_the_list(grace_client, project, chain):
    answer = grace_client.get(reverse("training:run-compare", args=[project.slug]), {"ids": chain.run.pk})
    assert answer.url == reverse("training:run-list", args=[project.slug])


def test_rows_waiting_for_their_jobs_have_pages(grace_client, project):
    run = factories.run(project)
    version, tokenizer = run.shard_set.dataset_version, run.shard_set.tokenizer
    for name, row in [
        ("datasets:version", version),
        ("datasets:tokenizer", tokenizer),
        ("datasets:shard-set", run.shard_set),
        ("training:run", run),
    ]:
        assert grace_client.get(reverse(name, args=[project.slug, row.pk])).status_code == 200
    assert grace_client.get(reverse("datasets:rows", args=[project.slug, version.pk])).status_code == 404


def test_only_maintainers_see_the_promote_page(grace_client, ada_client, project, chain):
    page = reverse("playground:promote", args=[project.slug, chain.version.pk])
    assert grace_client.get(page).status_code == 403
    assert ada_client.get(page).status_code == 200


@pytest.mark.parametrize("name", [name for name in LISTS if name != "playground:editor"])
def test_a_lists_queries_do_not_grow_with_its_rows(grace_client, project, name, django_assert_max_num_queries):
    url = reverse(name, args=[project.slug])
    for number in range(2):
        begin_pipeline(project, factories.make_chain(project, name=f"small-{number}"))
    few = queries_of(grace_client, url)
    for number in range(6):
        begin_pipeline(project, factories.make_chain(project, name=f"large-{number}"))
    assert few <= 30
    with django_assert_max_num_queries(few + (1 if name == "pipeline:overview" else 0)):  # it shows three clocks
        assert grace_client.get(url).status_code == 200


def queries_of(client, url):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as queries:
        client.get(url)
    return len(queries)
