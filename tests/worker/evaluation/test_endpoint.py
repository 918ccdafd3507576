from __future__ import annotations

import dataclasses
import email.utils
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.worker.evaluation.conftest import PROBLEMS, problem_line
from tests.worker.evaluation.openai_server import Json, Reply, Server, error, serving
from worker.context import Context, Stopped
from worker.evaluation import endpoint, stage
from worker.evaluation.endpoint import Endpoint
from worker.events import ListReporter
from worker.failures import StageFailure
from worker.sandbox import probe
from worker.serving.decode import InvalidRequest
from worker.specs import DecodeSettings, EndpointSpec, EvaluateModel, SuiteRef, to_dict

KEY = "sk-very-secret-17"
ROOT = Path(__file__).parents[3]


def from_table(request: Json) -> str:
    """The right completion of one of PROBLEMS, going on too long."""
    asked = request.get("prompt") or request["messages"][0]["content"]
    reference = next(reference for prompt, reference, _ in PROBLEMS.values() if prompt in asked)
    return f"{reference}\n\ndef more():\n    pass\n" if "prompt" in request else f"Here:\n```python\n{reference}\n```\n"


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(Server(from_table, KEY)) as running:
        yield running


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "_WAITS", (0.01, 0.01, 0.01))


def endpoint_of(server: Server, key: str = KEY, **changed: Any) -> Endpoint:
    return Endpoint(EndpointSpec(**{"base_url": server.url, "model": "big", **changed}), key, {})


def ask(server: Server, *, settings: DecodeSettings | None = None, suffix: str | None = None, **changed: Any) -> Any:
    """One completion of the first problem."""
    return endpoint_of(server, **changed).complete_many([PROBLEMS["double"][0]], settings, [5], [suffix])[0]


def refused(server: Server, **changed: Any) -> StageFailure:
    with pytest.raises(StageFailure) as failure:
        ask(server, **changed)
    return failure.value


def test_the_decode_settings_are_sent_and_the_answer_is_read(server: Server) -> None:
    settings = DecodeSettings(temperature=0.8, top_p=0.9, max_tokens=32, stop=("\nclass ",))
    answer = ask(server, settings=settings)
    assert server.requests == [
        {
            "model": "big", "prompt": PROBLEMS["double"][0], "n": 1, "seed": 5, "temperature": 0.8, "top_p": 0.9,
            "max_tokens": 32, "stop": ["\nclass "],
        }
    ]  # fmt: skip
    assert answer.text.startswith(" n * 2") and (answer.n_tokens, answer.n_prompt_tokens) == (7, 11)
    assert (answer.finish_reason, answer.ignored) == ("stop", {})


def test_a_chat_is_asked_in_words_and_its_code_is_taken_out(server: Server) -> None:
    answer = ask(server, style="chat")
    assert server.requests[0]["messages"][0]["role"] == "user" and "prompt" not in server.requests[0]
    assert answer.text == " n * 2\n" and answer.raw.startswith("Here:")


def test_a_spent_budget_is_told(server: Server) -> None:
    server.finish = "length"
    assert ask(server).finish_reason == "length"


@pytest.mark.parametrize(
    "reply",
    [
        error(429, "Slow down", Retry_After="0"),
        error(500, "Oops"),
        Reply(503, "<html>busy</html>"),
        Reply(200, '{"choices": [{"te', length=500),
    ],
    ids=["429", "500", "503 in HTML", "cut stream"],
)
def test_what_passes_is_asked_again(server: Server, reply: Reply) -> None:
    server.replies = [reply, reply]
    assert ask(server).text.startswith(" n * 2")
    assert len(server.requests) == 3


def test_what_does_not_pass_ends_the_stage(server: Server) -> None:
    server.replies = [error(502, "no upstream")] * 9
    failure = refused(server)
    assert failure.code == "evaluation:app:endpoint-unreachable" and "no upstream" in failure.message
    assert len(server.requests) == 4


def test_nobody_listening_ends_the_stage_too() -> None:
    failure = refused(Server(from_table, url="http://127.0.0.1:9/v1"))
    assert failure.code == "evaluation:app:endpoint-unreachable"


def test_the_servers_word_on_when_to_come_back_is_followed_up_to_a_limit(server: Server) -> None:
    assert endpoint._retry_after("7") == 7.0
    assert endpoint._retry_after("tomorrow") is None and endpoint._retry_after("") is None
    later = email.utils.formatdate(time.time() + 90, usegmt=True)
    assert 80 < (endpoint._retry_after(later) or 0) <= 90
    server.replies = [error(429, "come back tomorrow", Retry_After="86400")]
    assert refused(server).code == "evaluation:app:endpoint-unreachable"


def test_a_stop_ends_the_waiting(server: Server) -> None:
    server.replies = [error(429, "Slow down", Retry_After="200")]
    engine = Endpoint(EndpointSpec(server.url, "big"), KEY, {}, stopping=lambda: True)
    with pytest.raises(Stopped):
        engine.complete_many(["x"])


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (error(401, f"Incorrect API key provided: {KEY}"), "evaluation:user:endpoint-refused"),
        (error(429, "You exceeded your quota", code="insufficient_quota"), "evaluation:user:endpoint-refused"),
        (error(404, "The model `big` does not exist"), "evaluation:user:endpoint-not-found"),
        (error(400, "This model's maximum context length is 8"), "evaluation:user:endpoint-bad-request"),
        (Reply(200, "<html>Sign in</html>"), "evaluation:app:endpoint-invalid"),
        (Reply(200, '{"choices": []}'), "evaluation:app:endpoint-invalid"),
        (Reply(200, '{"choices": [{"finish_reason": "stop"}]}'), "evaluation:app:endpoint-invalid"),
        (Reply(200, '{"choices": [{"text": [1]}]}'), "evaluation:app:endpoint-invalid"),
        (Reply(302, "", {"Location": "http://elsewhere.example/"}), "evaluation:app:endpoint-invalid"),
    ],
)
def test_a_refusal_is_said_at_once_and_without_the_key(server: Server, reply: Reply, code: str) -> None:
    server.replies = [reply]
    failure = refused(server)
    assert failure.code == code and len(server.requests) == 1
    assert KEY not in failure.message + str(failure.values)


def test_an_endless_answer_is_no_answer(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "_MOST_BYTES", 100)
    server.replies = [Reply(200, "x" * 1000)]
    assert refused(server).code == "evaluation:app:endpoint-invalid"


def test_a_wrong_key_is_the_persons_to_mend_and_a_broken_one_is_never_sent(server: Server) -> None:
    assert refused(server, key="sk-old").code == "evaluation:user:endpoint-refused"
    failure = refused(server, key="sk\nX-Evil: 1")
    assert failure.code == "evaluation:user:endpoint-refused" and "Evil" not in failure.message
    assert len(server.requests) == 1


def test_what_a_server_does_not_take_is_left_out_and_said(server: Server) -> None:
    def refuses(request: Json) -> Reply | None:
        if "seed" in request:
            return Reply(
                422, json.dumps({"detail": [{"loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]})
            )
        if len(request.get("stop", ())) > 4:
            return error(400, "Too long. At most 4 stop strings.", "stop")
        if "max_tokens" in request:
            return error(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.", "max_tokens")
        return None

    server.refuses = refuses
    settings = DecodeSettings(temperature=0.5, top_k=40, max_tokens=9, stop=tuple("abcdef"))
    engine = endpoint_of(server)
    prompt = PROBLEMS["double"][0]
    answers = [engine.complete_many([prompt], settings)[0] for _ in range(2)]
    assert answers[0].ignored == answers[1].ignored
    assert set(answers[0].ignored) == {"seed", "stop", "top_k"}
    assert answers[0].ignored["stop"].startswith("4 sent, the others cut after decoding")
    last = server.requests[-1]
    assert last["stop"] == list("abcd") and last["max_completion_tokens"] == 9
    assert not {"seed", "max_tokens", "top_k"} & last.keys()
    assert len(server.requests) == 5  # three refusals, then each completion at the first try


def test_a_suffix_is_sent_where_it_is_taken_and_refused_where_not(server: Server) -> None:
    ask(server, suffix="\n    # end")
    assert server.requests[0]["suffix"] == "\n    # end"
    server.refuses = lambda request: error(400, "suffix is not supported", "suffix") if "suffix" in request else None
    with pytest.raises(InvalidRequest, match="suffix is not supported"):
        ask(server, suffix="\n    # end")
    with pytest.raises(InvalidRequest, match="no place for a suffix"):
        ask(server, suffix="\n    # end", style="chat")


# ---- through the stage -----------------------------------------------------------------------------------------------


@pytest.fixture
def spec(server: Server, suite_path: Path) -> EvaluateModel:
    if probe().level == "none":
        pytest.skip(probe().detail)
    return EvaluateModel(SuiteRef("small", str(suite_path)), endpoint=EndpointSpec(server.url, "big", concurrency=3))


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(tmp_path / "job", ListReporter(), str(tmp_path / "storage"), endpoint_key=KEY)


@pytest.mark.parametrize("style", ["completions", "chat"])
def test_a_baseline_is_scored_like_any_model_and_says_what_it_is(
    server: Server, spec: EvaluateModel, context: Context, style: str
) -> None:
    assert spec.endpoint is not None
    asked = dataclasses.replace(spec, endpoint=dataclasses.replace(spec.endpoint, style=style), samples=2)
    outcome = stage.run(dataclasses.replace(asked, decode=DecodeSettings(top_k=5)), context)
    score = outcome.summary
    assert score["pass_at_k"]["1"]["value"] == 1.0 and score["n_samples"] == 6
    assert score["engine"] == {"name": f"endpoint:{style}", "quantise": ""} and score["held_out"] == {}
    shown = {"base_url": server.url, "model": "big", "style": style}
    assert score["subject"] == {"kind": "endpoint", **shown}
    assert score["endpoint"] == {**shown, "ignored": {"top_k": "not a setting of this API"}}
    assert (score["cost"]["prompt_tokens"], score["cost"]["completion_tokens"]) == (66, 42)
    assert not stage.reuses_receipt(spec)
    everything = [path for path in context.job_dir.rglob("*") if path.is_file()]
    assert everything and not [path for path in everything if KEY.encode() in path.read_bytes()]
    assert KEY not in repr(context)


def test_completions_so_far_are_kept_when_a_server_goes_away(
    server: Server, spec: EvaluateModel, context: Context
) -> None:
    def refuses(request: Json) -> Reply | None:
        return error(401, "revoked") if request["prompt"] == PROBLEMS["greet"][0] else None

    server.refuses = refuses
    with pytest.raises(StageFailure, match="revoked"):
        stage.run(spec, context)
    assert len((context.work / "generations.jsonl").read_text().splitlines()) == 2
    server.refuses, server.requests = lambda request: None, []
    assert stage.run(spec, context).summary["pass_at_k"]["1"]["value"] == 1.0
    assert [request["prompt"] for request in server.requests] == [PROBLEMS["greet"][0]]


def test_a_chat_cannot_fill_in_the_middle(spec: EvaluateModel, context: Context, suite_path: Path) -> None:
    middle = {"prompt": "def double(n):\n", "canonical_solution": "    n = n * 2\n", "suffix": "    return n\n"}
    suite_path.write_text(problem_line("double", **middle))
    assert spec.endpoint is not None
    with pytest.raises(StageFailure) as failure:
        stage.run(dataclasses.replace(spec, endpoint=dataclasses.replace(spec.endpoint, style="chat")), context)
    assert failure.value.code == "evaluation:user:no-infilling"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"endpoint": None}, "has none"),
        ({"generations": {"uri": "x", "sha256": "0"}}, "endpoint and generations"),
        ({"model": {"uri": "x", "sha256": "0"}}, "endpoint and model"),
        ({"dataset": {"uri": "x", "sha256": "0"}}, "held-out"),
        ({"endpoint": {"base_url": "file:///etc", "model": "m"}}, "http"),
        ({"endpoint": {"base_url": "https://me:sk@host/v1", "model": "m"}}, "password"),
        ({"endpoint": {"base_url": "https://host/v1", "model": "m", "style": "poetry"}}, "style"),
        ({"endpoint": {"base_url": "https://host/v1", "model": "m", "concurrency": 0}}, "at once"),
    ],
)
def test_a_spec_without_exactly_one_source_is_refused(
    spec: EvaluateModel, context: Context, changed: dict[str, Any], said: str
) -> None:
    from worker.specs import from_dict

    with pytest.raises(StageFailure, match=said) as failure:
        stage.run(from_dict("evaluate_model", to_dict(spec) | changed), context)
    assert failure.value.code == "evaluation:user:bad-source"


def test_by_hand_the_key_comes_from_the_environment_and_is_in_no_file_or_output(
    server: Server, spec: EvaluateModel, suite_path: Path, tmp_path: Path
) -> None:
    leaking = "import os\ndef check(candidate):\n    assert not [v for v in os.environ.values() if 'sk-very' in v]\n"
    suite_path.write_text(problem_line("double", test=f"{leaking}    assert candidate(3) == 6\n"))
    job = tmp_path / "by-hand"
    job.mkdir()
    (job / "spec.json").write_text(json.dumps(to_dict(spec)))
    environment = {**os.environ, "MODELYARD_ENDPOINT_KEY": KEY}
    command = [sys.executable, "-m", "worker", "evaluate_model", str(job)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads((job / "manifest.json").read_text())["summary"]["pass_at_k"]["1"]["value"] == 1.0
    assert KEY not in done.stdout + done.stderr
    assert not [path for path in job.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
