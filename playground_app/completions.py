"""OpenAI's completions protocol, both ways: a request body becomes a CompletionRequest, chunks become response objects.

Pure functions over plain data: no Django, no Triton. Shapes follow the API reference of POST /v1/completions; what this
service cannot do (best_of, logit_bias, more than the chosen token's log probability, prompts as token ids) is refused
with OpenAI's error object and the parameter's name, never ignored.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

MAX_PROMPT_CHARACTERS = 200_000
MAX_PROMPTS, MAX_CHOICES, MAX_STOPS, MAX_TOKENS = 16, 8, 4, 4096
SAMPLING = ("max_tokens", "temperature", "top_p", "top_k", "repetition_penalty", "stop", "seed")
Number = TypeVar("Number", int, float)
# The value each must have: the protocol knows them, this service does not.
UNSUPPORTED: dict[str, Sequence[object]] = {
    "best_of": (None, 1),
    "logit_bias": (None, {}),
    "frequency_penalty": (None, 0, 0.0),
    "presence_penalty": (None, 0, 0.0),
}
KNOWN = {
    *SAMPLING,
    *UNSUPPORTED,
    "model",
    "prompt",
    "suffix",
    "n",
    "echo",
    "logprobs",
    "stream",
    "stream_options",
    "user",
}


class BadRequest(ValueError):
    """The body cannot be served. `param` is the field at fault."""

    def __init__(self, message: str, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message, self.param, self.code = message, param, code

    def body(self) -> dict[str, Any]:
        """The answer's JSON, to send with status 400."""
        return error_body(self.message, "invalid_request_error", self.param, self.code)


@dataclass(frozen=True)
class CompletionRequest:
    """One completion to stream from an engine. None: the deployment's own setting."""

    prompt: str
    suffix: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    repetition_penalty: float | None = None
    stop: tuple[str, ...] | None = None
    seed: int | None = None
    logprobs: bool = False

    def sampling(self) -> dict[str, Any]:
        """The settings that were given, under the names of Triton's vLLM backend."""
        given = {name: getattr(self, name) for name in SAMPLING}
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True)
class Body:
    """A checked request body. `requests` has len(prompts) x n entries: choice i belongs to prompt i // n."""

    model: str
    requests: tuple[CompletionRequest, ...]
    echo: bool = False
    stream: bool = False
    include_usage: bool = False
    user: str = ""


@dataclass(frozen=True)
class Chunk:
    """Text as it arrives from an engine. Counts are tokens of this chunk; the prompt's are repeated in each."""

    text: str
    finish_reason: str | None = None
    n_tokens: int = 0
    n_prompt_tokens: int = 0
    logprobs: tuple[tuple[str, float], ...] = ()


@dataclass
class Choice:
    """What one choice has come to so far."""

    index: int
    text: str = ""
    finish_reason: str | None = None
    n_tokens: int = 0
    n_prompt_tokens: int = 0
    logprobs: list[tuple[str, float]] = field(default_factory=list)

    def take(self, chunk: Chunk) -> None:
        self.text += chunk.text
        self.finish_reason = chunk.finish_reason or self.finish_reason
        self.n_tokens += chunk.n_tokens
        self.n_prompt_tokens = max(self.n_prompt_tokens, chunk.n_prompt_tokens)
        self.logprobs += chunk.logprobs


def parse(raw: bytes | str) -> Body:
    """Raises BadRequest."""
    return read(json_object(raw))


def json_object(raw: bytes | str) -> dict[str, Any]:
    """Raises BadRequest."""
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise BadRequest(f"The body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise BadRequest("The body must be a JSON object.")
    return body


def read(body: Mapping[str, Any]) -> Body:
    """The same, from a decoded body. Raises BadRequest."""
    _refuse_unknown(body)
    n = _whole(body, "n", 1, MAX_CHOICES) or 1
    one = CompletionRequest(
        prompt="",
        suffix=_text(body, "suffix"),
        max_tokens=_whole(body, "max_tokens", 1, MAX_TOKENS),
        temperature=_number(body, "temperature", 0.0, 2.0),
        top_p=_number(body, "top_p", 1e-6, 1.0),
        top_k=_top_k(body),
        repetition_penalty=_number(body, "repetition_penalty", 0.1, 10.0),
        stop=_stops(body),
        seed=_whole(body, "seed", 0, 2**63 - 1),
        logprobs=bool(_whole(body, "logprobs", 0, 1)),
    )
    stream, echo = _flag(body, "stream"), _flag(body, "echo")
    requests = [_variant(one, prompt, choice) for prompt in _prompts(body) for choice in range(n)]
    options = body.get("stream_options") or {}
    if not isinstance(options, Mapping):
        raise BadRequest("stream_options must be an object.", "stream_options")
    return Body(
        _model(body), tuple(requests), echo, stream, bool(options.get("include_usage")), _text(body, "user") or ""
    )


def response(completion_id: str, created: int, body: Body, choices: Sequence[Choice]) -> dict[str, Any]:
    """The whole answer of a request without stream."""
    items = [
        _choice(choice, body, choice.text, choice.finish_reason, choice.logprobs, begins=True) for choice in choices
    ]
    return {**_head(completion_id, created, body), "choices": items, "usage": usage(choices)}


def stream_part(
    completion_id: str, created: int, body: Body, index: int, chunk: Chunk, *, begins: bool = False
) -> dict[str, Any]:
    """One chunk of a streamed answer; `begins` marks a choice's first, which carries the echoed prompt."""
    choice = Choice(index)
    item = _choice(choice, body, chunk.text, chunk.finish_reason, chunk.logprobs, begins=begins)
    part = {**_head(completion_id, created, body), "choices": [item]}
    return {**part, "usage": None} if body.include_usage else part


def usage_part(completion_id: str, created: int, body: Body, choices: Sequence[Choice]) -> dict[str, Any]:
    """The last chunk when stream_options.include_usage is set: no choices, only the counts."""
    return {**_head(completion_id, created, body), "choices": [], "usage": usage(choices)}


def sse(part: Mapping[str, Any]) -> str:
    """A server-sent event."""
    return f"data: {json.dumps(part, ensure_ascii=False, separators=(',', ':'))}\n\n"


SSE_DONE = "data: [DONE]\n\n"


def usage(choices: Iterable[Choice]) -> dict[str, int]:
    choices = list(choices)
    prompt, completion = sum(item.n_prompt_tokens for item in choices), sum(item.n_tokens for item in choices)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def error_body(message: str, kind: str, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    """OpenAI's error object. kind: invalid_request_error, authentication_error, server_error, ..."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _head(completion_id: str, created: int, body: Body) -> dict[str, Any]:
    return {"id": completion_id, "object": "text_completion", "created": created, "model": body.model}


def _choice(
    choice: Choice,
    body: Body,
    text: str,
    finish_reason: str | None,
    logprobs: Sequence[tuple[str, float]],
    *,
    begins: bool,
) -> dict[str, Any]:
    request = body.requests[choice.index]
    echoed = request.prompt if body.echo and begins else ""
    return {
        "index": choice.index,
        "text": echoed + text,
        "finish_reason": finish_reason,
        "logprobs": _logprobs(logprobs, len(echoed)) if request.logprobs else None,
    }


def _logprobs(pairs: Sequence[tuple[str, float]], offset: int) -> dict[str, Any]:
    """Generated tokens only, the chosen one each; offsets are characters from the start of this chunk's text."""
    offsets = []
    for token, _ in pairs:
        offsets.append(offset)
        offset += len(token)
    return {
        "tokens": [token for token, _ in pairs],
        "token_logprobs": [value for _, value in pairs],
        "top_logprobs": [{token: value} for token, value in pairs],
        "text_offset": offsets,
    }


def _variant(request: CompletionRequest, prompt: str, choice: int) -> CompletionRequest:
    """Choices of one prompt differ by their seed: the given one, then those after it."""
    return replace(request, prompt=prompt, seed=None if request.seed is None else (request.seed + choice) % 2**63)


def _refuse_unknown(body: Mapping[str, Any]) -> None:
    for name in sorted(set(body) - KNOWN):
        raise BadRequest(f"Unknown parameter: {name}.", name, "unknown_parameter")
    for name, allowed in UNSUPPORTED.items():
        if body.get(name) not in allowed:
            raise BadRequest(f"{name} is not supported here.", name, "unsupported_parameter")


def _model(body: Mapping[str, Any]) -> str:
    model = _text(body, "model")
    if not model:
        raise BadRequest("You must name a model.", "model", "missing_required_parameter")
    return model


def _prompts(body: Mapping[str, Any]) -> list[str]:
    raw = body.get("prompt")
    prompts = [raw] if isinstance(raw, str) else raw
    if not isinstance(prompts, list) or not prompts:
        raise BadRequest("prompt must be a string or a list of strings.", "prompt", "missing_required_parameter")
    if not all(isinstance(prompt, str) for prompt in prompts):
        raise BadRequest("prompt must be text: token ids are not taken, the tokenizer is the model's own.", "prompt")
    if len(prompts) > MAX_PROMPTS:
        raise BadRequest(f"At most {MAX_PROMPTS} prompts in one request.", "prompt")
    if max(map(len, prompts)) > MAX_PROMPT_CHARACTERS:
        raise BadRequest(f"A prompt may have at most {MAX_PROMPT_CHARACTERS} characters.", "prompt")
    return prompts


def _stops(body: Mapping[str, Any]) -> tuple[str, ...] | None:
    raw = body.get("stop")
    if raw is None:
        return None
    stops = [raw] if isinstance(raw, str) else raw
    if not isinstance(stops, list) or not all(isinstance(stop, str) and stop for stop in stops):
        raise BadRequest("stop must be a string or a list of strings that are not empty.", "stop")
    if len(stops) > MAX_STOPS:
        raise BadRequest(f"At most {MAX_STOPS} stop strings.", "stop")
    return tuple(stops)


def _top_k(body: Mapping[str, Any]) -> int | None:
    value = _whole(body, "top_k", -1, 1_000_000)
    return None if value is None else max(value, 0)


def _text(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise BadRequest(f"{name} must be a string.", name)
    if value is not None and len(value) > MAX_PROMPT_CHARACTERS:
        raise BadRequest(f"{name} may have at most {MAX_PROMPT_CHARACTERS} characters.", name)
    return value


def _flag(body: Mapping[str, Any], name: str) -> bool:
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise BadRequest(f"{name} must be true or false.", name)
    return bool(value)


def _whole(body: Mapping[str, Any], name: str, low: int, high: int) -> int | None:
    value = body.get(name)
    if value is None or (name == "logprobs" and value is False):
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadRequest(f"{name} must be a whole number.", name)
    return _between(value, name, low, high, int)


def _number(body: Mapping[str, Any], name: str, low: float, high: float) -> float | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadRequest(f"{name} must be a number.", name)
    return _between(value, name, low, high, float)


def _between(value: float, name: str, low: Number, high: Number, kind: Callable[[float], Number]) -> Number:
    if not low <= value <= high:
        raise BadRequest(f"{name} must be between {low} and {high}, not {value}.", name)
    return kind(value)
