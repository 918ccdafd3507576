"""The backend behind model.py, driven through a stand-in for Triton's module that keeps its promises."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from worker.serving.convert import convert_cached
from worker.serving.engine import Ask, Engine
from worker.serving.triton_backend import Backend

WAIT_SECONDS = 60


@dataclass
class Tensor:
    name: str
    values: Any

    def as_numpy(self) -> Any:
        return self.values


@dataclass
class Error:
    message: str
    code: str


@dataclass
class Response:
    output_tensors: list[Tensor]
    error: Error | None = None


class Metric:
    """As Triton's: useless once its family was collected."""

    def __init__(self, family: Any) -> None:
        self.family, self.value = family, 0.0

    def increment(self, by: float) -> None:
        self.value += by


@dataclass
class Sender:
    gone: bool = False
    sent: list[Response] = field(default_factory=list)
    final: threading.Event = field(default_factory=threading.Event)
    first: threading.Event = field(default_factory=threading.Event)

    def send(self, response: Response, flags: int) -> None:
        assert not self.final.is_set(), "a response after the final one"
        self.sent.append(response)
        self.first.set()
        if flags:
            self.final.set()

    def is_cancelled(self) -> bool:
        return self.gone


class Request:
    def __init__(self, parameters: str = "", **tensors: Any) -> None:
        self.tensors = {name: Tensor(name, np.array([value])) for name, value in tensors.items()}
        self.sender = Sender()
        self.raw = parameters

    def get_response_sender(self) -> Sender:
        return self.sender

    def parameters(self) -> str:
        return self.raw

    def done(self) -> Request:
        assert self.sender.final.wait(WAIT_SECONDS), "no final response"
        return self

    def values(self, name: str) -> list[Any]:
        return [t.values[0] for response in self.done().sender.sent for t in response.output_tensors if t.name == name]

    def text(self) -> str:
        return b"".join(self.values("text_output")).decode()

    def error(self) -> Error:
        error = self.done().sender.sent[-1].error
        assert error is not None
        return error


@pytest.fixture(scope="module")
def module() -> Any:
    metrics: dict[str, Metric] = {}

    class Family:
        COUNTER = "counter"

        def __init__(self, name: str, description: str, kind: str) -> None:
            self.name = name

        def Metric(self, labels: dict[str, str]) -> Metric:
            return metrics.setdefault(f"{self.name}/{labels.get('outcome', '')}", Metric(self))

    def triton_error(message: str, code: str) -> Error:
        return Error(message, code)

    triton_error.CANCELLED, triton_error.UNAVAILABLE, triton_error.INVALID_ARG = "cancelled", "unavailable", "invalid"
    return SimpleNamespace(
        Tensor=Tensor,
        InferenceResponse=Response,
        TritonError=triton_error,
        MetricFamily=Family,
        TRITONSERVER_RESPONSE_COMPLETE_FINAL=1,
        get_input_tensor_by_name=lambda request, name: request.tensors.get(name),
        metrics=metrics,
    )


@pytest.fixture(scope="module")
def backend(model_dir: Path, cache_dir: Path, module: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("version")
    (folder / "engine").symlink_to(convert_cached(model_dir, cache_dir, engine="openvino", quantise="fp32"))
    decode = {"temperature": 0.0, "max_tokens": 12, "stop": []}
    (folder / "deployment.json").write_text(json.dumps({"engine": "openvino", "threads": 1, "decode": decode}))
    backend = Backend(folder, module, {"model": "tiny", "version": "1"})
    yield backend
    backend.finalize()


def ask(backend: Backend, parameters: str = "", **tensors: Any) -> Request:
    request = Request(parameters, **tensors)
    backend.execute([request])
    return request


def test_one_response_without_streaming_and_it_repeats_the_input_as_vllm_does(
    backend: Backend, openvino: Engine
) -> None:
    request = ask(backend, text_input=b"def add(a, b):")
    assert request.text() == "def add(a, b):" + openvino.complete("def add(a, b):").text
    assert len(request.sender.sent) == 1


def test_a_stream_has_many_responses_and_the_same_text(backend: Backend, openvino: Engine) -> None:
    request = ask(backend, text_input=b"def add(a, b):", stream=True, return_finish_reason=True)
    assert request.text() == openvino.complete("def add(a, b):").text
    assert len(request.sender.sent) > 1
    assert request.values("finish_reason")[-1] == b"length"
    assert set(request.values("finish_reason")[:-1]) == {b""}


def test_what_was_asked_for_is_returned_and_nothing_else(backend: Backend) -> None:
    asked = {
        f"return_{name}": True for name in ("num_input_tokens", "num_output_tokens", "logprobs", "cumulative_logprob")
    }
    request = ask(backend, text_input=b"x", exclude_input_in_output=True, max_tokens=3, **asked)
    entries = json.loads(request.values("logprobs")[0])
    assert (request.values("num_input_tokens"), request.values("num_output_tokens")) == ([1], [3])
    total = sum(next(iter(entry.values()))["logprob"] for entry in entries)
    assert request.values("cumulative_logprob")[0] == pytest.approx(total, rel=1e-5)
    assert request.values("finish_reason") == []


@pytest.mark.parametrize(
    "tensors",
    [
        {"sampling_parameters": b'{"max_tokens": 2}'},
        {"sampling_parameters": b'{"max_tokens": "2"}'},
        {"max_tokens": 2},
        {"parameters": '{"max_tokens": 2, "triton_enable_empty_final_response": true}'},
    ],
)
def test_a_length_is_taken_in_every_dialect(backend: Backend, tensors: dict[str, Any]) -> None:
    request = ask(backend, text_input=b"x", return_num_output_tokens=True, **tensors)
    assert request.values("num_output_tokens") == [2]


def test_a_suffix_fills_the_middle(backend: Backend, openvino: Engine) -> None:
    request = ask(backend, text_input=b"def f(", suffix=b"):\n    return 1", stream=True)
    (expected,) = openvino.generate([Ask("def f(", "):\n    return 1")])
    assert request.text() == expected.text


@pytest.mark.parametrize(
    ("tensors", "word"),
    [
        ({"sampling_parameters": b'{"beams": 2}'}, "beams"),
        ({"sampling_parameters": b"{"}, "not JSON"),
        ({"sampling_parameters": b"[1]"}, "object"),
        ({"stream": True, "exclude_input_in_output": False}, "repeat its input"),
        ({"max_tokens": 0}, "max_tokens"),
    ],
)
def test_a_request_that_cannot_be_is_refused_in_words(backend: Backend, tensors: dict[str, Any], word: str) -> None:
    error = ask(backend, text_input=b"x", **tensors).error()
    assert word in error.message
    assert error.code == "invalid"


def test_a_caller_who_leaves_stops_the_work_and_is_counted(backend: Backend, module: Any) -> None:
    cancelled = module.metrics["modelyard_completions_total/cancelled"]
    before = cancelled.value
    request = ask(backend, text_input=b"def add(a, b):", stream=True, max_tokens=200)
    assert request.sender.first.wait(WAIT_SECONDS)
    request.sender.gone = True
    assert request.error().code == "cancelled"
    assert cancelled.value == before + 1
    assert len(request.sender.sent) < 200


def test_callers_at_the_same_time_get_their_own_text(backend: Backend, openvino: Engine) -> None:
    prompts = ["def add(a, b):", "class Point:\n", "for item in", "return "]
    requests = [ask(backend, text_input=prompt.encode(), stream=True) for prompt in prompts]
    assert [request.text() for request in requests] == [done.text for done in openvino.complete_many(prompts)]


def test_a_failing_engine_tells_its_callers_and_goes_on(
    backend: Backend, module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(backend.engine, "step", broken)
        assert "out of memory" in ask(backend, text_input=b"x").error().message
    assert ask(backend, text_input=b"x").text().startswith("x")
