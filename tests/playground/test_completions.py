"""OpenAI's completions protocol: what is taken, what is refused and how, what is answered."""

from __future__ import annotations

import json
from typing import Any

import pytest

from playground_app import completions
from playground_app.completions import BadRequest, Choice, Chunk, parse, read

OPENAI_CLIENT = {
    "model": "ours-v3",
    "prompt": "def f",
    "suffix": "\n",
    "logprobs": 1,
    "stop": ["\n"],
    "n": 1,
    "seed": 1,
    "max_tokens": 4,
    "echo": False,
    "temperature": 0.2,
}
LM_EVAL = {
    "prompt": "def add(a,b):\n    return",
    "model": "ours-v3",
    "max_tokens": 16,
    "temperature": 0.2,
    "stop": ["\ndef", "\nclass"],
    "seed": 1234,
}


def body(**changes: Any) -> completions.Body:
    return read({"model": "m", "prompt": "p", **changes})


@pytest.mark.parametrize("captured", [OPENAI_CLIENT, LM_EVAL], ids=["openai", "lm_eval"])
def test_captured_bodies_of_known_clients_are_taken(captured: dict[str, Any]) -> None:
    parsed = parse(json.dumps(captured))
    (request,) = parsed.requests
    assert (parsed.model, request.prompt) == ("ours-v3", captured["prompt"])
    assert request.sampling() == {
        "max_tokens": captured["max_tokens"],
        "temperature": 0.2,
        "stop": tuple(captured["stop"]),
        "seed": captured["seed"],
    }


def test_what_is_not_given_is_left_to_the_deployment() -> None:
    assert body().requests[0].sampling() == {}


def test_every_prompt_has_n_choices_whose_seeds_differ() -> None:
    requests = body(prompt=["a", "b"], n=2, seed=5).requests
    assert [(request.prompt, request.seed) for request in requests] == [("a", 5), ("a", 6), ("b", 5), ("b", 6)]


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"model": None}, "model"),
        ({"prompt": None}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [1, 2, 3]}, "prompt"),
        ({"prompt": ["x"] * 17}, "prompt"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": "16"}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"temperature": 3}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"n": 9}, "n"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"stop": ""}, "stop"),
        ({"logprobs": 5}, "logprobs"),
        ({"stream": "yes"}, "stream"),
        ({"suffix": 3}, "suffix"),
        ({"best_of": 3}, "best_of"),
        ({"logit_bias": {"5": 1}}, "logit_bias"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"tools": []}, "tools"),
        ({"stream_options": 1}, "stream_options"),
    ],
)
def test_what_cannot_be_served_is_refused_with_the_parameters_name(changes: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        body(**changes)
    error = refused.value.body()["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert set(error) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("raw", ["{", "[]", '"x"', b"\xff"])
def test_a_body_that_is_no_object_is_refused(raw: str | bytes) -> None:
    with pytest.raises(BadRequest):
        parse(raw)


def test_defaults_that_clients_send_anyway_are_taken() -> None:
    body(best_of=1, frequency_penalty=0, presence_penalty=0.0, logit_bias={}, user="ada", stream_options=None)


def answered(parsed: completions.Body, *chunks: Chunk) -> dict[str, Any]:
    choice = Choice(0)
    for chunk in chunks:
        choice.take(chunk)
    return completions.response("cmpl-1", 1700000000, parsed, [choice])


def test_an_answer_has_the_text_the_reason_and_the_counts() -> None:
    answer = answered(body(), Chunk("a", None, 1, 7), Chunk("b", "stop", 2, 7))
    assert answer["choices"] == [{"index": 0, "text": "ab", "finish_reason": "stop", "logprobs": None}]
    assert answer["usage"] == {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    assert (answer["object"], answer["id"], answer["model"]) == ("text_completion", "cmpl-1", "m")


def test_echo_repeats_the_prompt_once_in_answers_and_streams() -> None:
    parsed = body(echo=True, stream=True)
    assert answered(parsed, Chunk("x"))["choices"][0]["text"] == "px"
    parts = [completions.stream_part("c", 1, parsed, 0, Chunk(t), begins=t == "x")["choices"][0] for t in "xy"]
    assert [part["text"] for part in parts] == ["px", "y"]


def test_log_probabilities_come_in_the_protocols_four_lists() -> None:
    answer = answered(body(logprobs=1), Chunk("a b", "length", 2, 1, (("a", -0.5), (" b", -1.0))))
    assert answer["choices"][0]["logprobs"] == {
        "tokens": ["a", " b"],
        "token_logprobs": [-0.5, -1.0],
        "top_logprobs": [{"a": -0.5}, {" b": -1.0}],
        "text_offset": [0, 1],
    }


def test_usage_is_streamed_only_when_asked_for() -> None:
    plain, asked = body(stream=True), body(stream=True, stream_options={"include_usage": True})
    assert "usage" not in completions.stream_part("c", 1, plain, 0, Chunk("x"))
    assert completions.stream_part("c", 1, asked, 0, Chunk("x"))["usage"] is None
    last = completions.usage_part("c", 1, asked, [Choice(0, n_tokens=2, n_prompt_tokens=3)])
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 5)


def test_events_are_one_line_of_json_each() -> None:
    event = completions.sse({"text": "a\nbé"})
    assert event.endswith("\n\n")
    assert json.loads(event.removeprefix("data: ")) == {"text": "a\nbé"}
    assert event.count("\n") == 2
