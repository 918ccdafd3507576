"""Completions from any server that speaks OpenAI's API, so that a general-purpose model stands beside the team's own.

POST base_url/completions with the prompt as it is, or base_url/chat/completions with worker.evaluation.chat's message.
What is overloaded or out of reach is asked again for some minutes; what is refused ends the stage, with the completions
so far kept. What a server takes of the decode settings is worker.evaluation.dialect's affair.

The key goes into one header and nowhere else: not into errors (a server may echo it), logs, events or files; and no
redirect is followed, which could carry it away.
"""

from __future__ import annotations

import email.utils
import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from worker.context import Stopped
from worker.evaluation import chat
from worker.evaluation.dialect import Dialect, said
from worker.failures import StageFailure
from worker.serving.decode import InvalidRequest
from worker.specs import DecodeSettings, EndpointSpec

_PATHS = {"completions": "/completions", "chat": "/chat/completions"}
_WAITS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)  # seconds between tries; two minutes in all
_LONGEST_WAIT = 300.0  # that a server's own word on when to come back is followed
_LOOK_SECONDS = 0.2  # how often a wait looks whether somebody pressed Stop
_MOST_BYTES = 8 * 1024 * 1024
_UNSTEADY = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_SPENT = "insufficient_quota"  # a 429 too, and does not pass by waiting


@dataclass(frozen=True)
class Answer:
    """One completion; worker.evaluation.generate.Generation. Token counts are the server's, 0 where it tells none.

    `ignored`: decode settings that did not count for it, and why. `raw` is what a chat wrote, "" for other styles.
    """

    text: str
    finish_reason: str
    n_tokens: int = 0
    n_prompt_tokens: int = 0
    raw: str = ""
    ignored: Mapping[str, str] = field(default_factory=dict)


class _Unsteady(Exception):
    """Worth another try; `wait` is the server's own word on when, in seconds."""

    def __init__(self, detail: str, wait: float | None = None) -> None:
        self.wait = wait
        super().__init__(detail)


class Endpoint:
    """An engine over HTTP; threads may share it. `languages`: by prompt, what it is written in, for a chat to be told.

    Raises StageFailure evaluation:user:endpoint-refused, endpoint-not-found and endpoint-bad-request,
    evaluation:app:endpoint-unreachable and endpoint-invalid; InvalidRequest for a suffix that the server does not take;
    and Stopped when `stopping` says so while it waits.
    """

    def __init__(
        self, spec: EndpointSpec, key: str, languages: Mapping[str, str], stopping: Callable[[], bool] = lambda: False
    ) -> None:
        self.spec, self.languages, self.stopping = spec, languages, stopping
        self.url = spec.base_url.rstrip("/") + _PATHS[spec.style]
        self.dialect = Dialect(spec)
        self._key = key.strip()
        if not (self._key.isascii() and self._key.isprintable()):
            raise self._failure("user:endpoint-refused", "it has characters that no header can carry")
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        self._client = httpx.Client(
            headers={**headers, "Content-Type": "application/json"}, timeout=spec.timeout_seconds
        )
        self._given_up: Exception | None = None

    def complete_many(
        self,
        prompts: Sequence[str],
        decode: DecodeSettings | None = None,
        seeds: Sequence[int] | None = None,
        suffixes: Sequence[str | None] | None = None,
    ) -> list[Answer]:
        """Completions in the order of the prompts, one after another: who wants several at once asks in threads."""
        decode = decode or DecodeSettings()
        parts = zip(prompts, seeds or [decode.seed] * len(prompts), suffixes or [None] * len(prompts), strict=True)
        return [self._complete(prompt, suffix, decode, seed) for prompt, seed, suffix in parts]

    def close(self) -> None:
        self._client.close()

    def _complete(self, prompt: str, suffix: str | None, decode: DecodeSettings, seed: int) -> Answer:
        if self._given_up is not None:
            raise self._given_up
        try:
            return self._tried(prompt, suffix, decode, seed)
        except (StageFailure, InvalidRequest) as failure:
            self._given_up = failure  # what is lost for one is lost for all: the other threads need not find out
            raise

    def _tried(self, prompt: str, suffix: str | None, decode: DecodeSettings, seed: int) -> Answer:
        waits = iter(_WAITS)
        while True:
            request = self.dialect.request(prompt, suffix, decode, seed, self.languages.get(prompt, ""))
            try:
                body = self._post(request)
            except _Unsteady as unsteady:
                self._wait(unsteady, next(waits, None))
            else:
                if body is not None:
                    return self._answer(body, prompt, decode)

    def _wait(self, unsteady: _Unsteady, usual: float | None) -> None:
        """As long as the server says, or as usual, from half to all of it, so that threads do not come back together."""
        if usual is None or (unsteady.wait or 0.0) > _LONGEST_WAIT:
            raise self._failure("app:endpoint-unreachable", str(unsteady)) from unsteady
        until = time.monotonic() + (usual * random.uniform(0.5, 1.0) if unsteady.wait is None else unsteady.wait)
        while (left := until - time.monotonic()) > 0:
            if self._given_up is not None:
                raise self._given_up
            if self.stopping():
                raise Stopped("the endpoint was being waited for")
            time.sleep(min(left, _LOOK_SECONDS))

    # ---- one request ---------------------------------------------------------------------------------------------------

    def _post(self, request: Mapping[str, Any]) -> str | None:
        """The answer's body; None when the server refused a setting that can be left out. Raises _Unsteady."""
        try:
            with self._client.stream("POST", self.url, content=json.dumps(request)) as response:
                body = self._read(response)
        except httpx.TransportError as error:
            raise _Unsteady(f"{type(error).__name__}: {error}") from error
        if response.status_code == httpx.codes.OK:
            return body
        self._refuse(response, body, request)
        return None

    def _read(self, response: httpx.Response) -> str:
        """The whole body. A server that drips bytes is as late as one that says nothing."""
        until, body = time.monotonic() + self.spec.timeout_seconds, b""
        for piece in response.iter_bytes():
            body += piece
            if len(body) > _MOST_BYTES:
                raise self._failure("app:endpoint-invalid", f"it is longer than {_MOST_BYTES} bytes")
            if time.monotonic() > until:
                raise _Unsteady(f"no whole answer in {self.spec.timeout_seconds} seconds")
        return body.decode("utf-8", "replace")

    def _refuse(self, response: httpx.Response, body: str, request: Mapping[str, Any]) -> None:
        """Returns when another request, without what the server refused, has a chance. Raises what there is to say."""
        status, detail = response.status_code, f"HTTP {response.status_code}: {said(body)}"
        if status in (401, 402, 403) or (status == httpx.codes.TOO_MANY_REQUESTS and _SPENT in body):
            raise self._failure("user:endpoint-refused", detail)
        if status in (404, 405):
            raise self._failure("user:endpoint-not-found", detail)
        if status in _UNSTEADY:
            raise _Unsteady(detail, _retry_after(response.headers.get("Retry-After", "")))
        if status not in (400, 413, 422):
            raise self._failure("app:endpoint-invalid", detail)
        if not self.dialect.learn(request, body):
            raise self._failure("user:endpoint-bad-request", detail)

    # ---- one answer ------------------------------------------------------------------------------------------------------

    def _answer(self, body: str, prompt: str, decode: DecodeSettings) -> Answer:
        try:
            raw = json.loads(body)
            choice = raw["choices"][0]
            written = choice["message"]["content"] if self.spec.style == "chat" else choice["text"]
            usage = raw.get("usage") or {}
            counts = int(usage.get("completion_tokens") or 0), int(usage.get("prompt_tokens") or 0)
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise self._failure("app:endpoint-invalid", f"{type(error).__name__} {error}: {said(body)}") from error
        if written is not None and not isinstance(written, str):
            raise self._failure("app:endpoint-invalid", f"its text is {type(written).__name__}: {said(body)}")
        written = written or ""  # null is what a chat answers that refuses, or that spent its budget on thoughts
        finish = "length" if choice.get("finish_reason") == "length" else "stop"
        text, shown = (chat.completion(written, prompt), written) if self.spec.style == "chat" else (written, "")
        return Answer(text, finish, *counts, shown, self.dialect.ignored(decode))

    def _failure(self, code: str, detail: str) -> StageFailure:
        shown = detail.replace(self._key, "[the key]") if self._key else detail
        values = {"url": self.url, "model": self.spec.model, "style": self.spec.style, "detail": shown}
        return StageFailure(f"evaluation:{code}", **values)


def _retry_after(text: str) -> float | None:
    """Seconds from now, from either of the header's two forms (RFC 9110, 10.2.3); None for none or another text."""
    if text.strip().isdigit():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None
