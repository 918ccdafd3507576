"""What decode settings mean: the one place that the engines, the evaluation and Triton's model.py all ask.

temperature         0 is greedy and ignores top_p, top_k and seed; above 0 draws from softmax(logits / temperature).
top_p, top_k        keep the smallest set of tokens whose probability reaches top_p; keep the top_k most probable ones.
                    1.0 and 0: off.
repetition_penalty  divides positive and multiplies negative logits of tokens seen in prompt or completion
                    (CTRL, Keskar et al. 2019, section 4.1). 1.0: off.
max_tokens          new tokens at most; the end token counts.
stop                strings; the text is cut before the first one, after decoding, so a stop may span tokens.
seed                with the same prompt and settings gives the same text: each request has a generator of its own.

It does not sample: each engine's library does, from these values.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from worker.specs import DecodeSettings

MAX_STOPS = 16
MAX_TOKENS = 4096


class InvalidRequest(ValueError):
    """The caller asked for something that cannot be; the message is for the caller."""


def overridden(defaults: DecodeSettings, parameters: Mapping[str, object]) -> DecodeSettings:
    """`defaults` with a request's own values. Values may be text ("32"), as some load generators send them.

    Raises InvalidRequest for an unknown name (vLLM refuses those too) or a value out of range.
    """
    unknown = set(parameters) - set(_READERS)
    if unknown:
        raise InvalidRequest(f"unknown sampling parameter {', '.join(sorted(unknown))}; known: {', '.join(_READERS)}")
    values: dict[str, Any] = {name: _read(name, value) for name, value in parameters.items() if value is not None}
    return checked(dataclasses.replace(defaults, **values))


def checked(settings: DecodeSettings) -> DecodeSettings:
    """The same settings. Raises InvalidRequest naming the first value that is out of range."""
    for name, (low, high) in _RANGES.items():
        value = getattr(settings, name)
        if not low <= value <= high:
            raise InvalidRequest(f"{name} must be between {low} and {high}, not {value}")
    if len(settings.stop) > MAX_STOPS or "" in settings.stop:
        raise InvalidRequest(f"stop takes at most {MAX_STOPS} strings, none of them empty")
    return settings


class StopCutter:
    """Passes text through up to the first stop string, holding back a tail that may be the beginning of one."""

    def __init__(self, stops: Sequence[str]) -> None:
        self.stops = tuple(stops)
        self.held = ""
        self.matched = False

    def feed(self, text: str) -> str:
        """The part of the text so far that is safe to show. After a match: nothing."""
        if self.matched:
            return ""
        text = self.held + text
        found = [at for at in (text.find(stop) for stop in self.stops) if at >= 0]
        if found:
            self.matched, self.held = True, ""
            return text[: min(found)]
        keep = max((_overlap(text, stop) for stop in self.stops), default=0)
        self.held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def flush(self) -> str:
        """What was held back, once nothing more can come."""
        text, self.held = self.held, ""
        return text


def _overlap(text: str, stop: str) -> int:
    """The length of the longest end of `text` that begins `stop` without being all of it."""
    return next((n for n in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:n])), 0)


def _read(name: str, value: object) -> object:
    try:
        return _READERS[name](value)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidRequest(f"{name} cannot be {value!r}") from error


def _whole(value: Any) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError(value)
    return int(value)


def _number(value: Any) -> float:
    if isinstance(value, bool):
        raise ValueError(value)
    return float(value)


def _top_k(value: Any) -> int:
    return max(_whole(value), 0)  # vLLM's word for "off" is -1


def _stops(value: Any) -> tuple[str, ...]:
    stops = (value,) if isinstance(value, str) else tuple(value)
    if not all(isinstance(stop, str) for stop in stops):
        raise TypeError(value)
    return stops


_READERS: dict[str, Callable[[Any], object]] = {
    "temperature": _number,
    "top_p": _number,
    "top_k": _top_k,
    "repetition_penalty": _number,
    "max_tokens": _whole,
    "stop": _stops,
    "seed": _whole,
}
_RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0.0, 5.0),
    "top_p": (1e-6, 1.0),
    "top_k": (0, 1_000_000),
    "repetition_penalty": (0.1, 10.0),
    "max_tokens": (1, MAX_TOKENS),
    "seed": (0, 2**63 - 1),
}
