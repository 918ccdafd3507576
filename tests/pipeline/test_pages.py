"""Every page of the rooms renders for a member: in an empty project, and with a whole chain from data to a completion.

The lists' query counts do not grow with their rows.
"""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from controlplane.pipeline.actions import start_pipeline
from eval_app.actions import add_built_in_suites
from eval_app.models import Evaluation
from tests import factories
from tests.pipeline.parquet import write_dataset

LISTS = [
    "datasets:shard-set-list",
    "pipeline:overview",
    "pipeline:list",
    "pipeline:opt-out",
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
    "datasets:diff": lambda chain: [chain.dataset_version.pk, chain.dataset_version.pk],
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


# Session, person, and project with the role are three of each; a list that asks more must say why here.
PINNED = {
    "pipeline:overview": 17,  # three clocks: one query a kind of step
    "pipeline:list": 4,
    "datasets:list": 5,
    "datasets:shard-set-list": 4,
    "datasets:source-list": 5,
    "datasets:tokenizer-list": 4,
    "training:model-list": 7,  # aliases, imports under way, opt-outs that reach a version
    "evaluation:list": 4,
    "evaluation:suite-list": 5,
    "playground:deployment-list": 5,
    "jobs:list": 4,
    "access:audit": 6,
}


@pytest.mark.parametrize("name", PINNED)
def test_a_lists_queries_are_pinned_and_do_not_grow_with_its_rows(grace_client, project, name):
    url = reverse(name, args=[project.slug])
    for number in range(2):
        begin_pipeline(project, factories.make_chain(project, name=f"small-{number}"))
    add_built_in_suites(project=project)  # or the first look at a project's suites makes them
    assert queries_of(grace_client, url) == PINNED[name]
    for number in range(6):
        begin_pipeline(project, factories.make_chain(project, name=f"large-{number}"))
    assert queries_of(grace_client, url) == PINNED[name]


def test_the_run_page_waits_for_no_chart_and_its_charts_for_two_queries(grace_client, project, chain):
    page = reverse("training:run", args=[project.slug, chain.run.pk])
    with CaptureQueriesContext(connection) as queries:
        shown = grace_client.get(page).content.decode()
    assert "jobs_metricpoint" not in " ".join(query["sql"] for query in queries)
    assert f'data-chart-url="{page}chart/loss"' in shown
    other = factories.make_training_run(chain.shard_set, name="calm-otter-2")
    compare = reverse("training:run-compare", args=[project.slug])
    asked = {"ids": f"{chain.run.pk},{other.pk}", "chart": "loss/train"}
    with CaptureQueriesContext(connection) as queries:
        figure = grace_client.get(compare, asked).json()
    assert [trace["name"] for trace in figure["data"]] == [chain.run.name, "calm-otter-2"]
    assert sum("jobs_metricpoint" in query["sql"] for query in queries) == 2  # where each curve ends, and its extremes
    assert grace_client.get(compare, asked | {"chart": "no such"}).status_code == 404


def test_a_pipelines_list_counts_the_steps_that_are_done(grace_client, project, chain):
    start_pipeline(project=project, by=None, name="just begun", plan={})
    begin_pipeline(project, chain)
    rows = grace_client.get(reverse("pipeline:list", args=[project.slug])).context["page"].rows
    assert [row.n_done for row in rows if row.name == "just begun"] == [0]
    assert {row.n_done for row in rows if row.name == "First model"} == {7}


def test_the_overview_shows_the_newest_finished_score_of_each_released_version(grace_client, project, chain):
    later = factories.make_evaluation(chain.version)
    Evaluation.objects.filter(pk=later.pk).update(sha256=None)
    standing = grace_client.get(reverse("pipeline:overview", args=[project.slug])).context["standing"]
    assert {row["promotion"].to_version: row["evaluation"] for row in standing} == {chain.version: chain.evaluation}


def test_the_status_page_counts_the_jobs_of_ones_own_projects(grace_client, mallory_client, project, root):
    factories.job(project, "count")
    counts = [
        client.get(reverse("pipeline:status")).context["active"]
        for client in (grace_client, mallory_client, factories.signed_in_client(root))
    ]
    assert counts == [1, 0, 1]


def queries_of(client, url):
    with CaptureQueriesContext(connection) as queries:
        client.get(url)
    return len(queries)
