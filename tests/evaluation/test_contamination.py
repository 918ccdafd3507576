"""Contamination checks: how they are asked for, what becomes of a stage's matches, and what pages and scripts are told."""

from __future__ import annotations

import json

import duckdb
import pytest

from controlplane.access.models import AuditEntry
from controlplane.access.refusals import Refused
from eval_app import actions, contamination, export, jobs
from eval_app.contamination_models import ContaminationCheck
from tests import factories

PAGE = "/projects/demo/suites/contamination/"


@pytest.fixture
def chain(project):
    return factories.make_chain(project)


@pytest.fixture
def scored(chain):
    """An evaluation of four problems, the first and the third of which are solved."""
    row = chain.evaluation
    row.summary["problems"] = [
        {"task_id": f"starter/{n}", "language": "python", "n": 1, "c": 1 - n % 2, "n_truncated": 0} for n in range(4)
    ]
    row.save()
    return row


def find(chain, **more):
    asked = {"suite": chain.evaluation.suite, "dataset_version": chain.dataset_version}
    return actions.find_contamination(project=chain.run.project, by=None, **asked, **more)


def write_matches(folder, rows):
    columns = list(rows[0])
    with duckdb.connect() as database:
        values = ", ".join(f"({', '.join('?' for _ in columns)})" for _ in rows)
        sql = f"COPY (SELECT * FROM (VALUES {values}) AS t({', '.join(columns)})) TO '{folder}/matches.parquet'"
        database.execute(sql, [value for row in rows for value in row.values()])


def match(task_id, similarity, **more):
    told = {"task_id": task_id, "part": "reference", "kind": "verbatim", "similarity": similarity, "overlap": 1.0}
    told |= {"ast_similarity": None, "n_shared": 4, "n_grams": 5, "dataset_uri": "file:///d", "dataset_sha256": "d"}
    told |= {
        "document_id": "ab" * 16,
        "source": "s",
        "path": "a.py",
        "language": "Python",
        "line_from": 3,
        "line_to": 4,
    }
    return told | {"excerpt": "x = 1\ny = 2", "probe": "x = 1\ny = 2"} | more


# ---- asking ----------------------------------------------------------------------------------------------------------


def test_a_check_asks_for_the_suite_in_the_training_rows(chain):
    check = find(chain)
    spec = jobs.find_contamination.spec_for(check.job)
    assert (spec.suite.location, spec.datasets[0].sha256) == ("starter-python", chain.dataset_version.sha256)
    assert (check.job.queue, check.job.priority) == ("cpu", -10)
    assert AuditEntry.objects.filter(action="find_contamination", object_id=check.pk).exists()


def test_the_same_is_not_asked_twice_at_once(chain):
    find(chain)
    with pytest.raises(Refused, match="already"):
        find(chain)


def test_a_suite_without_a_problem_cannot_be_looked_for(chain, project):
    empty = factories.make_suite(project, "ours")
    empty.location = ""
    empty.save()
    with pytest.raises(Refused, match="no problem yet"):
        actions.find_contamination(project=project, by=None, suite=empty, dataset_version=chain.dataset_version)


def test_it_is_started_from_the_evaluations_page(chain, grace_client):
    page = grace_client.get(f"/projects/demo/evaluations/{chain.evaluation.pk}/")
    assert b"has not been checked" in page.content
    form = {"suite": str(chain.evaluation.suite), "dataset_version": str(chain.dataset_version)}
    answer = grace_client.post(f"{PAGE}find", form)
    check = ContaminationCheck.objects.get()
    assert answer.url == f"{PAGE}{check.pk}/"
    assert grace_client.get(answer.url).status_code == 200
    assert b"being looked for" in grace_client.get(f"/projects/demo/evaluations/{chain.evaluation.pk}/").content


# ---- what comes back -------------------------------------------------------------------------------------------------


def test_matches_become_rows_the_most_alike_first(chain, tmp_path):
    rows = [match("b", 0.8, kind="partial"), match("a", 1.0, excerpt="x\0y", path="a\0.py")]
    write_matches(tmp_path, rows)
    check = find(chain)
    done = factories.manifest("find_contamination", "contamination", tmp_path.as_uri(), {"problems": {}}, documents=5)
    factories.succeed(check.job, done)
    found = list(check.matches.all())
    assert [(row.rank, row.task_id, row.kind) for row in found] == [(1, "a", "verbatim"), (2, "b", "partial")]
    assert (found[0].excerpt, found[0].path, found[0].ast_similarity) == ("xy", "a.py", None)


def test_a_score_is_told_on_all_and_on_clean_problems(scored, chain):
    check = factories.make_contamination_check(scored.suite, chain.dataset_version, ("starter/0", "elsewhere/1"))
    standing = contamination.of_evaluation(scored)
    assert (standing.data, standing.check) == (chain.dataset_version, check)
    assert [row.task_id for row in standing.found] == ["starter/0"]
    (score,) = standing.scores
    assert score.on_all.value == scored.pass_at_1
    assert score.on_clean is not None
    assert (score.on_clean.value, score.on_clean.n_problems) == (pytest.approx(1 / 3), 3)
    assert score.on_clean.low <= score.on_clean.value <= score.on_clean.high


def test_when_every_problem_was_found_there_is_no_clean_score(scored, chain, grace_client):
    factories.make_contamination_check(scored.suite, chain.dataset_version, tuple(f"starter/{n}" for n in range(4)))
    assert contamination.of_evaluation(scored).scores[0].on_clean is None
    assert b"every problem was found" in grace_client.get(f"/projects/demo/evaluations/{scored.pk}/").content


def test_a_check_of_another_version_of_the_suite_says_nothing_of_this_score(scored, chain, grace_client):
    factories.make_contamination_check(scored.suite, chain.dataset_version, suite_version="older")
    standing = contamination.of_evaluation(scored)
    assert standing.check is None and standing.other is not None and standing.found == []
    assert b"of another version of" in grace_client.get(f"/projects/demo/evaluations/{scored.pk}/").content


def test_a_model_from_elsewhere_says_that_its_training_data_is_unknown(scored, chain, grace_client):
    scored.model_version = factories.make_imported_version(chain.run.project)
    scored.save()
    assert contamination.of_evaluation(scored).data is None
    assert b"training data unknown" in grace_client.get(f"/projects/demo/evaluations/{scored.pk}/").content


@pytest.mark.parametrize(("n", "c", "k", "share"), [(1, 1, 1, 1.0), (4, 0, 2, 0.0), (5, 2, 2, 0.7), (10, 3, 1, 0.3)])
def test_pass_at_k_is_the_stages_own(n, c, k, share):
    assert contamination.pass_at_k(n, c, k) == pytest.approx(share)


# ---- pages and scripts -----------------------------------------------------------------------------------------------


def test_a_checks_page_leads_from_a_problem_to_its_rows_side_by_side(scored, chain, grace_client):
    check = factories.make_contamination_check(scored.suite, chain.dataset_version)
    page = grace_client.get(f"{PAGE}{check.pk}/").content.decode()
    assert f"{PAGE}{check.pk}/problem?task=starter%2F0" in page
    rows = grace_client.get(f"{PAGE}{check.pk}/problem", {"task": "starter/0"})
    text = rows.content.decode()
    assert "shop/verbatim.py" in text
    assert f"/datasets/{chain.dataset_version.pk}/rows/" in text
    assert text.count('class="same"') == 2 * 2 * 5  # five lines of two copies, on both sides
    assert grace_client.get(f"{PAGE}{check.pk}/problem", {"task": "starter/1"}).status_code == 404


def test_the_suites_page_lists_its_checks(scored, chain, grace_client):
    check = factories.make_contamination_check(scored.suite, chain.dataset_version)
    page = grace_client.get(f"/projects/demo/suites/{scored.suite_id}/").content.decode()
    assert f"{PAGE}{check.pk}/" in page
    assert "1 of 40" in page


def test_the_leaderboard_says_who_was_checked(scored, chain, grace_client, django_assert_max_num_queries):
    place = f"/projects/demo/evaluations/leaderboard?suite={scored.suite_id}"
    assert b"not checked" in grace_client.get(place).content
    factories.make_contamination_check(scored.suite, chain.dataset_version)
    page = grace_client.get(place)
    (row,) = page.context["groups"][0].rows
    assert (row.clean.n_found, row.clean.value) == (1, pytest.approx(1 / 3))
    assert b"1 problem found in the training data" in page.content


def test_scripts_are_told_too(scored, chain, client):
    factories.make_contamination_check(scored.suite, chain.dataset_version)
    person = factories.user("ada", chain.run.project)
    _, secret = factories.token(chain.run.project, person)
    answer = client.get(f"/v1/evaluations/{scored.pk}", headers=factories.bearer(secret)).json()
    told = answer["contamination"]
    assert told["problems"]["starter/0"]["kind"] == "verbatim"
    assert told["pass_at_k"]["1"]["clean"]["n_problems"] == 3
    (group,) = client.get("/v1/suites/starter-python/leaderboard", headers=factories.bearer(secret)).json()["data"]
    assert group["rows"][0]["clean"]["n_found"] == 1


def test_exported_samples_say_how_their_problem_was_found(scored, chain):
    line = b"".join(export.samples(scored, "jsonl")).decode()
    assert json.loads(line)["contamination"] is None
    factories.make_contamination_check(scored.suite, chain.dataset_version)
    line = b"".join(export.samples(scored, "jsonl")).decode()
    assert json.loads(line)["contamination"] == "verbatim"


def test_a_renamed_copy_is_marked_by_what_its_lines_do(scored, chain):
    check = factories.make_contamination_check(scored.suite, chain.dataset_version)
    renamed = check.matches.get(kind="renamed")
    lines = contamination.side_by_side(renamed)
    assert all(same for _, _, _, _, same in lines[:5])
    assert (lines[0][0], lines[0][2]) == (1, 12)
