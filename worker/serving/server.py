"""The deploying stage's side of a Triton server: load, unload, wait, and one real completion.

A model's ready flag is not believed: Triton goes on saying READY when a Python backend's process has died.
"""

from __future__ import annotations

import json
import queue
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from worker.failures import StageFailure

LIVE_SECONDS, UNLOAD_SECONDS, ANSWER_SECONDS, LOAD_SECONDS = 60, 60, 60, 600
PAUSE_SECONDS = 0.1
CANARY_PROMPT = "def main():\n    "


class LoadRefused(Exception):
    """Triton would not load the model; the text is Triton's, with the model's traceback."""


class CanaryFailed(Exception):
    """The model is loaded but does not complete text."""


@dataclass(frozen=True)
class Canary:
    """A completion that came back, in seconds of wall time from request to first text and to the end."""

    prompt: str
    completion: str
    finish_reason: str
    n_tokens: int
    first_seconds: float
    seconds: float

    @property
    def tokens_per_second(self) -> float:
        return self.n_tokens / self.seconds if self.seconds else 0.0


class Server:
    """One server, by the address of its gRPC endpoint."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client = triton.InferenceServerClient(url)

    def wait_live(self) -> dict[str, str]:
        """Name and version of the server. Raises StageFailure serving:app:server-unreachable after LIVE_SECONDS."""
        deadline = time.monotonic() + LIVE_SECONDS
        while True:
            try:
                about = self.client.get_server_metadata(client_timeout=10)
            except InferenceServerException as error:
                if time.monotonic() > deadline:
                    raise StageFailure(
                        "serving:app:server-unreachable", url=self.url, detail=error.message()
                    ) from error
                time.sleep(PAUSE_SECONDS)
            else:
                return {"name": about.name, "version": about.version}

    def load(self, name: str) -> None:
        """Raises LoadRefused."""
        try:
            self.client.load_model(name, client_timeout=LOAD_SECONDS)
        except InferenceServerException as error:
            raise LoadRefused(error.message()) from error

    def reload(self, name: str) -> None:
        """Unload, load. Raises LoadRefused."""
        self.unload(name)
        self.load(name)

    def unload(self, name: str) -> None:
        """Returns when the model's processes are gone. Raises LoadRefused."""
        try:
            self.client.unload_model(name)
            self._wait_unavailable(name)
        except InferenceServerException as error:
            raise LoadRefused(f"cannot be unloaded: {error.message()}") from error

    def canary(self, name: str, version: int, max_tokens: int) -> Canary:
        """Stream one completion from this very version. Raises CanaryFailed."""
        begun, first, texts, finish, n_tokens = time.monotonic(), 0.0, list[str](), "", 0
        for answer in self._stream(name, version, {"temperature": 0.0, "max_tokens": max_tokens}):
            texts.append(_text(answer, "text_output"))
            first = first or time.monotonic() - begun
            finish = _text(answer, "finish_reason")
            counted = answer.as_numpy("num_output_tokens")
            n_tokens += int(counted.reshape(-1)[0]) if counted is not None else 0
        completion = "".join(texts)
        if not completion and not finish:
            raise CanaryFailed("the stream ended without text and without a finish reason")
        return Canary(CANARY_PROMPT, completion, finish, n_tokens, first, time.monotonic() - begun)

    def _stream(self, name: str, version: int, sampling: dict[str, Any]) -> Iterator[triton.InferResult]:
        answers: queue.SimpleQueue[tuple[Any, Any]] = queue.SimpleQueue()
        flags = ("stream", "exclude_input_in_output", "return_finish_reason", "return_num_output_tokens")
        inputs = [_strings("text_input", CANARY_PROMPT), _strings("sampling_parameters", json.dumps(sampling))]
        inputs += [_tensor(flag, np.array([True])) for flag in flags]
        with self._open(answers):
            self.client.async_stream_infer(name, inputs, model_version=str(version), enable_empty_final_response=True)
            while True:
                answer = _next(answers)
                if answer.get_output("text_output") is not None:
                    yield answer
                if answer.get_response().parameters["triton_final_response"].bool_param:
                    return

    @contextmanager
    def _open(self, answers: queue.SimpleQueue[tuple[Any, Any]]) -> Iterator[None]:
        self.client.start_stream(lambda result, error: answers.put((result, error)))
        try:
            yield
        finally:
            self.client.stop_stream(cancel_requests=True)

    def _wait_unavailable(self, name: str) -> None:
        deadline = time.monotonic() + UNLOAD_SECONDS
        while any(
            m.name == name and m.state not in {"UNAVAILABLE", ""}
            for m in self.client.get_model_repository_index().models
        ):
            if time.monotonic() > deadline:
                raise LoadRefused(f"still unloading after {UNLOAD_SECONDS} s")
            time.sleep(PAUSE_SECONDS)


def _next(answers: queue.SimpleQueue[tuple[Any, Any]]) -> triton.InferResult:
    try:
        result, error = answers.get(timeout=ANSWER_SECONDS)
    except queue.Empty:
        raise CanaryFailed(f"no answer in {ANSWER_SECONDS} s") from None
    if error is not None:
        raise CanaryFailed(error.message())
    return result


def _strings(name: str, text: str) -> triton.InferInput:
    return _tensor(name, np.array([text.encode()], dtype=np.object_), "BYTES")


def _tensor(name: str, values: Any, kind: str = "BOOL") -> triton.InferInput:
    tensor = triton.InferInput(name, list(values.shape), kind)
    tensor.set_data_from_numpy(values)
    return tensor


def _text(answer: triton.InferResult, name: str) -> str:
    values = answer.as_numpy(name)
    return values.reshape(-1)[0].decode() if values is not None and values.size else ""
