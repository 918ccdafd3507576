"""The runs list's search."""

from __future__ import annotations

import pytest

from controlplane.ui.search import QueryError
from tests import factories
from training_app.models import TrainingRun
from training_app.search import matching


@pytest.fixture
def runs(project):
    version = factories.make_dataset_version(project)
    shards = factories.make_shard_set(version, factories.make_tokenizer(version))
    good = factories.make_training_run(shards, "good", metrics={"loss/val": 1.5, "step": 10}, batch_size=16)
    poor = factories.make_training_run(shards, "poor", metrics={"loss/val": 2.5}, batch_size=32)
    new = factories.make_training_run(shards, "new", metrics={}, batch_size=32)
    TrainingRun.objects.filter(pk=poor.pk).update(tags=["ablation"], notes="50% of the data")
    TrainingRun.objects.filter(pk=new.pk).update(tags=[])
    return TrainingRun.objects.for_list(project), good, poor, new


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", "good new poor"),
        ("metrics.`loss/val` < 2", "good"),
        ("metrics.`loss/val` != 1.5", "poor"),  # a run without the metric is not compared
        ("metrics.`loss/val` >= 1.5 and params.batch_size = 32", "poor"),
        ("params.batch_size in (8, 16)", "good"),
        ("params.batch_size = '32'", "new poor"),
        ("params.`shape.layers` = 4 and params.`optimiser.name` = 'muon'", "good new poor"),
        ("params.name > 3", ""),
        ("params.shape = 4", ""),
        ("tags = 'baseline'", "good"),
        ("tags.ablation = 'true' or tags = baseline", "good poor"),
        ("tags.baseline = 'false'", "new poor"),
        ("tags.baseline != 'false'", "good"),
        ("tags != 'baseline'", "new poor"),
        ("name like 'oo'", "good poor"),
        ("name ilike '%GOOD%'", "good"),
        ("status = succeeded and (name = new or name = 'poor')", "new poor"),
        ("dataset = 'python-code' and model = completer", "good new poor"),
        ("notes like 'data'", "poor"),
        ("metrics.unheard > 0", ""),
    ],
)
def test_a_query_finds_runs(runs, query, names):
    found = matching(runs[0], query)
    assert " ".join(sorted(run.name for run in found)) == names


@pytest.mark.parametrize(
    ("query", "position"),
    [
        ("colour = 'red'", 0),
        ("status = failed and colour = 'red'", 20),
        ("metrics.loss < 'low'", 0),
        ("tags like 'base'", 0),
        ("status = ", 9),
        ("name ~ 3", 5),
    ],
)
def test_a_bad_query_is_pointed_at(runs, query, position):
    with pytest.raises(QueryError) as refused:
        list(matching(runs[0], query))
    assert refused.value.position == position


def test_the_page_shows_the_place_of_the_error_and_keeps_the_query(runs, grace_client):
    answer = grace_client.get("/projects/demo/runs/", {"q": "status = failed and colour = 'red'"})
    assert answer.status_code == 422
    assert "                    ^" in answer.content.decode()
    assert answer.context["asked"].q.endswith("'red'")


@pytest.mark.parametrize(
    "odd", [{"q": "name = 'a\0'"}, {"sort": "a\0"}, {"sort": "-tags"}, {"column": ["a", "metrics.\0"]}, {"view": "x\0"}]
)
def test_odd_addresses_are_answered(runs, grace_client, odd):
    assert grace_client.get("/projects/demo/runs/", odd).status_code == 200
