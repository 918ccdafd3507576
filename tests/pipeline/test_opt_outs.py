"""Opt-out: what holds somebody's rows, down to live deployments; a version without them; models that are marked."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pytest

from controlplane.access.models import AuditEntry
from controlplane.access.refusals import Refused
from controlplane.pipeline import actions
from controlplane.pipeline.models import OptOut
from controlplane.pipeline.opt_outs import reach_of
from datasets_app.models import DatasetVersion
from datasets_app.opt_outs import Rules, covered, without
from datasets_app.parquet import path_of
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
        (Rules(paths=("' OR 1=1 --",)), 0),
        (Rules(repositories=("ada/*",)), 11),
        (Rules(repositories=("https://github.com/ada/tools.git",)), 11),
        (Rules(paths=("ada/tools:module_*",)), 8),
        (Rules(authors=("GRACE@tools.example",)), 1),
        (Rules(authors=("grace hopper", "nobody")), 1),
        (Rules(authors=("Ada",)), 10),
        (Rules(authors=("ad",)), 0),
        (Rules(authors=("' OR 1=1 --",)), 0),
    ],
)
def test_rules_cover_rows_by_source_repository_path_and_author(versions, rules, rows):
    assert covered(versions[0].uri, rules).rows == rows


def test_one_of_several_authors_counts_and_letters_compare_as_the_workers_step_does(tmp_path):
    uri = write_rows(tmp_path, ["Eve <e@v.e>; ÅSA  <a@x.example>", "ΟΔΟΣ", "İda", ""])
    rules = [("åsa",), ("a@x.example",), ("οδοσ",), ("ida",), ("eve", "ΟΔΟΣ")]
    assert [covered(uri, Rules(authors=authors)).rows for authors in rules] == [1, 1, 1, 1, 2]


def write_rows(folder, authors):
    (folder / "data").mkdir()
    rows = "SELECT '0' || i AS id, 's' AS source, 'a.py' AS path, 1 AS size_bytes, 'r' AS repository, author"
    sql = f"{rows} FROM (SELECT unnest(?) AS author, generate_subscripts(?, 1) AS i)"
    duckdb.execute(f"COPY ({sql}) TO '{folder}/data/part-0.parquet' (FORMAT parquet)", [authors, authors])
    dropped = (
        "SELECT '1' AS id, 's' AS source, 'b.py' AS path, 'r' AS repository, '' AS author, 'x' AS reason, '' AS detail"
    )
    duckdb.execute(f"COPY ({dropped}) TO '{folder}/dropped.parquet' (FORMAT parquet)")
    return folder.as_uri()


def test_copies_under_other_names_are_counted_and_not_covered(versions):
    found = covered(versions[0].uri, Rules(paths=("web:copy.py", "web:alike.py")))
    assert (found.rows, found.copies) == (0, 2)  # both gave way to files of tools


def older(version, folder):
    """The same version as it was made before rows carried their repository and author."""
    shutil.copytree(path_of(version.uri), folder)
    for file in (folder / "data" / "part-00000.parquet", folder / "dropped.parquet"):
        rows = duckdb.sql(f"SELECT * EXCLUDE (repository, author) FROM read_parquet('{file}')")
        rows.write_parquet(f"{file}.old")
        Path(f"{file}.old").replace(file)
    version.uri = folder.as_uri()
    version.save()


def test_an_older_version_opens_everywhere_and_says_that_it_does_not_know(versions, tmp_path, grace_client):
    older(versions[1], tmp_path / "two")
    at = f"/projects/demo/datasets/{versions[1].pk}"
    page = grace_client.get(f"{at}/rows", {"author": "ada", "path": "contact"})
    assert [row["path"] for row in page.context["page"].rows] == ["contact.py"]
    assert "carry no repository and no author" in page.content.decode()
    row = page.context["page"].rows[0]["id"]
    assert "made before rows carried it" in grace_client.get(f"{at}/rows/{row}").content.decode()
    page = grace_client.get(f"{at}/rows", {"repository": "ada", "outcome": "dropped"})
    assert page.context["page"].rows and "Not asked: repository contains" in page.content.decode()
    for rest in ("/", "/thresholds", "/clusters/", f"/since/{versions[0].pk}", "/dropped/long-line"):
        assert grace_client.get(f"{at}{rest}").status_code == 200


def test_an_older_version_that_cannot_tell_is_named_and_made_anew(project, ada, versions, tmp_path, victor_client):
    older(versions[1], tmp_path / "two")
    rules = Rules(authors=("eve@nowhere.example",))
    reach = reach_of(project, rules)
    assert (reach.holdings, [holding.version for holding in reach.untold]) == ([], [versions[1]])
    page = victor_client.get(PAGE, {"authors": "eve@nowhere.example"}).content.decode()
    assert "Made before rows carried a repository and an author" in page
    row = actions.opt_out(project=project, by=ada, rules=rules, reason="x")
    assert [str(version) for version in row.versions.all()] == ["code v3"]
    assert reach_of(project, Rules(paths=("nowhere/*",))).untold == []


def test_a_dataset_whose_newest_version_is_without_them_is_not_made_again(project, versions):
    assert reach_of(project, Rules(paths=("long.py",))).latest == []  # code v2 dropped it: its line is too long
    assert reach_of(project, Rules(authors=("Ada",))).latest == [versions[1]]


def test_the_reach_goes_by_rows_down_to_live_deployments(project, versions, deployed):
    version, model, deployment = deployed
    reach = reach_of(project, Rules(paths=("pkg/module_1.py",)))
    assert [(holding.version, holding.covered.rows) for holding in reach.holdings] == [(version, 1)]
    assert (reach.models, reach.live, len(reach.asked)) == ({model: 1}, [deployment], 3)
    assert reach.runs == [model.run]
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


def test_rules_that_cover_nothing_are_refused(project, ada, versions):
    for rules in (Rules(paths=("nowhere/*",)), Rules(authors=("eve@nowhere.example",))):
        with pytest.raises(Refused, match="No row"):
            actions.opt_out(project=project, by=ada, rules=rules, reason="x")
    assert DatasetVersion.objects.count() == 2


def test_an_author_is_left_out_of_the_next_version_by_the_recipes_step(project, ada, versions):
    row = actions.opt_out(project=project, by=ada, rules=Rules(authors=("Grace Hopper",)), reason="x")
    (made,) = row.versions.all()
    assert str(made) == "code v3"
    assert made.recipe["steps"][0] == {"name": "opt_out", "parameters": {"authors": ["Grace Hopper"]}}


def test_lists_of_models_and_deployments_mark_those_that_saw_such_rows(project, ada, grace_client, deployed):
    _, model, _ = deployed
    other = factories.make_dataset_version(project, "other")
    run = factories.make_training_run(factories.make_shard_set(other, model.tokenizer), "calm-otter-2", "other")
    clean = factories.make_model_version(run)
    actions.opt_out(project=project, by=ada, rules=Rules(paths=("pkg/module_1.py",)), reason="x")
    for page in ("models", "deployments"):
        text = grace_client.get(f"/projects/demo/{page}/").content.decode()
        assert text.count("opted-out rows") == 1, page
        assert f'href="/projects/demo/models/{model.pk}/" title="Trained on rows that 1 opt-out named"' in text
    assert str(clean.pk) in grace_client.get("/projects/demo/models/").content.decode()


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
    with django_assert_num_queries(6):
        grace_client.get(PAGE, {"repositories": "tools"})
