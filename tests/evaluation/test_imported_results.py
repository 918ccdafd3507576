"""Scores that other harnesses made: read, marked, kept apart; and never taken for our own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from controlplane.access.models import AuditEntry
from controlplane.access.refusals import Refused
from eval_app import actions, leaderboard
from eval_app.models import Baseline, Evaluation, Suite
from playground_app import gate
from tests import factories

IMPORT = "/projects/demo/evaluations/import"
LM_EVAL = {
    "results": {
        "humaneval": {"alias": "humaneval", "pass@1,create_test": 0.25, "pass@1_stderr,create_test": 0.05},
        "hellaswag": {"acc,none": 0.6, "acc_stderr,none": 0.01},
    },
    "configs": {"humaneval": {"generation_kwargs": {"until": ["\nclass"], "do_sample": False}, "repeats": 1}},
    "versions": {"humaneval": 1.0, "hellaswag": 1.0},
    "n-samples": {"humaneval": {"original": 164, "effective": 2}, "hellaswag": {"original": 10, "effective": 10}},
    "config": {"model": "hf", "model_args": "pretrained=org/coder-1b"},
    "model_name": "org/coder-1b",
    "lm_eval_version": "0.4.9",
}
SAMPLES = [
    {"doc_id": 0, "doc": {"task_id": "HumanEval/0"}, "arguments": [["def f():\n", {}]], "resps": [["    return 1"]],
     "pass@1": 1.0},
    {"doc_id": 1, "doc": {"task_id": "HumanEval/1"}, "arguments": [["def g():\n", {}]], "resps": [["<script>"]],
     "pass@1": 0.0},
]  # fmt: skip
BIGCODE = {"humaneval": {"pass@1": 0.31}, "config": {"model": "org/coder-1b", "temperature": 0.2, "n_samples": 20}}
RESULTS_NAME = "results_2026-01-02T03-04-05.678901.json"
SAMPLES_NAME = "samples_humaneval_2026-01-02T03-04-05.678901.jsonl"


@pytest.fixture(autouse=True)
def storage(settings, tmp_path):
    settings.STORAGE_URL = str(tmp_path / "storage")
    return Path(settings.STORAGE_URL)


@pytest.fixture
def chain(project):
    return factories.make_chain(project)


def lm_eval(results=LM_EVAL):
    lines = "".join(json.dumps(row) + "\n" for row in SAMPLES)
    return {RESULTS_NAME: json.dumps(results).encode(), SAMPLES_NAME: lines.encode()}


def uploaded(files):
    return [SimpleUploadedFile(name, content) for name, content in files.items()]


def imported(project, files=None, **more):
    asked = {"baseline": "coder-1b"} | more
    return actions.import_results(project=project, by=None, files=files or lm_eval(), **asked)


def test_a_members_upload_becomes_a_score_with_its_samples_files_and_trail(project, grace_client, storage):
    answer = grace_client.post(IMPORT, {"results": uploaded(lm_eval()), "baseline": "coder-1b"})
    (made,) = Evaluation.objects.all()
    assert answer.url == f"/projects/demo/evaluations/{made.pk}/"
    assert (made.harness, made.job, made.subject_name, made.suite.name) == ("lm-eval", None, "coder-1b", "humaneval")
    assert made.pass_at_1 == 0.25
    rows = [(row.task_id, row.outcome, row.completion) for row in made.samples.order_by("task_id")]
    assert rows == [("HumanEval/0", "passed", "    return 1"), ("HumanEval/1", "failed", "<script>")]
    assert {path.name for path in storage.glob("imported/*/*")} == {RESULTS_NAME, SAMPLES_NAME}
    assert AuditEntry.objects.get(action="import_results").after["task"] == "humaneval"
    assert AuditEntry.objects.get(action="add_baseline").object_name == "coder-1b"
    page = grace_client.get(answer.url).content.decode()
    assert "Imported from lm-eval 0.4.9" in page
    assert "org/coder-1b" in page
    assert "hellaswag (acc)" in page  # told once, as a message
    for place in ("", "leaderboard", "import"):
        assert grace_client.get(f"/projects/demo/evaluations/{place}").status_code == 200
    assert grace_client.get(f"{answer.url}samples/{made.samples.first().pk}").status_code == 200
    assert grace_client.get(f"/projects/demo/suites/{made.suite_id}/").status_code == 200


def test_what_is_imported_stands_apart_and_says_what_is_not_known(chain, project, grace_client):
    (made,), _ = imported(project, baseline="", model_version=chain.version, suite=chain.evaluation.suite)
    ours, theirs = leaderboard.groups(chain.evaluation.suite)
    assert [row.harness for row in (*ours.rows, *theirs.rows)] == ["", "lm-eval"]
    told = {item.name: item.theirs for item in theirs.differing}
    assert (told["isolation"], told["harness"]) == ("not known", "lm-eval 0.4.9")
    assert not chain.evaluation.is_comparable_with(made)
    page = grace_client.get("/projects/demo/evaluations/leaderboard").content.decode()
    assert "imported from lm-eval" in page
    both = grace_client.get("/projects/demo/evaluations/compare", {"ids": f"{chain.evaluation.pk},{made.pk}"})
    assert "test" not in both.context
    assert "not known" in both.content.decode()
    version = grace_client.get(f"/projects/demo/models/{chain.version.pk}/").content.decode()
    assert "imported from lm-eval" in version


def test_two_models_of_one_harness_share_a_table_and_are_compared_with_a_warning(project, grace_client):
    (one,), _ = imported(project)
    (two,), _ = imported(project, lm_eval(LM_EVAL | {"model_name": "org/coder-3b"}), baseline="coder-3b")
    (table,) = leaderboard.groups(one.suite)
    assert [str(row) for row in table.rows] == ["coder-1b", "coder-3b"]
    page = grace_client.get("/projects/demo/evaluations/compare", {"ids": f"{one.pk},{two.pk}"}).content.decode()
    assert "that their sandboxes judged alike is not known" in page


def test_a_file_from_elsewhere_opens_no_gate(chain, project):
    imported(project, baseline="", model_version=chain.version, suite=chain.evaluation.suite)
    assert gate.latest_evaluation(chain.version) == chain.evaluation
    chain.evaluation.archived_at = chain.evaluation.created_at
    chain.evaluation.save(update_fields=["archived_at"])
    assert not gate.check(chain.version)[0].passed


def test_the_interval_is_the_harnesss_own_and_none_where_it_gives_none(project):
    (made,), left_out = imported(project)
    score = made.summary["pass_at_k"]["1"]
    assert (score["low"], score["high"]) == (pytest.approx(0.152), pytest.approx(0.348))
    assert left_out == ["hellaswag (acc)"]
    (bare,), _ = imported(project, {"evaluation_results.json": json.dumps(BIGCODE).encode()})
    assert bare.summary["pass_at_k"]["1"] == {"value": 0.31, "low": None, "high": None}
    assert (bare.harness, bare.suite) == ("bigcode", made.suite)


def test_a_score_without_an_interval_shows_on_every_page(project, grace_client):
    (made,), _ = imported(project, {"evaluation_results.json": json.dumps(BIGCODE).encode()})
    for place in ("", "leaderboard", f"{made.pk}/"):
        page = grace_client.get(f"/projects/demo/evaluations/{place}")
        assert "31" in page.content.decode()
    assert "None" not in page.content.decode()


def test_several_tasks_become_a_score_each(project, grace_client):
    both = LM_EVAL["results"]["humaneval"]
    results = LM_EVAL | {"results": {"humaneval": both, "mbpp": {"pass_at_1,none": 0.5}}}
    files = {RESULTS_NAME: json.dumps(results).encode()}
    with pytest.raises(Refused, match="several tasks"):
        imported(project, files, suite=factories.make_suite(project))
    made, _ = imported(project, files)
    assert sorted((row.suite.name, row.pass_at_1) for row in made) == [("humaneval", 0.25), ("mbpp", 0.5)]


def test_the_same_files_are_taken_once(project):
    imported(project)
    with pytest.raises(Refused, match="imported already"):
        imported(project)
    assert Evaluation.objects.count() == 1


@pytest.mark.parametrize(
    "files",
    [
        {"results.json": b"not json"},
        {"results.json": b"\xff\xfe"},
        {"results.json": b"[]"},
        {"results.json": b"{}"},
        {"results.json": b'{"results": {"hellaswag": {"acc,none": 0.6}}}'},
        {"results.json": b'{"results": {"humaneval": 3}}'},
        {"samples.jsonl": b"{}\n"},
        {"a.json": json.dumps(BIGCODE).encode(), "b.json": json.dumps(BIGCODE).encode()},
        {"../up.json": json.dumps(BIGCODE).encode()},
    ],
)
def test_what_cannot_be_read_is_refused_with_what_was_expected_and_leaves_nothing(project, files):
    with pytest.raises(Refused) as refused:
        imported(project, files)
    assert "xpected" in str(refused.value) or "pass@1" in str(refused.value) or "name" in str(refused.value)
    assert not Evaluation.objects.exists()
    assert not Baseline.objects.exists()


def test_the_page_tells_what_is_wrong_and_asks_for_one_subject(chain, grace_client, victor_client, mallory_client):
    bad = grace_client.post(IMPORT, {"results": uploaded({"results.json": b"{}"}), "baseline": "coder-1b"})
    assert (bad.status_code, "Expected are one file of results" in bad.content.decode()) == (422, True)
    both = {"results": uploaded(lm_eval()), "baseline": "coder-1b", "model_version": chain.version.pk}
    assert "one of the two" in grace_client.post(IMPORT, both).content.decode()
    assert "This field is required" in grace_client.post(IMPORT, {"baseline": "coder-1b"}).content.decode()
    assert victor_client.get(IMPORT).status_code == victor_client.post(IMPORT).status_code == 403
    assert mallory_client.get(IMPORT).status_code == 404


def test_another_projects_version_cannot_be_named(chain, mallory_client):
    form = {"results": uploaded(lm_eval()), "model_version": chain.version.pk}
    page = mallory_client.post("/projects/elsewhere/evaluations/import", form)
    assert (page.status_code, "No model version" in page.content.decode()) == (422, True)


def test_nothing_is_judged_on_a_suite_that_has_imported_scores_alone(chain, project, grace_client):
    (made,), _ = imported(project)
    with pytest.raises(Refused, match="imported scores alone"):
        actions.evaluate_model(project=project, by=None, subject=chain.version, suite=made.suite, parameters={})
    with pytest.raises(Refused, match="nothing here to judge again"):
        actions.judge_again(evaluation=made, by=None)
    assert made.suite not in Suite.objects.for_choice(project)
    with pytest.raises(Refused, match="imported scores alone"):
        actions.admit_suite(project=project, by=None, suite=made.suite)


def test_a_suite_page_lists_the_problems_that_were_judged_here(chain, project, grace_client):
    imported(project, suite=chain.evaluation.suite)
    page = grace_client.get(f"/projects/demo/suites/{chain.evaluation.suite_id}/").content.decode()
    assert "starter/0" in page
    assert "HumanEval/0" not in page
