"""One request on the wire: reads its tensors, writes its responses. Names and meanings are the vLLM backend's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from worker.serving.decode import InvalidRequest, overridden
from worker.serving.engine import Ask, Chunk, Engine, Running

EXTRAS = ("finish_reason", "cumulative_logprob", "logprobs", "num_input_tokens", "num_output_tokens")


class TritonRequest:
    """Lives from `execute` to its final response."""

    running: Running

    def __init__(self, request: Any, pb_utils: Any) -> None:
        self.request = request
        self.pb_utils = pb_utils
        self.sender = request.get_response_sender()
        self.held: list[Chunk] = []
        self.n_output_tokens = 0
        self.closed = False

    def start(self, engine: Engine) -> None:
        """Raises InvalidRequest, in words for the caller."""
        self.engine = engine
        self.prompt = self._text("text_input") or ""
        self.stream = self._flag("stream", False)
        self.echo = not self._flag("exclude_input_in_output", self.stream)
        if self.echo and self.stream:
            raise InvalidRequest("a stream cannot repeat its input: set exclude_input_in_output")
        self.wanted = {name for name in EXTRAS if self._flag(f"return_{name}", False)}
        decode = overridden(engine.decode, self._parameters())
        logprobs = bool(self.wanted & {"cumulative_logprob", "logprobs"})
        self.running = engine.start(Ask(self.prompt, self._text("suffix"), decode, logprobs))

    def send(self, chunk: Chunk) -> None:
        """Streaming: at once. Otherwise all of it with the last chunk, as /generate needs exactly one response."""
        self.n_output_tokens += len(chunk.ids)
        self.held.append(chunk)
        if chunk.finish is None and not (self.stream and any(item.text for item in self.held)):
            return
        held, self.held = self.held, []
        text = (self.prompt if self.echo else "") + "".join(item.text for item in held)
        self._send(
            self.pb_utils.InferenceResponse(output_tensors=self._outputs(text, held)), final=chunk.finish is not None
        )

    def cancel(self) -> None:
        """The caller has gone: the engine stops working on it. Triton wants the final flag all the same."""
        self.running.cancel()
        self._refused("cancelled", self.pb_utils.TritonError.CANCELLED)

    def refuse(self, message: str, *, unavailable: bool = False) -> None:
        error = self.pb_utils.TritonError
        self._refused(message, error.UNAVAILABLE if unavailable else error.INVALID_ARG)

    def drop(self, message: str) -> None:
        self._refused(message, self.pb_utils.TritonError.UNAVAILABLE)

    def _refused(self, message: str, code: int) -> None:
        error = self.pb_utils.TritonError(message, code)
        self._send(self.pb_utils.InferenceResponse(output_tensors=[], error=error), final=True)

    def _send(self, response: Any, *, final: bool) -> None:
        self.closed = final
        flags = self.pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL if final else 0
        self.sender.send(response, flags=flags)

    def _outputs(self, text: str, held: list[Chunk]) -> list[Any]:
        values: dict[str, tuple[Any, type]] = {"text_output": (text.encode(), np.object_)}
        if "finish_reason" in self.wanted:
            values["finish_reason"] = ((held[-1].finish or "").encode(), np.object_)
        if "cumulative_logprob" in self.wanted:
            values["cumulative_logprob"] = (sum(sum(item.logprobs) for item in held), np.float32)
        if "logprobs" in self.wanted:
            values["logprobs"] = (json.dumps(self._logprobs(held)).encode(), np.object_)
        if "num_input_tokens" in self.wanted:
            values["num_input_tokens"] = (self.running.n_prompt_tokens, np.uint32)
        if "num_output_tokens" in self.wanted:
            values["num_output_tokens"] = (sum(len(item.ids) for item in held), np.uint32)
        return [self.pb_utils.Tensor(name, np.array([value], dtype=kind)) for name, (value, kind) in values.items()]

    def _logprobs(self, held: list[Chunk]) -> list[dict[str, dict[str, Any]]]:
        """vLLM's shape: {id: {logprob, rank, decoded_token}} a token. Only the chosen token is known, not its rank."""
        decode = self.engine.prompter.tokenizer.decode
        return [
            {str(token): {"logprob": value, "rank": None, "decoded_token": decode([token])}}
            for item in held
            for token, value in zip(item.ids, item.logprobs, strict=True)
        ]

    def _parameters(self) -> dict[str, object]:
        """sampling_parameters, else the request's own parameters (what HTTP's generate makes of unknown names)."""
        text = self._text("sampling_parameters") or self.request.parameters() or "{}"
        try:
            raw = json.loads(text)
        except ValueError as error:
            raise InvalidRequest(f"sampling_parameters is not JSON: {error}") from error
        if not isinstance(raw, Mapping):
            raise InvalidRequest("sampling_parameters must be a JSON object")
        parameters = {str(name): value for name, value in raw.items() if not str(name).startswith("triton_")}
        limit = self._value("max_tokens")
        return parameters if limit is None else {**parameters, "max_tokens": int(limit)}

    def _flag(self, name: str, default: bool) -> bool:
        value = self._value(name)
        return default if value is None else bool(value)

    def _text(self, name: str) -> str | None:
        value = self._value(name)
        if value is None:
            return None
        try:
            return value.decode() if isinstance(value, bytes) else str(value)
        except UnicodeDecodeError as error:
            raise InvalidRequest(f"{name} is not UTF-8: {error}") from error

    def _value(self, name: str) -> Any:
        tensor = self.pb_utils.get_input_tensor_by_name(self.request, name)
        return None if tensor is None else tensor.as_numpy().reshape(-1)[0]
