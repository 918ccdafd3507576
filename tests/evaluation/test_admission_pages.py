"""A suite is admitted on its page: what counts by language, what does not and why, and what an evaluation says of it."""

from __future__ import annotations

import json

import pytest

from controlplane.access.models import AuditEntry
from controlplane.access.refusals import Refused
from controlplane.jobs.models import Job
from eval_app import actions, jobs, languages
from eval_app.models import Suite, SuiteAdmission
from tests import factories
from worker import specs
from worker.manifest import Artifact, Manifest

EXCLUDED = (
    {"task_id": "t/1", "language": "python", "reason": "empty passes", "why": "an empty completion passes"},
    {"task_id": "t/9", "language": "perl", "reason": "not available", "why": "perl is not available: missing: no perl"},
)


@pytest.fixture
def suite(project):
    return factories.make_suite(project, "ours")


def suite_page(client, suite, **asked):
    return client.get(f"/projects/demo/suites/{suite.pk}/", asked)


def test_a_suite_is_admitted_by_a_job_of_the_cpu_queue_and_nobody_asks_twice(suite, grace_client):
    page = suite_page(grace_client, suite)
    assert "Admit it" in page.content.decode()
    answer = grace_client.post(f"/projects/demo/suites/{suite.pk}/admit", {"timeout_seconds": "5"})
    assert answer.url == f"/projects/demo/suites/{suite.pk}/"
    made = SuiteAdmission.objects.get()
    assert (made.job.kind, made.job.queue, made.job.url) == ("admit_suite", "cpu", answer.url)
    spec = jobs.admit_suite.spec_for(made.job)
    assert spec == specs.AdmitSuite(specs.SuiteRef("ours", "ours"), timeout_seconds=5.0)
    assert AuditEntry.objects.filter(action="admit_suite").count() == 1
    again = grace_client.post(f"/projects/demo/suites/{suite.pk}/admit", {"timeout_seconds": "5"}, follow=True)
    assert "being admitted already" in again.content.decode() and SuiteAdmission.objects.count() == 1
    assert 'hx-trigger="every 2s"' in suite_page(grace_client, suite).content.decode()


def test_an_evaluation_with_the_same_limits_asks_for_what_was_admitted(suite, chain, grace_client):
    """worker.evaluation.admit finds it by the spec: both forms must make the same one of what they begin with."""
    grace_client.post(f"/projects/demo/suites/{suite.pk}/admit", {"timeout_seconds": "5"})
    form = {"model_version": chain.version.pk, "suite": suite.pk, "samples": 1, "timeout_seconds": "5"}
    grace_client.post("/projects/demo/evaluations/new", form)
    admitted = jobs.admit_suite.spec_for(Job.objects.get(kind="admit_suite"))
    evaluated = jobs.evaluate_model.spec_for(Job.objects.filter(kind="evaluate_model").latest("created_at"))
    for name in ("suite", "languages", "max_problems", "timeout_seconds", "unproved", "allow_unsafe"):
        assert getattr(admitted, name) == getattr(evaluated, name), name


def test_limits_that_are_none_are_refused_beside_their_field(suite, grace_client):
    answer = grace_client.post(f"/projects/demo/suites/{suite.pk}/admit", {"timeout_seconds": "0"})
    assert (answer.status_code, "<details open>" in answer.content.decode()) == (422, True)


def test_what_the_stage_found_is_the_admissions_account(suite):
    made = actions.admit_suite(project=suite.project, by=None, suite=suite)
    artifact = Artifact("file:///store/suite", "0" * 64, 10, 2)
    summary = {"languages": {}, "excluded": [], "state": {}}
    counts = {"problems": 2, "admitted": 1, "excluded": 1}
    manifest = Manifest("admit_suite", "2", {}, "key", {"suite": artifact}, counts=counts, summary=summary)
    jobs.admit_suite.on_success(made.job, manifest)
    assert SuiteAdmission.objects.newest_ready(suite).counts == counts


def test_the_page_says_by_language_what_counts_and_why_the_rest_does_not(suite, grace_client, tmp_path):
    problems = {f"t/{n}": {"admitted": True, "language": "python", "reason": "", "why": ""} for n in (10, 2)}
    problems |= {row["task_id"]: {**row, "admitted": False} for row in EXCLUDED}
    (tmp_path / "admission.json").write_text(json.dumps({"problems": problems}))
    factories.make_admission(suite, excluded=EXCLUDED, uri=tmp_path.as_uri())
    page = suite_page(grace_client, suite)
    text = page.content.decode()
    assert [row.task_id for row in page.context["rows"]] == ["t/10", "t/2", "t/1", "t/9"]
    assert "2 of 4 problems count" in text
    assert "not available" in text and "no perl" in text and "empty passes 1" in text
    assert "python 3.11.2" in text
    assert "<b>no</b>, an empty completion passes" in text
    narrowed = suite_page(grace_client, suite, state="empty passes")
    assert [row.task_id for row in narrowed.context["rows"]] == ["t/1"]
    assert [row.task_id for row in suite_page(grace_client, suite, language="perl").context["rows"]] == ["t/9"]


def test_a_problem_that_was_only_admitted_is_shown_with_its_reference(suite, grace_client, tmp_path):
    record = {
        "task_id": "t/1",
        "language": "go",
        "prompt": "func f() int {",
        "reference": " return 1 }",
        "tests": "f()",
    }
    (tmp_path / "problems.jsonl").write_text(json.dumps(record) + "\n")
    factories.make_admission(suite, uri=tmp_path.as_uri())
    page = grace_client.get(f"/projects/demo/suites/{suite.pk}/problem", {"task": "t/1"})
    assert " return 1 }" in page.content.decode()


def test_an_own_problem_added_since_is_not_admitted_yet(project, grace_client):
    texts = {"prompt": "x = (", "reference": "1)", "tests": "assert x"}
    suite = actions.add_problem(project=project, by=None, suite="own", **texts).suite
    factories.make_admission(suite)
    assert "not admitted yet" in suite_page(grace_client, suite).content.decode()


def test_a_suite_without_problems_is_not_admitted(project):
    empty = Suite.objects.create(project=project, name="empty", location="")
    with pytest.raises(Refused, match="no problem yet"):
        actions.admit_suite(project=project, by=None, suite=empty)


def test_a_viewer_sees_and_does_not_admit(suite, victor_client, mallory):
    assert suite_page(victor_client, suite).status_code == 200
    assert victor_client.post(f"/projects/demo/suites/{suite.pk}/admit", {"timeout_seconds": "5"}).status_code == 403
    assert suite_page(factories.signed_in_client(mallory), suite).status_code == 404


def test_a_suites_queries_do_not_grow_with_its_admissions(suite, grace_client, django_assert_num_queries):
    for _ in range(5):
        factories.make_admission(suite)
    # session, person, project with role, suite, the latest admission, the newest that is ready, the newest evaluation,
    # checks for contamination
    with django_assert_num_queries(8):
        suite_page(grace_client, suite)


# ---- what an evaluation says ------------------------------------------------------------------------------------------

PASS = {"value": 0.5, "low": 0.3, "high": 0.7}


@pytest.fixture
def chain(project):
    return factories.make_chain(project)


def spoken(evaluation, *names, **more):
    """The evaluation with these languages scored, two problems each, and EXCLUDED left out."""
    evaluation.summary |= {
        "by_language": {name: {"1": PASS} for name in names},
        "problems": [{"task_id": f"{name}/{n}", "language": name, "n": 1, "c": n} for name in names for n in (0, 1)],
        "excluded": list(EXCLUDED),
    } | more
    evaluation.save(update_fields=["summary"])
    return evaluation


def test_an_evaluation_says_how_many_count_and_why_the_others_do_not(chain, grace_client):
    spoken(chain.evaluation, "python")
    text = grace_client.get(f"/projects/demo/evaluations/{chain.evaluation.pk}/").content.decode()
    assert "2 left out" in text and "empty passes 1" in text and "an empty completion passes" in text


def test_a_language_without_a_runtime_is_not_available_and_no_zero(chain):
    found = languages.of_score(spoken(chain.evaluation, "python", "go").summary)
    assert (found["perl"].value, found["perl"].why) == (None, "not available")
    assert (found["python"].value, found["python"].n, found["python"].left_out) == (0.5, 2, 1)
    radar = languages.radar([chain.evaluation])
    assert radar["data"][0]["theta"] == ["go", "perl", "python", "go"]
    assert radar["data"][0]["r"] == [50.0, None, 50.0, 50.0]


def test_two_languages_are_a_table_without_a_radar(chain):
    spoken(chain.evaluation, "python", "go", excluded=[])
    assert languages.radar([chain.evaluation]) is None
    assert [row.language for row in languages.table([chain.evaluation])] == ["go", "python"]


def test_a_comparison_shows_the_languages_of_those_that_may_be_compared(chain, grace_client):
    other = factories.make_evaluation(factories.make_model_version(chain.run, number=2))
    for one in (chain.evaluation, other):
        spoken(one, "python", "go", "rust")
    page = grace_client.get(f"/projects/demo/evaluations/compare?ids={chain.evaluation.pk},{other.pk}")
    assert len(page.context["radar"]["data"]) == 2
    assert [len(row.cells) for row in page.context["languages"]] == [2, 2, 2, 2]


# ---- a sample becomes a problem ---------------------------------------------------------------------------------------


def test_a_failed_sample_becomes_a_problem_whose_tests_must_refuse_it(chain, grace_client, tmp_path):
    record = {"task_id": "t/1", "language": "python", "prompt": "x = (", "reference": "1)", "tests": "assert x == 1"}
    (tmp_path / "problems.jsonl").write_text(json.dumps(record) + "\n")
    chain.evaluation.uri = tmp_path.as_uri()
    chain.evaluation.save(update_fields=["uri"])
    row = chain.evaluation.samples.create(
        task_id="t/1", sample=0, outcome="failed", prompt="x = (", completion="2)", seconds=0.1
    )
    place = f"/projects/demo/evaluations/{chain.evaluation.pk}/samples/{row.pk}"
    assert f"{place}/problem" in grace_client.get(place).content.decode()
    initial = grace_client.get(f"{place}/problem").context["form"].initial
    assert initial.items() >= {**record, "buggy": "2)"}.items() - {("task_id", "t/1")}
    form = {**initial, "suite": "our-own"}
    answer = grace_client.post(f"{place}/problem", form)
    (problem,) = Suite.objects.get(name="our-own").problems.all()
    assert answer.url == f"/projects/demo/suites/{problem.suite_id}/"
    assert (problem.from_sample, problem.record()["buggy"]) == (row, "2)")
    again = grace_client.post(f"{place}/problem", form)
    assert (again.status_code, "a problem of our-own already" in again.content.decode()) == (422, True)
    shown = grace_client.get(f"/projects/demo/suites/{problem.suite_id}/problem", {"task": "our-own/1"})
    assert place in shown.content.decode()


def test_a_viewer_makes_no_problem_of_a_sample(chain, victor_client):
    (row,) = chain.evaluation.samples.all()
    place = f"/projects/demo/evaluations/{chain.evaluation.pk}/samples/{row.pk}/problem"
    assert victor_client.get(place).status_code == 403


# ---- for scripts ------------------------------------------------------------------------------------------------------


def test_a_script_puts_a_suite_up_and_admits_it(project, grace, client, settings, tmp_path):
    from django.core.files.uploadedfile import SimpleUploadedFile

    settings.STORAGE_URL = str(tmp_path / "storage")
    headers = factories.bearer(factories.token(project, grace)[1])
    file = SimpleUploadedFile("ours.jsonl", b'{"task_id": "u/0", "prompt": "x = (", "tests": "assert x"}\n')
    made = client.post("/v1/suites/upload", {"name": "uploaded", "file": file}, headers=headers)
    assert (made.status_code, made.json()["admission"]) == (201, None)
    assert client.get("/v1/suites/uploaded/admission", headers=headers).status_code == 404
    begun = client.post("/v1/suites/uploaded/admit", {"unproved": "true"}, headers=headers)
    assert (begun.status_code, begun.json()["status"]) == (202, "queued")
    assert SuiteAdmission.objects.get().parameters == {"timeout_seconds": 5.0, "unproved": True}
    assert client.post("/v1/suites/uploaded/admit", headers=headers).status_code == 400
    found = client.get("/v1/suites", headers=headers).json()["data"]
    assert [row["name"] for row in found] == ["uploaded"]


def test_a_script_reads_what_counts_and_may_not_admit_with_a_reading_token(suite, grace, client):
    factories.make_admission(suite, excluded=EXCLUDED)
    headers = factories.bearer(factories.token(suite.project, grace, "read")[1])
    told = client.get("/v1/suites/ours/admission", headers=headers).json()
    assert told["status"] == "succeeded" and told["excluded"][0]["task_id"] == "t/1"
    assert told["languages"]["perl"]["status"] == "not available"
    assert client.post("/v1/suites/ours/admit", headers=headers).status_code == 403
