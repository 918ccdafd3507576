"""The pass over a text: which rules fire (one scan), where (RE2), whether (checks), and what is put in their place.

The scan is hyperscan's, over a cheap clue of each rule; RE2 then finds the values of the few rules that fired. Rules
claim in order: of two values that overlap the one that starts first stays, of two that start together that of the
earlier rule, stretched over both, so that no tail of the other is left.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import re2

from worker.data.patterns import PatternSet, made_once
from worker.data.redaction.addresses import ADDRESSES
from worker.data.redaction.assignments import ASSIGNMENTS, PRIVATE_KEYS
from worker.data.redaction.providers import PROVIDERS
from worker.data.redaction.rules import KINDS, Rule

RULES: tuple[Rule, ...] = (*PRIVATE_KEYS, *PROVIDERS, *ASSIGNMENTS, *ADDRESSES)
SPAN = pa.struct([("line", pa.int64()), ("kind", pa.string()), ("placeholder", pa.string())])
COUNTS = pa.map_(pa.string(), pa.int64())
_PLACEHOLDER = re.compile(rb"<(EMAIL|IP_ADDRESS|KEY|PASSWORD)_(\d{1,6})>")


@dataclass(frozen=True)
class Redacted:
    """One row a document, in order.

    content: large_string with placeholders; counts: map of kind to number of replaced places; spans: list of SPAN, in
    order of place: the line (from 1, the same before and after unless a value spans lines), the rule, the placeholder.
    """

    content: pa.Array
    counts: pa.Array
    spans: pa.Array


@dataclass(frozen=True)
class _Span:
    start: int
    end: int
    rule: Rule


@dataclass(frozen=True)
class _Text:
    content: bytes
    counts: dict[str, int]
    spans: list[dict[str, Any]]


def redact(text: bytes, keep: Collection[str] = ()) -> tuple[bytes, dict[str, int]]:
    """(UTF-8 text with placeholders, how many places were replaced by kind). Kinds in `keep` are left as they are."""
    done = _redacted(text, _known(keep))
    return done.content, done.counts


def redact_batch(content: pa.Array, keep: Collection[str] = ()) -> Redacted:
    """content: string or large_string, nulls allowed (they stay null, with no counts)."""
    texts, keep = content.cast(pa.large_binary()), _known(keep)
    done = [None if text is None else _redacted(text, keep) for text in texts.to_pylist()]
    is_changed = pa.array([bool(text and text.spans) for text in done], pa.bool_())
    changed = pa.array([text.content for text in done if text and text.spans], pa.large_binary())
    return Redacted(
        pc.replace_with_mask(texts, is_changed, changed).cast(pa.large_string()),
        pa.array([list(text.counts.items()) if text else None for text in done], COUNTS),
        pa.array([text.spans if text else None for text in done], pa.list_(SPAN)),
    )


def _known(keep: Collection[str]) -> frozenset[str]:
    unknown = set(keep) - set(KINDS)
    if unknown:
        raise ValueError(
            f"no kind of personal data is called {', '.join(sorted(unknown))}: there are {', '.join(KINDS)}"
        )
    return frozenset(keep)


def _redacted(text: bytes, keep: Collection[str]) -> _Text:
    numbers = _clues().hits(text)
    if not numbers:  # nine documents of ten
        return _Text(text, {}, [])
    spans = [span for span in _first_of_overlapping(_spans(text, numbers)) if span.rule.kind not in keep]
    return _replaced(text, spans) if spans else _Text(text, {}, [])


def _replaced(text: bytes, spans: Sequence[_Span]) -> _Text:
    numbers: dict[tuple[str, bytes], int] = {}
    last = _numbers_in_use(text)
    parts: list[bytes] = []
    notes, position, line = [], 0, 1
    for span in spans:
        kind, value = span.rule.kind, text[span.start : span.end]
        if (kind, value) not in numbers:
            last[kind] += 1
            numbers[kind, value] = last[kind]
        placeholder = f"<{kind}_{numbers[kind, value]}>"
        line += text.count(b"\n", position, span.start)
        notes.append({"line": line, "kind": span.rule.name, "placeholder": placeholder})
        parts += [text[position : span.start], placeholder.encode()]
        position = span.end
    parts.append(text[position:])
    counts = Counter(span.rule.kind for span in spans)
    return _Text(b"".join(parts), dict(sorted(counts.items())), notes)


def _numbers_in_use(text: bytes) -> Counter[str]:
    """The highest number of each kind that a text which was redacted before holds: new values go above it."""
    used: Counter[str] = Counter()
    for kind, number in _PLACEHOLDER.findall(text):
        used[kind.decode()] = max(used[kind.decode()], int(number))
    return used


def _spans(text: bytes, numbers: Sequence[int]) -> Iterator[_Span]:
    for number in numbers:
        rule, pattern = RULES[number], _compiled()[number]
        for match in pattern.finditer(text):
            start, end = _value(match)
            if rule.check is None or rule.check(text[start:end], text, start, end):
                yield _Span(start, end, rule)


def _value(match: Any) -> tuple[int, int]:
    """Where the first group that took part is, or the match."""
    groups = (match.span(group) for group in range(1, match.re.groups + 1))
    return next((span for span in groups if span[0] >= 0), match.span())


def _first_of_overlapping(spans: Iterator[_Span]) -> list[_Span]:
    """Spans come by rule, so that a stable sort by start leaves the earlier rule first."""
    kept: list[_Span] = []
    for span in sorted(spans, key=lambda span: span.start):
        if kept and span.start < kept[-1].end:
            kept[-1] = _Span(kept[-1].start, max(span.end, kept[-1].end), kept[-1].rule)
        else:
            kept.append(span)
    return kept


@made_once
def _clues() -> PatternSet:
    return PatternSet([rule.clue or rule.pattern for rule in RULES])


@made_once
def _compiled() -> tuple[Any, ...]:
    return tuple(re2.compile(rule.pattern.encode()) for rule in RULES)
