"""The OpenAI protocol over a real web server and a real gRPC one: answers, refusals, streams, and what is kept of them."""

from __future__ import annotations

import json

import httpx2 as httpx
import pytest

from playground_app.models import Completion
from tests import factories
from tests.live import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ask(web, served, project, grace):
    """`ask("completions", body)` and `ask("models")`, with grace's token if no other is given."""
    _, secret = factories.token(project, grace)

    def send(path, body=None, headers=None):
        headers = factories.bearer(secret) if headers is None else headers
        method = "GET" if body is None else "POST"
        return httpx.request(method, f"{web.url}/v1/{path}", json=body, headers=headers, timeout=30)

    send.secret = secret
    return send


def body(**changes):
    return {"model": "completer", "prompt": "return the sum", "max_tokens": 3, **changes}


def test_a_token_lists_what_its_person_may_ask(ask, project, ada):
    assert [row["id"] for row in ask("models").json()["data"]] == ["completer@production"]
    _, secret = factories.token(project, ada)
    names = [row["id"] for row in ask("models", headers=factories.bearer(secret)).json()["data"]]
    assert names[:2] == ["completer@production", "completer@staff"]
    assert sorted(names[2:]) == ["completer-v1", "completer-v2"]


def test_a_whole_answer_is_kept_with_its_latencies(ask, served, grace):
    answer = ask("completions", body(temperature=0.5, seed=3))
    assert answer.status_code == 200
    choice = answer.json()["choices"][0]
    assert (choice["text"], choice["finish_reason"]) == ("return the sum ", "length")
    row = Completion.objects.get(pk=answer.json()["id"])
    assert (row.deployment, row.user, row.audience, row.origin) == (served.production, grace, "production", "api")
    assert (row.text, row.finish_reason, row.n_tokens, row.n_prompt_tokens) == ("return the sum ", "length", 3, 3)
    assert row.settings == {"max_tokens": 3, "temperature": 0.5, "seed": 3}
    assert 0 < row.first_token_ms <= row.total_ms


def test_a_stream_comes_in_events_and_ends_with_done(ask):
    answer = ask("completions", body(stream=True, stream_options={"include_usage": True}))
    assert answer.headers["content-type"].startswith("text/event-stream")
    *events, done = [line.removeprefix("data: ") for line in answer.text.splitlines() if line]
    parts = [json.loads(event) for event in events]
    assert done == "[DONE]"
    assert "".join(part["choices"][0]["text"] for part in parts[:-1]) == "return the sum "
    assert parts[-1]["usage"]["completion_tokens"] == 3
    assert len({part["id"] for part in parts}) == 1


def test_two_choices_are_two_completions(ask):
    answer = ask("completions", body(n=2, seed=5)).json()
    assert [choice["index"] for choice in answer["choices"]] == [0, 1]
    rows = {row.pk: row.settings["seed"] for row in Completion.objects.all()}
    assert rows == {answer["id"]: 5, f"{answer['id']}-1": 6}


@pytest.mark.parametrize("changes", [{"max_tokens": 0}, {"prompt": 3}, {"n": 99}])
def test_a_bad_body_is_refused_as_openai_refuses_it(ask, changes):
    answer = ask("completions", body(**changes))
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["param"]) == (400, "invalid_request_error", next(iter(changes)))


def test_an_unknown_model_and_one_for_others_are_not_found(ask):
    for name in ("nothing", "completer@staff", "completer-v2"):
        answer = ask("completions", body(model=name))
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (404, "model_not_found")
        assert "Live: completer@production." in error["message"]


@pytest.mark.parametrize("path", ["models", "completions"])
def test_without_a_token_or_with_one_for_reading_the_door_is_shut(ask, project, grace, path):
    sent = body() if path == "completions" else None
    assert ask(path, sent, headers={}).status_code == 401
    _, reading = factories.token(project, grace, "read", name="reader")
    assert ask(path, sent, headers=factories.bearer(reading)).status_code == 403


def test_staff_get_the_staff_version_under_the_plain_name(ask, project, ada, served):
    _, secret = factories.token(project, ada)
    answer = ask("completions", body(), headers=factories.bearer(secret))
    assert Completion.objects.get(pk=answer.json()["id"]).deployment == served.staff


def test_a_dead_model_is_an_error_that_is_kept(ask, served):
    served.triton.models["served-1"].dead = True
    answer = ask("completions", body())
    assert answer.status_code == 502
    assert "not healthy" in answer.json()["error"]["message"]
    assert Completion.objects.get().finish_reason == "error"


def test_a_triton_that_is_away_is_unavailable(ask, settings):
    settings.TRITON_URL = "127.0.0.1:1"
    assert ask("completions", body()).status_code == 503


def test_leaving_a_stream_keeps_what_had_come_and_stops_the_engine(ask, web, served):
    served.triton.models["served-1"].pause_seconds = 0.1
    sent = {"json": body(max_tokens=500, stream=True), "headers": factories.bearer(ask.secret), "timeout": 30}
    with httpx.stream("POST", f"{web.url}/v1/completions", **sent) as answer:
        first = next(line for line in answer.iter_lines() if line)
    row = wait_for(Completion.objects.exclude(finish_reason="running").first)
    assert row.pk == json.loads(first.removeprefix("data: "))["id"]
    assert row.finish_reason == "cancelled"
    assert row.text.startswith("return ")
    assert 0 < row.n_tokens < 500
    wait_for(lambda: served.triton.cancelled == 1)


# ---- the editor's own endpoint ----------------------------------------------------------------------------------------


def test_the_editor_streams_by_session_and_keeps_the_language(served, grace_client):
    sent = {"model": "completer@production", "prompt": "x =", "language": "python", "max_tokens": 2}
    answer = grace_client.post("/projects/demo/playground/complete", sent, content_type="application/json")
    events = b"".join(answer).decode()
    assert events.endswith("data: [DONE]\n\n")
    row = Completion.objects.get()
    assert (row.origin, row.language, row.text) == ("playground", "python", "x = ")


@pytest.mark.parametrize("sent", ["[]", "{", '"x"', '{"prompt": 3}'])
def test_the_editors_bad_bodies_are_refused(served, grace_client, sent):
    answer = grace_client.post("/projects/demo/playground/complete", sent, content_type="application/json")
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_the_editor_may_not_ask_for_what_is_for_staff(served, grace_client):
    sent = {"model": "completer@staff", "prompt": "x ="}
    answer = grace_client.post("/projects/demo/playground/complete", sent, content_type="application/json")
    assert answer.status_code == 404
