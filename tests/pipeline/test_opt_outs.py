"""Opt-out: what holds somebody's rows, down to live deployments; a version without them; models that are marked."""

from __future__ import annotations

import pytest

from controlplane.access.models import AuditEntry
from controlplane.access.refusals import Refused
from controlplane.pipeline import actions
from controlplane.pipeline.models import OptOut
from controlplane.pipeline.opt_outs import reach_of
from datasets_app.models import DatasetVersion
from datasets_app.opt_outs import Rules, covered, without
from tests import factories, stage_rows
from worker import cleaning

PAGE = "/projects/demo/opt-out/"


@pytest.fixture
def versions(project):
    return stage_rows.dataset_versions(project)


@pytest.fixture
def deployed(project):
    """A dataset, shards that hold its rows, a model trained on them, and its deployment."""
    version = stage_rows.version(project)
    version.sources.add(factories.make_source(project, "s"))
    run = stage_rows.run(stage_rows.shards(version, stage_rows.tokenizer(version)))
    model = factories.make_model_version(run)
    return version, model, factories.make_deployment(model)


@pytest.mark.parametrize(
    ("rules", "rows"),
    [
        (Rules(repositories=("tools",)), 11),
        (Rules(repositories=("t*", "we?")), 19),
        (Rules(paths=("module_*",)), 8),
        (Rules(paths=("web:page_[0-3].py",)), 4),
        (Rules(paths=("tools:page_*",)), 0),
        (Rules(authors=("ada@example.org",)), 0),
        (Rules(paths=("' OR 1=1 --",)), 0),
    ],
)
def test_rules_cover_rows_by_source_and_path(versions, rules, rows):
    assert covered(versions[0].uri, rules).rows == rows


def test_the_reach_goes_by_rows_down_to_live_deployments(project, versions, deployed):
    version, model, deployment = deployed
    reach = reach_of(project, Rules(paths=("pkg/module_1.py",)))
    assert [(holding.version, holding.covered.rows) for holding in reach.holdings] == [(version, 1)]
    assert (reach.models, reach.live, reach.searched) == ({model: 1}, [deployment], 3)
    nothing = reach_of(project, Rules(paths=("pkg/held_*",)))  # held out: no training shard holds it
    assert [holding.version for holding in nothing.holdings] == [version]
    assert (nothing.models, nothing.live) == ({}, [])


def test_shards_that_cannot_be_asked_count_as_holding_the_rows(project, deployed):
    version, model, _ = deployed
    shards = version.shard_sets.get()
    shards.uri = "file:///nowhere/shards"
    shards.save()
    reach = reach_of(project, Rules(paths=("pkg/*",)))
    assert reach.models == {model: -1}
    assert "cannot be read" in reach.unreadable[0].problem


def test_rules_are_added_to_those_that_a_recipe_has():
    steps = cleaning.with_parameters({"opt_out": {"paths": ["a/*"]}})
    rules = Rules(("me/*",), ("a/*", "b/*"))
    found = {step["name"]: step["parameters"] for step in without({"steps": steps, "seed": 1}, rules)["steps"]}
    assert found["opt_out"] == {"paths": ["a/*", "b/*"], "repositories": ["me/*"]}
    bare = without({"steps": cleaning.with_parameters(without=["opt_out"])}, rules)["steps"]
    assert cleaning.problems([(step["name"], step["parameters"]) for step in bare]) == []


def test_one_action_makes_a_version_without_them_and_marks_the_models(project, ada, ada_client, deployed):
    _, model, _ = deployed
    sent = {"paths": "pkg/module_1.py\npkg/module_2.py", "reason": "Ada asked on 3 May."}
    answer = ada_client.post(f"{PAGE}act", sent)
    row = OptOut.objects.get()
    assert answer.url == f"{PAGE}{row.pk}/"
    made = row.versions.get()
    assert (made.number, made.is_ready, made.job.status) == (2, False, "queued")
    assert made.recipe["steps"][0]["parameters"] == {"paths": ["pkg/module_1.py", "pkg/module_2.py"]}
    assert [(mark.model_version, mark.rows) for mark in row.marks.all()] == [(model, 2)]
    page = ada_client.get(f"/projects/demo/models/{model.pk}/").content.decode()
    assert "Trained on rows that were opted out." in page
    assert "Ada asked on 3 May." in page
    entry = AuditEntry.objects.get(action="opt_out")
    assert (entry.actor, entry.reason, entry.after["models"]) == (ada, "Ada asked on 3 May.", [str(model)])
    assert ada_client.get(answer.url).status_code == 200


def test_rules_that_cover_nothing_are_refused_and_those_on_authors_are_not(project, ada, versions):
    with pytest.raises(Refused, match="No row"):
        actions.opt_out(project=project, by=ada, rules=Rules(paths=("nowhere/*",)), reason="x")
    row = actions.opt_out(project=project, by=ada, rules=Rules(authors=("ada@example.org",)), reason="x")
    assert [str(version) for version in row.versions.all()] == ["code v3"]
    assert DatasetVersion.objects.count() == 3


def test_the_page_looks_for_a_viewer_and_acts_for_a_maintainer_only(victor_client, grace_client, versions):
    page = victor_client.get(PAGE, {"repositories": "tools"})
    assert page.status_code == 200
    assert "11 rows" in page.content.decode()
    assert "Leave them out" not in page.content.decode()
    for client in (victor_client, grace_client):
        assert client.post(f"{PAGE}act", {"repositories": "tools", "reason": "x"}).status_code == 403
    for nothing in ("", "*"):
        assert victor_client.get(PAGE, {"repositories": nothing, "paths": ""}).status_code == 422


def test_the_pages_queries_are_pinned(grace_client, versions, django_assert_num_queries):
    with django_assert_num_queries(7):
        grace_client.get(PAGE, {"repositories": "tools"})
