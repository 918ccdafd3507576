"""What one server takes of OpenAI's API, learnt from what it refuses.

A setting that the API does not have is never sent. One that a server names in a refusal is left out from then on, and
stops beyond those it takes are left to the cut after decoding: all of it is said, since a score made without a seed or
at another temperature is another score. `max_tokens` has a younger name that some models insist on; that is no loss.

It speaks to no server: requests go out, and refusals come in, as plain JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from worker.evaluation import chat
from worker.serving.decode import InvalidRequest
from worker.specs import DecodeSettings, EndpointSpec

Json = Mapping[str, Any]

_OPTIONAL = ("seed", "temperature", "top_p", "n")
_FEW_STOPS = 4  # as many as the API promises
_SAID_CHARACTERS = 300
_FOREIGN = "not a setting of this API"


class Dialect:
    """Of one endpoint; threads may share it: what one learns, all leave out."""

    def __init__(self, spec: EndpointSpec) -> None:
        self.spec = spec
        self.left_out: dict[str, str] = {}
        self.most_stops: int | None = None
        self.stops_said = ""
        self.limit = "max_tokens"

    def request(self, prompt: str, suffix: str | None, decode: DecodeSettings, seed: int, language: str) -> Json:
        """The body of one request. Raises InvalidRequest for a suffix that the server does not take."""
        settings = {"n": 1, "seed": seed, "temperature": decode.temperature, "top_p": decode.top_p}
        body = {"model": self.spec.model, self.limit: decode.max_tokens}
        body |= {name: value for name, value in settings.items() if name not in self.left_out}
        if stops := decode.stop[: self.most_stops]:
            body["stop"] = list(stops)
        if suffix is not None and (self.spec.style == "chat" or "suffix" in self.left_out):
            raise InvalidRequest(self.left_out.get("suffix", "a chat has no place for a suffix"))
        if self.spec.style == "chat":
            return {**body, "messages": chat.messages(prompt, language)}
        return {**body, "prompt": prompt} | ({} if suffix is None else {"suffix": suffix})

    def learn(self, sent: Json, answer: str) -> bool:
        """Whether a request that was refused with this answer can be asked in another way."""
        named = next((name for name in ("max_tokens", "stop", "suffix", *_OPTIONAL) if _names(answer, name, sent)), "")
        if named == "max_tokens":
            self.limit = "max_completion_tokens"
        elif named == "stop":
            self.most_stops = _FEW_STOPS if len(sent["stop"]) > _FEW_STOPS else 0
            self.stops_said = said(answer)
        elif named:
            self.left_out[named] = said(answer)
        return bool(named)

    def ignored(self, decode: DecodeSettings) -> dict[str, str]:
        """By setting, why it did not count as it was asked."""
        foreign = {"top_k": decode.top_k != 0, "repetition_penalty": decode.repetition_penalty != 1.0}
        found = {name: _FOREIGN for name, is_set in foreign.items() if is_set}
        found |= {name: why for name, why in self.left_out.items() if name not in ("n", "suffix")}
        if self.most_stops is not None and len(decode.stop) > self.most_stops:
            found["stop"] = f"{self.most_stops} sent, the others cut after decoding: {self.stops_said}"
        return found


def _names(answer: str, name: str, sent: Json) -> bool:
    """Whether a refusal is about this setting: by its `param`, or by the name in its text."""
    if name not in sent:
        return False
    if len(name) > 1 and re.search(rf"\b{name}\b", answer):
        return True
    return re.search(rf"""["'`]{name}["'`]""", answer) is not None


def said(answer: str) -> str:
    """What an answer says for people: its error's message, wherever it has it, or its beginning."""
    try:
        found = json.loads(answer)
    except ValueError:
        return answer.strip()[:_SAID_CHARACTERS]
    for name in ("error", "message", "detail"):
        if isinstance(found, dict) and name in found:
            found = found[name]
    text = found if isinstance(found, str) else json.dumps(found)
    return text.strip()[:_SAID_CHARACTERS]
