"""A problem and what models wrote for it; problems of the project's own; files in and out; the API; a running evaluation."""

from __future__ import annotations

import csv
import gzip
import io
import json
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from controlplane.access.models import AuditEntry
from controlplane.access.refusals import Refused
from controlplane.jobs.models import Job, JobEvent
from eval_app import actions, cost, jobs
from eval_app.diffs import diff
from eval_app.models import SampleResult, Suite
from tests import factories


@pytest.fixture
def chain(project):
    return factories.make_chain(project)


@pytest.fixture
def storage(settings, tmp_path):
    settings.STORAGE_URL = str(tmp_path / "storage")
    return settings.STORAGE_URL


def sample(evaluation, task_id, outcome="failed", number=0, completion="]", output=""):
    return SampleResult.objects.create(
        evaluation=evaluation, task_id=task_id, sample=number, outcome=outcome, prompt="items = [1, 2",
        completion=completion, output=output, seconds=0.1,
    )  # fmt: skip


def own_problem(project, suite="ours", **more):
    texts = {"prompt": "def double(x):\n", "reference": "    return 2 * x", "tests": "assert double(2) == 4"}
    return actions.add_problem(project=project, by=None, suite=suite, **(texts | more))


def problem_page(client, suite, task_id, **more):
    return client.get(f"/projects/demo/suites/{suite.pk}/problem", {"task": task_id, **more})


# ---- the pages of a problem and of a sample --------------------------------------------------------------------------


def test_a_diff_says_what_only_one_side_has():
    lines = diff("a = 1\nreturn a\n", "a = 1\nreturn b\n\n")
    assert [(line.kind, line.text) for line in lines] == [("same", "a = 1"), ("del", "return a"), ("ins", "return b")]


def test_a_problem_shows_its_samples_of_all_evaluations_newest_first(chain, grace_client):
    newer = factories.make_evaluation(chain.version, pass_at_1=0.1)
    sample(newer, "starter/1")
    page = problem_page(grace_client, chain.evaluation.suite, "starter/0")
    assert [row.evaluation for row, _ in page.context["shown"]] == [newer, chain.evaluation]
    assert "the workers alone can read" in page.content.decode()
    narrowed = problem_page(grace_client, chain.evaluation.suite, "starter/0", outcome="failed")
    assert narrowed.context["shown"] == []


def test_a_problems_queries_do_not_grow_with_its_samples(chain, grace_client, django_assert_num_queries):
    for number in range(1, 15):
        sample(chain.evaluation, "starter/0", number=number)
    # session, person, project, role, suite, newest evaluation, whether there are samples, samples, a prompt
    with django_assert_num_queries(9):
        problem_page(grace_client, chain.evaluation.suite, "starter/0")


def test_what_the_evaluation_was_judged_on_is_shown_beside_the_sample(chain, grace_client, tmp_path):
    record = {"task_id": "HumanEval/1", "language": "python", "prompt": "x = (", "reference": "1)", "tests": "assert x"}
    (tmp_path / "problems.jsonl").write_text(json.dumps(record) + "\n")
    chain.evaluation.uri = tmp_path.as_uri()
    chain.evaluation.save(update_fields=["uri"])
    row = sample(chain.evaluation, "HumanEval/1", completion="<script>2)</script>")
    page = grace_client.get(f"/projects/demo/evaluations/{chain.evaluation.pk}/samples/{row.pk}")
    text = page.content.decode()
    assert "<del>1)</del><ins>&lt;script&gt;2)&lt;/script&gt;</ins>" in text
    assert "assert x" in text
    assert "<script>2)" not in text


def test_failed_samples_are_walked_in_the_order_of_problems(chain, grace_client):
    kept = [
        sample(chain.evaluation, f"t/{place}", outcome) for place, outcome in enumerate(("failed", "passed", "error"))
    ]
    sample(chain.evaluation, "t/3", "sandbox_failed")
    page = grace_client.get(f"/projects/demo/evaluations/{chain.evaluation.pk}/samples/{kept[1].pk}")
    assert (page.context["before"], page.context["after"]) == (kept[0].pk, kept[2].pk)
    last = grace_client.get(f"/projects/demo/evaluations/{chain.evaluation.pk}/samples/{kept[2].pk}")
    assert last.context["after"] is None


def test_an_unknown_problem_and_another_projects_suite_are_not_found(chain, grace_client, mallory):
    suite = chain.evaluation.suite
    assert problem_page(grace_client, suite, "nothing").status_code == 404
    assert problem_page(grace_client, suite, "a\0b").status_code == 404
    assert problem_page(factories.signed_in_client(mallory), suite, "starter/0").status_code == 404


# ---- the project's own problems --------------------------------------------------------------------------------------


def test_a_projects_own_problems_are_written_out_when_an_evaluation_starts(chain, storage):
    project = chain.version.project
    own_problem(project, suffix="\n")
    problem = own_problem(project, language="go", from_completion="cmpl-1")
    assert problem.task_id == "ours/2"
    asked = {"subject": chain.version, "suite": problem.suite, "parameters": {"samples": 1}}
    evaluation = actions.evaluate_model(project=project, by=None, **asked)
    spec = jobs.evaluate_model.spec_for(evaluation.job)
    assert spec == jobs.evaluate_model.spec_for(evaluation.job)
    first, second = Path(spec.suite.location.removeprefix("file://")).read_text().splitlines()
    assert json.loads(first) == {
        "task_id": "ours/1",
        "language": "python",
        "prompt": "def double(x):\n",
        "suffix": "\n",
        "reference": "    return 2 * x",
        "tests": "assert double(2) == 4",
        "kind": "infill",
    }
    assert (json.loads(second)["language"], json.loads(second)["kind"]) == ("go", "complete")


def test_a_completion_becomes_a_problem_once_and_never_of_a_file(chain):
    project = chain.version.project
    own_problem(project, from_completion="cmpl-1")
    with pytest.raises(Refused, match="already"):
        own_problem(project, from_completion="cmpl-1")
    with pytest.raises(Refused, match="read from a file"):
        own_problem(project, suite="starter-python")
    assert AuditEntry.objects.filter(action="add_problem").count() == 1


def test_a_suite_without_problems_is_not_evaluated(chain, grace_client):
    empty = Suite.objects.create(project=chain.version.project, name="empty", location="")
    form = {"model_version": chain.version.pk, "suite": empty.pk, "samples": 1, "timeout_seconds": 5}
    answer = grace_client.post("/projects/demo/evaluations/new", form)
    assert (answer.status_code, "no problem yet" in answer.content.decode()) == (422, True)


def test_an_own_problem_is_read_before_it_was_ever_judged(chain, grace_client):
    problem = own_problem(chain.version.project)
    assert "not judged yet" in grace_client.get(f"/projects/demo/suites/{problem.suite_id}/").content.decode()
    assert "assert double(2) == 4" in problem_page(grace_client, problem.suite, "ours/1").content.decode()


def test_a_bad_completion_becomes_a_problem_from_its_page(chain, grace_client):
    page = f"/projects/demo/completions/{chain.completion.pk}/problem"
    assert chain.completion.prompt in grace_client.get(page).context["form"].initial["prompt"]
    form = {"suite": "ours", "language": "python", "prompt": chain.completion.prompt, "reference": "  return 1"}
    assert grace_client.post(page, form).status_code == 422
    answer = grace_client.post(page, form | {"tests": "assert 1\r\nassert 2\r\n"})  # as a browser sends it
    (problem,) = Suite.objects.get(name="ours").problems.all()
    assert answer.url == f"/projects/demo/suites/{problem.suite_id}/"
    assert (problem.reference, problem.from_completion) == ("  return 1", chain.completion.pk)
    assert problem.tests == "assert 1\nassert 2\n"
    assert chain.completion.pk in problem_page(grace_client, problem.suite, "ours/1").content.decode()
    again = grace_client.post(page, form | {"tests": "assert 1\n"})
    assert (again.status_code, "a problem of ours already" in again.content.decode()) == (422, True)


def test_a_viewer_adds_no_problem(chain, victor_client):
    assert victor_client.get(f"/projects/demo/completions/{chain.completion.pk}/problem").status_code == 403


# ---- an uploaded suite -----------------------------------------------------------------------------------------------

LINE = b'{"task_id": "u/0", "prompt": "x = (", "canonical_solution": "1)", "test": "assert x", "entry_point": "x"}\n'


def upload(client, content, file_name="ours.jsonl", name="uploaded"):
    file = SimpleUploadedFile(file_name, content)
    return client.post("/projects/demo/suites/upload", {"upload-name": name, "upload-file": file})


@pytest.mark.parametrize(("file_name", "content"), [("a.jsonl", LINE), ("a.jsonl.gz", gzip.compress(LINE))])
def test_an_uploaded_suite_is_kept_by_its_content_and_can_be_read(project, grace_client, storage, file_name, content):
    answer = upload(grace_client, content, file_name)
    suite = Suite.objects.get(name="uploaded")
    assert answer.url == f"/projects/demo/suites/{suite.pk}/"
    assert Path(suite.location.removeprefix("file://")).read_bytes() == content
    upload(grace_client, content, file_name, name="again")
    assert Suite.objects.get(name="again").location == suite.location
    assert "assert x" in problem_page(grace_client, suite, "u/0").content.decode()


@pytest.mark.parametrize(
    ("file_name", "content", "why"),
    [
        ("a.txt", LINE, "Choose a .jsonl"),
        ("a.jsonl", LINE + b"{oops\n", "Line 2 is not JSON"),
        ("a.jsonl", b"[1]\n", "Line 1 is no object"),
        ("a.jsonl", b"\n \n", "holds no problem"),
        ("a.jsonl.gz", LINE, "cannot be unpacked"),
        ("a.jsonl.gz", gzip.compress(LINE * 99)[:-20], "cannot be unpacked"),
        ("a.jsonl", b"\xff\xfe\n", "Line 1 is not JSON"),
    ],
)
def test_a_file_that_is_no_suite_is_refused_with_the_line(project, grace_client, storage, file_name, content, why):
    answer = upload(grace_client, content, file_name)
    assert (answer.status_code, why in answer.content.decode()) == (422, True)
    assert not Suite.objects.filter(name="uploaded").exists()


def test_a_file_that_is_too_large_or_unpacks_to_too_much_is_refused(project, grace_client, storage, monkeypatch):
    monkeypatch.setattr("eval_app.uploads.MOST_PLAIN_BYTES", 1000)
    assert "Unpacked the file has more" in upload(grace_client, gzip.compress(LINE * 99), "a.jsonl.gz").content.decode()
    monkeypatch.setattr("eval_app.uploads.MOST_BYTES", 10)
    with pytest.raises(Refused, match="at most 0 MB"):
        actions.upload_suite(project=project, by=None, name="x", file_name="a.jsonl", content=LINE)


def test_a_path_that_somebody_named_is_never_opened_here(chain, grace_client, storage, tmp_path):
    (tmp_path / "secret.jsonl").write_bytes(LINE)
    (tmp_path / "storage").mkdir()
    place = f"file://{tmp_path}/secret.jsonl"
    suite = Suite.objects.create(project=chain.version.project, name="sly", location=place)
    assert problem_page(grace_client, suite, "u/0").status_code == 404
    suite.location = f"file://{storage}/../secret.jsonl"
    suite.save()
    assert problem_page(grace_client, suite, "u/0").status_code == 404


# ---- files and the API -----------------------------------------------------------------------------------------------


def test_samples_are_exported_as_lines_and_as_a_table(chain, victor_client):
    sample(chain.evaluation, "starter/1", completion="=1+1\n", output="é")
    place = f"/projects/demo/evaluations/{chain.evaluation.pk}/samples"
    lines = [json.loads(line) for line in b"".join(victor_client.get(f"{place}.jsonl").streaming_content).splitlines()]
    assert [(row["task_id"], row["completion"], row["output"]) for row in lines] == [
        ("starter/0", "]", ""),
        ("starter/1", "=1+1\n", "é"),
    ]
    answer = victor_client.get(f"{place}.csv")
    table = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))
    assert table[1]["completion"] == "'=1+1\n"
    assert answer["Content-Disposition"].endswith('.csv"')
    assert victor_client.get(f"{place}.xlsx").status_code == 404


def test_another_projects_samples_are_not_exported(chain, mallory):
    place = f"/projects/demo/evaluations/{chain.evaluation.pk}/samples.csv"
    assert factories.signed_in_client(mallory).get(place).status_code == 404


def test_a_token_reads_evaluations_samples_and_a_leaderboard(chain, project, grace, client):
    headers = factories.bearer(factories.token(project, grace, "read")[1])
    listed = client.get("/v1/evaluations", headers=headers).json()
    assert [(row["id"], row["status"], row["pass_at_k"]["1"]["value"]) for row in listed["data"]] == [
        (chain.evaluation.pk, "succeeded", 0.4)
    ]
    place = f"/v1/evaluations/{chain.evaluation.pk}"
    whole = client.get(place, headers=headers).json()
    assert whole["conditions"]["isolation"] == "bubblewrap"
    lines = b"".join(client.get(f"{place}/samples", headers=headers).streaming_content).splitlines()
    assert [json.loads(line)["outcome"] for line in lines] == ["passed"]
    (table,) = client.get("/v1/suites/starter-python/leaderboard", headers=headers).json()["data"]
    assert [row["subject"] for row in table["rows"]] == ["one v1"]


def test_a_token_of_another_project_or_scope_reads_nothing(chain, project, other_project, grace, mallory, client):
    place = f"/v1/evaluations/{chain.evaluation.pk}"
    foreign = factories.bearer(factories.token(other_project, mallory, "read")[1])
    assert client.get(place, headers=foreign).status_code == 404
    assert client.get(f"{place}/samples", headers=foreign).status_code == 404
    assert client.get("/v1/suites/starter-python/leaderboard", headers=foreign).status_code == 404
    narrow = factories.bearer(factories.token(project, grace, "complete")[1])
    assert client.get(place, headers=narrow).status_code == 403
    assert client.get(place).status_code == 401


# ---- while it runs, and what it took ---------------------------------------------------------------------------------


def event(job, name, seconds=0, **payload):
    at = job.created_at + timedelta(seconds=seconds)
    JobEvent.objects.create(job=job, attempt=job.attempt, at=at, event=name, payload=payload)


def test_a_running_evaluation_counts_its_verdicts_and_asks_again(chain, grace_client):
    suite = chain.evaluation.suite
    asked = {"subject": chain.version, "suite": suite, "parameters": {"samples": 1}}
    evaluation = actions.evaluate_model(project=chain.version.project, by=None, **asked)
    for outcome in ("passed", "failed", "failed"):
        event(evaluation.job, "sample.judged", outcome=outcome)
    page = grace_client.get(f"/projects/demo/evaluations/{evaluation.pk}/")
    assert page.context["so_far"] == {"outcomes": [("failed", 2), ("passed", 1)], "n": 3}
    assert 'hx-trigger="every 2s"' in page.content.decode()
    finished = grace_client.get(f"/projects/demo/evaluations/{chain.evaluation.pk}/")
    assert 'hx-trigger="every 2s"' not in finished.content.decode()


def test_what_an_evaluation_took_is_told_by_phase(chain):
    job = chain.evaluation.job
    Job.objects.filter(pk=job.pk).update(started_at=timezone.now(), finished_at=timezone.now() + timedelta(seconds=90))
    for name, seconds, payload in (
        ("stage.entered", 0, {"phase": "generate"}),
        ("stage.entered", 60, {"phase": "judge"}),
        ("job.succeeded", 85, {}),
    ):
        event(job, name, seconds, **payload)
    job.refresh_from_db()
    chain.evaluation.summary["cost"] = {"generate_seconds": 58.5, "judge_cpu_seconds": 12.5}
    told = dict(cost.of_evaluation(chain.evaluation))
    assert told.pop("in all") == pytest.approx(90, abs=0.1)
    assert told == {"generate": 60, "judge": 25, "completions, by the clock": 58.5, "programs, processor time": 12.5}


def test_the_page_of_an_evaluation_says_isolation_runtimes_and_limits(chain, grace_client):
    chain.evaluation.summary |= {"runtimes": {"python": {"state": "ready", "versions": {"python": "3.11.2"}}}}
    chain.evaluation.summary["isolation"] |= {"zygote": True, "limits": {"memory_bytes": 536_870_912}}
    chain.evaluation.summary["excluded"] = [{"task_id": "starter/9", "why": "its reference fails"}]
    chain.evaluation.save(update_fields=["summary"])
    text = grace_client.get(f"/projects/demo/evaluations/{chain.evaluation.pk}/").content.decode()
    for told in ("zygote", "3.11.2", "537", "its reference fails", "bubblewrap"):
        assert told in text
