"""Baselines: models of others, asked by the same suites; and their keys, which nobody sees again."""

from __future__ import annotations

import json

import pytest
from django.core import serializers
from django.db import IntegrityError, transaction

from controlplane.access import sealing
from controlplane.access.models import AuditEntry
from controlplane.access.refusals import Refused
from controlplane.jobs import preparation
from controlplane.jobs.models import Job, JobEvent, MetricPoint
from controlplane.pipeline import lineage, search
from eval_app import actions, baselines, comparison, jobs, leaderboard
from eval_app.models import Baseline, Evaluation
from playground_app import gate
from tests import factories
from training_app.actions import DEFAULT_DECODE
from worker.failures import StageFailure
from worker.specs import ENDPOINT_KEY

KEY = "sk-proj-n0b0dy-may-see-this-3vEr-wXyZ"
LIST = "/projects/demo/baselines/"
FORM = {
    "name": "gpt-9",
    "base_url": "https://api.example.com/v1/",
    "served_name": "gpt-9-2026",
    "style": "chat",
    "key": KEY,
    "concurrency": 4,
    "timeout_seconds": 60,
}


@pytest.fixture
def chain(project):
    return factories.make_chain(project)


@pytest.fixture
def baseline(project):
    return factories.make_baseline(project, key=KEY)


def start(subject, **more):
    suite = factories.make_suite(subject.project)
    asked = {"suite": suite, "parameters": {"samples": 1}} | more
    return actions.evaluate_model(project=subject.project, by=None, subject=subject, **asked)


def of_endpoint(baseline, pass_at_1=0.7, ignored=("repetition_penalty",)):
    """A finished evaluation as the stage tells it of an endpoint."""
    made = factories.make_evaluation(baseline, pass_at_1=pass_at_1)
    told = {"base_url": baseline.base_url, "model": baseline.served_name, "style": baseline.style}
    why = dict.fromkeys(ignored, "not a setting of this API")
    made.summary |= {"engine": {"name": f"endpoint:{baseline.style}", "quantise": ""}, "held_out": {}}
    made.summary |= {"subject": {"kind": "endpoint", **told}, "endpoint": told | ({"ignored": why} if why else {})}
    made.summary["cost"] = {"generate_seconds": 12.5, "judge_cpu_seconds": 3.25}
    made.summary["cost"] |= {"prompt_tokens": 1000, "completion_tokens": 234}
    made.save(update_fields=["summary"])
    return made


# ---- the key ---------------------------------------------------------------------------------------------------------


def test_a_sealed_secret_opens_again_and_says_nothing_by_itself():
    sealed = sealing.seal(KEY)
    assert KEY not in sealed
    assert sealing.unseal(sealed) == KEY
    assert sealing.seal(KEY) != sealed


def test_after_a_change_of_the_secret_key_the_fallback_still_opens_and_without_it_nothing_does(settings):
    sealed = sealing.seal(KEY)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another one, at least as long as the one before it was"
    assert sealing.unseal(sealed) == KEY
    settings.SECRET_KEY_FALLBACKS = []
    with pytest.raises(sealing.Unreadable, match="enter it again"):
        sealing.unseal(sealed)


def test_only_the_end_of_a_long_key_is_told():
    assert sealing.in_short(KEY) == "…wXyZ"
    assert sealing.in_short("short-key") == "…"
    assert sealing.in_short("") == ""


def test_the_key_is_in_no_spec_no_row_no_trail_and_no_page(baseline, settings, tmp_path, ada, ada_client):
    settings.YARD_JOBS_DIR = settings.JOBS_DIR = tmp_path
    actions.edit_baseline(baseline=baseline, by=ada, key=KEY, **{**told(baseline), "description": "another"})
    evaluation = start(baseline)
    folder = preparation.prepare(evaluation.job)
    (folder / "output.log").write_text("what the stage says\n")
    tables = (Job, JobEvent, MetricPoint, AuditEntry, Evaluation, Baseline)
    dump = "".join(serializers.serialize("json", model.objects.all()) for model in tables)
    job = f"/projects/demo/jobs/{evaluation.job_id}/"
    urls = (job, f"{job}log/", "/projects/demo/jobs/", "/projects/demo/audit/", LIST, f"{LIST}{baseline.pk}/")
    urls += (f"{LIST}{baseline.pk}/edit", f"/projects/demo/evaluations/{evaluation.pk}/", "/projects/demo/evaluations/")
    pages = [ada_client.get(url) for url in urls]
    assert [page.status_code for page in pages] == [200] * len(urls)
    for text in ((folder / "spec.json").read_text(), dump, *(page.getvalue().decode() for page in pages)):
        assert KEY not in text
        assert KEY[:-4] not in text
    assert json.loads((folder / "spec.json").read_text())["endpoint"]["model"] == "gpt-9-2026"
    assert preparation.environment(evaluation.job)[ENDPOINT_KEY] == KEY


def told(baseline):
    return {name: getattr(baseline, name) for name in actions._OF_A_BASELINE}


def test_no_other_job_gets_the_key(baseline, chain):
    other = start(chain.version)
    again = actions.judge_again(evaluation=of_endpoint(baseline), by=None)
    for job in (other.job, again.job):
        assert ENDPOINT_KEY not in preparation.environment(job)


def test_the_form_takes_a_key_and_never_shows_it(project, ada_client):
    assert ada_client.post(f"{LIST}add", FORM).status_code == 302
    (made,) = Baseline.objects.all()
    assert (made.base_url, made.key, KEY in made.sealed_key) == ("https://api.example.com/v1", KEY, False)
    page = ada_client.get(f"{LIST}{made.pk}/edit").content.decode()
    assert "A key is kept (…wXyZ); leave this empty to keep it." in page
    ada_client.post(f"{LIST}{made.pk}/edit", FORM | {"key": "", "description": "the same"})
    made.refresh_from_db()
    assert (made.key, made.description) == (KEY, "the same")
    ada_client.post(f"{LIST}{made.pk}/edit", FORM | {"key": "", "forget_key": "on"})
    made.refresh_from_db()
    assert made.key == ""


def test_a_refused_form_does_not_send_the_key_back(project, ada_client):
    page = ada_client.post(f"{LIST}add", FORM | {"base_url": "file:///etc/passwd"})
    assert page.status_code == 422
    assert KEY not in page.content.decode()


def test_a_kept_key_does_not_follow_the_address_to_another_host(baseline, ada):
    """Who may edit a baseline does not know its key: moved to a host of theirs, the key would come to them."""
    for url in ("https://evil.example.net/v1", "http://api.example.com/v1", "https://api.example.com:8443/v1"):
        with pytest.raises(Refused, match="another host"):
            actions.edit_baseline(baseline=baseline, by=ada, **told(baseline) | {"base_url": url})
    baseline.refresh_from_db()
    actions.edit_baseline(baseline=baseline, by=ada, **told(baseline) | {"base_url": "https://api.example.com/v2"})
    assert baseline.key == KEY
    moved = told(baseline) | {"base_url": "https://else.example.net/v1"}
    actions.edit_baseline(baseline=baseline, by=ada, forget_key=True, **moved)
    assert baseline.key == ""


def test_a_key_that_cannot_be_read_fails_the_job_with_a_sentence(baseline, settings, ada_client):
    evaluation = start(baseline)
    settings.SECRET_KEY = "another one, at least as long as the one before it was"
    with pytest.raises(StageFailure, match="sealed with another SECRET_KEY") as failure:
        jobs.evaluate_model.spec_for(evaluation.job)
    assert failure.value.code == "evaluation:user:key-unreadable"


def test_archiving_forgets_the_key_and_keeps_the_scores(baseline, ada_client):
    made = of_endpoint(baseline)
    ada_client.post(f"{LIST}{baseline.pk}/archive")
    baseline.refresh_from_db()
    assert (baseline.sealed_key, baseline.archived_at is None) == ("", False)
    assert ada_client.get(f"/projects/demo/evaluations/{made.pk}/").status_code == 200
    with pytest.raises(Refused, match="archived"):
        start(baseline)
    ada_client.post(f"{LIST}{baseline.pk}/restore")
    baseline.refresh_from_db()
    assert baseline.archived_at is None


# ---- addresses, doors, rows ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/v1", "file:///etc/passwd", "gopher://example.com", "example.com/v1", "https://", "http://[::1",
        "https://user:secret@example.com/v1", "https://example.com/v1?key=1", "https://example.com/v1#x",
        "https://example.com:port/v1", "https://example.com/v1/chat/completions", "javascript:alert(1)",
    ],
)  # fmt: skip
def test_only_a_plain_http_address_is_taken(project, url, ada_client):
    with pytest.raises(Refused):
        baselines.address(url)
    assert ada_client.post(f"{LIST}add", FORM | {"base_url": url}).status_code == 422
    assert not Baseline.objects.exists()


def test_maintainers_write_members_evaluate_and_viewers_read(baseline, ada_client, grace_client, victor_client):
    for client in (ada_client, grace_client, victor_client):
        assert client.get(LIST).status_code == client.get(f"{LIST}{baseline.pk}/").status_code == 200
    for client in (grace_client, victor_client):
        assert client.get(f"{LIST}add").status_code == client.post(f"{LIST}add", FORM).status_code == 403
        for act in ("edit", "archive", "restore"):
            assert client.post(f"{LIST}{baseline.pk}/{act}", FORM).status_code == 403
    assert "wXyZ" in ada_client.get(f"{LIST}{baseline.pk}/").content.decode()
    assert "wXyZ" not in victor_client.get(f"{LIST}{baseline.pk}/").content.decode()
    assert "/evaluations/new?baseline=" not in victor_client.get(f"{LIST}{baseline.pk}/").content.decode()


def test_another_projects_baseline_is_not_found(baseline, mallory, mallory_client):
    for act in ("", "edit", "archive", "restore"):
        for place in ("demo", "elsewhere"):
            assert mallory_client.post(f"/projects/{place}/baselines/{baseline.pk}/{act}", FORM).status_code in {
                404,
                405,
            }
    assert mallory_client.get(f"/projects/elsewhere/baselines/{baseline.pk}/").status_code == 404
    baseline.refresh_from_db()
    assert baseline.archived_at is None


def test_each_write_is_on_the_audit_trail(project, ada_client):
    ada_client.post(f"{LIST}add", FORM)
    (made,) = Baseline.objects.all()
    ada_client.post(f"{LIST}{made.pk}/edit", FORM | {"key": "", "served_name": "gpt-9-mini"})
    ada_client.post(f"{LIST}{made.pk}/archive")
    ada_client.post(f"{LIST}{made.pk}/restore")
    trail = AuditEntry.objects.filter(object_id=made.pk).order_by("id")
    assert [row.action for row in trail] == ["add_baseline", "edit_baseline", "archive_baseline", "restore_baseline"]
    assert (trail[0].after["has_key"], trail[1].before["served_name"]) == (True, "gpt-9-2026")
    assert trail[1].after["served_name"] == "gpt-9-mini"


def test_a_name_is_taken_once_and_an_endpoint_needs_its_models_name(baseline, ada_client):
    assert "already" in ada_client.post(f"{LIST}add", FORM).content.decode()
    page = ada_client.post(f"{LIST}add", FORM | {"name": "other", "served_name": ""})
    assert (page.status_code, "what the endpoint calls the model" in page.content.decode()) == (422, True)


@pytest.mark.parametrize(
    "wrong",
    [{"base_url": ""}, {"served_name": ""}, {"base_url": "file:///x"}, {"style": "telepathy"}, {"concurrency": 0}],
)
def test_the_database_refuses_an_impossible_baseline(baseline, wrong):
    with pytest.raises(IntegrityError), transaction.atomic():
        Baseline.objects.filter(pk=baseline.pk).update(**wrong)


def test_the_database_refuses_an_evaluation_of_two_or_of_nothing(chain, baseline):
    for wrong in ({"baseline": baseline}, {"model_version": None}, {"job": None}, {"harness": "lm-eval"}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Evaluation.objects.filter(pk=chain.evaluation.pk).update(**wrong)


def test_the_lists_queries_do_not_grow(project, ada_client, django_assert_num_queries):
    for number in range(8):
        of_endpoint(factories.make_baseline(project, f"gpt-{number}"))
    ada_client.get(LIST)
    with django_assert_num_queries(5):  # session, person, project with role, baselines, archived ones
        ada_client.get(LIST)
    with django_assert_num_queries(4):  # session, person, project with role, evaluations
        ada_client.get("/projects/demo/evaluations/")


# ---- an evaluation of one --------------------------------------------------------------------------------------------


def test_the_spec_asks_the_endpoint_with_the_settings_that_a_new_version_has(baseline):
    evaluation = start(baseline, parameters={"samples": 2, "ks": [1], "decode": {"temperature": 0.2}})
    spec = jobs.evaluate_model.spec_for(evaluation.job)
    assert (spec.model, spec.generations, spec.dataset) == (None, None, None)
    assert (spec.endpoint.base_url, spec.endpoint.style) == ("https://api.example.com/v1", "chat")
    assert (spec.endpoint.model, spec.endpoint.concurrency, spec.endpoint.timeout_seconds) == ("gpt-9-2026", 4, 60.0)
    assert (spec.decode.temperature, spec.decode.max_tokens) == (0.2, DEFAULT_DECODE.max_tokens)


def test_a_person_chooses_a_version_or_a_baseline_and_not_both(chain, baseline, grace_client):
    suite = factories.make_suite(chain.version.project)
    form = {"suite": suite.pk, "samples": 1, "timeout_seconds": 5}
    new = "/projects/demo/evaluations/new"
    both = grace_client.post(new, form | {"baseline": baseline.pk, "model_version": chain.version.pk})
    assert (both.status_code, "not both" in both.content.decode()) == (422, True)
    assert "Choose a model version or a baseline." in grace_client.post(new, form).content.decode()
    held_out = grace_client.post(new, form | {"baseline": baseline.pk, "dataset_version": chain.dataset_version.pk})
    assert "tells no probabilities" in held_out.content.decode()
    answer = grace_client.post(new, form | {"baseline": "gpt-9", "temperature": "0.2"})
    (made,) = Evaluation.objects.filter(baseline=baseline)
    assert answer.url == f"/projects/demo/evaluations/{made.pk}/"
    assert made.parameters["decode"] == {"temperature": 0.2}
    assert str(made) == made.job.title == "starter-python of gpt-9"


def test_a_baseline_without_an_address_is_not_asked(project):
    name = actions.add_baseline(project=project, by=None, name="codex", served_name="left over")
    assert (name.served_name, name.is_endpoint) == ("", False)
    with pytest.raises(Refused, match="no address"):
        start(name)


def test_it_stands_beside_the_projects_own_and_says_what_was_ignored(chain, baseline, grace_client):
    made = of_endpoint(baseline)
    (table,) = leaderboard.groups(made.suite)
    assert [str(row) for row in table.rows] == ["gpt-9", "one v1"]
    assert table.rows[0].ignored == ["repetition_penalty"]
    assert chain.evaluation.is_comparable_with(made)
    page = grace_client.get("/projects/demo/evaluations/leaderboard").content.decode()
    assert f"{LIST}{baseline.pk}/" in page
    assert "without repetition_penalty" in page
    text = grace_client.get(f"/projects/demo/evaluations/{made.pk}/").content.decode()
    assert "not a setting of this API" in text
    assert "tokens written" in text
    compared = grace_client.get(
        "/projects/demo/evaluations/compare", {"ids": f"{chain.evaluation.pk},{made.pk}"}
    ).content.decode()
    assert "gpt-9 decoded without repetition_penalty" in compared


def test_under_other_limits_it_stands_apart(chain, baseline):
    made = of_endpoint(baseline)
    made.summary["isolation"]["limits"] = {"cpu_seconds": 9}
    made.save(update_fields=["summary"])
    first, second = leaderboard.groups(made.suite)
    assert [item.name for item in second.differing] == ["limits"]
    assert {len(first.rows), len(second.rows)} == {1}


def test_a_baseline_and_a_version_of_one_name_are_two(chain, project):
    of_endpoint(factories.make_baseline(project, "one v1"))
    (table,) = leaderboard.groups(chain.evaluation.suite)
    assert [str(row) for row in table.rows] == ["one v1", "one v1"]


def test_the_palette_finds_baselines_and_evaluations_by_subject(chain, baseline):
    made = of_endpoint(baseline)
    found = {(item["kind"], item["url"]) for item in search.find(baseline.project, "GPT-9")}
    assert ("baseline", f"{LIST}{baseline.pk}/") in found
    assert ("evaluation", f"/projects/demo/evaluations/{made.pk}/") in found


def test_its_lineage_says_that_the_rest_is_elsewhere(baseline):
    steps = {step.kind: step for step in lineage.steps(of_endpoint(baseline))}
    assert (steps["model"].label, steps["model"].url) == ("gpt-9", f"{LIST}{baseline.pk}/")
    assert (steps["dataset"].label, steps["dataset"].url) == ("elsewhere", None)
    assert steps["evaluation"].here


def test_the_matrix_and_the_test_take_a_baseline(chain, baseline):
    made = of_endpoint(baseline)
    context = comparison.context([chain.evaluation, made])
    assert [name.split(". ")[-1] for name in context["matrix"]["data"][0]["y"]] == ["one v1", "gpt-9"]
    assert context["test"].difference == 0


def test_the_gate_looks_at_the_versions_own_scores_alone(chain, baseline):
    of_endpoint(baseline)
    assert gate.latest_evaluation(chain.version) == chain.evaluation


# ---- judged again ----------------------------------------------------------------------------------------------------


def test_programs_are_judged_again_from_the_page_under_another_limit(chain, grace_client):
    place = f"/projects/demo/evaluations/{chain.evaluation.pk}/"
    assert f"{place}judge-again" in grace_client.get(place).content.decode()
    form = {"suite": chain.evaluation.suite_id, "timeout_seconds": "9"}
    answer = grace_client.post(f"{place}judge-again", form)
    (made,) = Evaluation.objects.filter(judged_from=chain.evaluation)
    assert answer.url == f"/projects/demo/evaluations/{made.pk}/"
    spec = jobs.evaluate_model.spec_for(made.job)
    assert (spec.generations.uri, spec.timeout_seconds) == (chain.evaluation.uri, 9.0)
    assert (spec.model.sha256, spec.dataset.sha256) == (chain.version.sha256, chain.dataset_version.sha256)
    assert AuditEntry.objects.get(action="judge_again").after["judged_from"] == chain.evaluation.pk
    assert place in grace_client.get(answer.url).content.decode()
    assert answer.url in grace_client.get(place).content.decode()


def test_of_an_endpoint_nobody_is_asked_again(baseline):
    made = actions.judge_again(evaluation=of_endpoint(baseline), by=None, timeout_seconds=2)
    spec = jobs.evaluate_model.spec_for(made.job)
    assert (spec.model, spec.endpoint, made.subject_name) == (None, None, "gpt-9")


def test_what_is_not_done_is_not_judged_again_and_a_viewer_judges_nothing(chain, baseline, victor_client):
    with pytest.raises(Refused, match="finished"):
        actions.judge_again(evaluation=start(baseline), by=None)
    place = f"/projects/demo/evaluations/{chain.evaluation.pk}/"
    assert victor_client.post(f"{place}judge-again", {"timeout_seconds": 9}).status_code == 403
    assert "judge-again" not in victor_client.get(place).content.decode()


# ---- the API ---------------------------------------------------------------------------------------------------------


def post(client, secret, body):
    headers = factories.bearer(secret)
    return client.post("/v1/evaluations", json.dumps(body), content_type="application/json", headers=headers)


def test_a_token_starts_an_evaluation_of_a_version_or_a_baseline(chain, baseline, project, grace, client):
    _, secret = factories.token(project, grace, "read", "write")
    suite = factories.make_suite(project)
    answer = post(client, secret, {"suite": suite.name, "baseline": "gpt-9", "samples": 2})
    assert answer.status_code == 201
    body = answer.json()
    assert (body["subject"]["kind"], body["subject"]["name"], body["status"]) == ("baseline", "gpt-9", "queued")
    made = Evaluation.objects.get(pk=body["id"])
    assert (made.created_by, made.parameters["samples"], made.parameters["timeout_seconds"]) == (grace, 2, 5)
    assert AuditEntry.objects.get(object_id=made.pk).token is not None
    assert post(client, secret, {"suite": suite.name, "model_version": "one v1"}).status_code == 201
    read = client.get(f"/v1/evaluations/{made.pk}", headers=factories.bearer(secret)).json()
    assert read["subject"] == {"kind": "baseline", "id": baseline.pk, "name": "gpt-9"}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"suite": "starter-python"}, "Choose a model version or a baseline"),
        ({"suite": "nothing", "baseline": "gpt-9"}, "No suite"),
        ({"suite": "starter-python", "baseline": "gpt-9", "smaples": 2}, "fields of these"),
        (["starter-python"], "fields of these"),
        ({"suite": "starter-python", "baseline": "gpt-9", "samples": 0}, "samples"),
    ],
)
def test_a_wrong_body_is_refused_with_a_sentence(baseline, project, grace, client, body, said):
    factories.make_suite(project)
    _, secret = factories.token(project, grace, "write")
    answer = post(client, secret, body)
    assert (answer.status_code, said in answer.json()["error"]["message"]) == (400, True)
    assert not Evaluation.objects.exists()


def test_reading_and_starting_ask_for_scopes_of_their_own(baseline, project, grace, victor, client):
    _, reads = factories.token(project, grace, "read")
    _, writes = factories.token(project, grace, "write")
    assert post(client, reads, {}).status_code == 403
    assert client.get("/v1/evaluations", headers=factories.bearer(writes)).status_code == 403
    assert client.post("/v1/evaluations", b"{", content_type="application/json").status_code == 401
    assert client.post(
        "/v1/evaluations", b"{", content_type="application/json", headers=factories.bearer(writes)
    ).status_code == 400  # fmt: skip
