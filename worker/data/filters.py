"""The filters of StarCoder and StarCoder2 beyond line lengths: what they measure, their published bounds, the verdict.

    measure(content, languages) -> Measures      numbers only, whole batch at a time
    judge(measures, languages, paths) -> Verdict  the first filter that a row fails, and the number that decided

FILTERS is the table: each row one bound on one measure, for some languages, with its source. Line length and
alphanumeric share are the step `lines`; generated code is worker.data.generated.

What differs from the published code: comments are found by marks (worker.data.comments); visible text of HTML is what
is left without tags, scripts, styles and comments, entities as written; a file's encoded share is that of the
pattern that covers most of it, so that hexadecimal is not counted twice; the XML head drops no file whose language
is XML, which StarCoder left out by language.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from worker.data import lines
from worker.data.comments import comment_share
from worker.data.kernels import kernel
from worker.data.lines import Ints, buffer_of
from worker.data.patterns import PatternSet, made_once

Bytes = npt.NDArray[np.uint8]
Shares = npt.NDArray[np.float64]

BIGCODE = "bigcode-dataset preprocessing/arguments.py"
STARCODER = "Li et al. 2023 (StarCoder, arXiv:2305.06161), 3.2 to 3.4; bigcode-dataset preprocessing/filtering.py"
STARCODER2 = "Lozhkov et al. 2024 (StarCoder2, arXiv:2402.19173), 2.2"
DEEPSEEK = "Guo et al. 2024 (DeepSeek-Coder, arXiv:2401.14196), 2.1"

# StarCoder2's patterns of encoded data beside base64, which a table of bytes finds.
ENCODED_PATTERNS = (
    r"(?:\b(?:0x|\\x)?[0-9a-fA-F]{2}(?:,|\b\s*)){8,}",
    r"(?:\\u[0-9a-fA-F]{4}){8,}",
)
BASE64_BYTES = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/\n="
LEAST_BASE64_RUN = 64
XML_HEAD, XML_HEAD_CHARACTERS = "<?xml version=", 100
_MARKUP = r"(?is)<script\b.*?</script\s*>|<style\b.*?</style\s*>|<!--.*?-->|<!?/?[a-z][^>]*>"
DATA_LANGUAGES = ("JSON", "YAML")
LISTING_LANGUAGES = ("Graphviz (DOT)", "JSON", "Text", "Web Ontology Language", "YAML")
BYTE_CODE_LANGUAGES = ("Motorola 68K Assembly", "WebAssembly")
TEXT_NAMES = r"(?i)(?:^|/)(?:[^/]*requirement[^/]*|readme|todo|description|cmakelists)\.txt$"


@dataclass(frozen=True)
class Measures:
    """One value a document. NaN where a measure does not apply to the document's language.

    n_lines, n_characters; shares of characters: alphabetic, alphanumeric, comments (of bytes), encoded, visible;
    encoded_run: the longest stretch of encoded data, in characters; has_xml_head: 0 or 1; visible: characters.
    """

    n_lines: Shares
    n_characters: Shares
    alphabetic: Shares
    alphanumeric: Shares
    comments: Shares
    encoded: Shares
    encoded_run: Shares
    has_xml_head: Shares
    visible: Shares
    visible_share: Shares


@dataclass(frozen=True)
class Filter:
    """Fails where `measure` is beyond `default`: above it if `is_maximum`, else below it.

    `only`: the languages it is for (empty: all); `exempt`: those it is not for. `default` None: off unless asked for.
    """

    parameter: str
    reason: str
    measure: str
    default: float | None
    is_maximum: bool
    unit: str
    source: str
    only: tuple[str, ...] = ()
    exempt: tuple[str, ...] = ()


FILTERS: tuple[Filter, ...] = (
    Filter("max_lines", "many-lines", "n_lines", 100_000, True, "lines", STARCODER2),
    Filter("min_alphabetic", "few-letters", "alphabetic", 0.25, False, "share", STARCODER2, exempt=BYTE_CODE_LANGUAGES),
    Filter(
        "min_alphanumeric", "few-alphanumerics", "alphanumeric", 0.25, False, "share", STARCODER2, BYTE_CODE_LANGUAGES
    ),
    Filter("max_encoded_run", "encoded-run", "encoded_run", 1024, True, "characters", STARCODER2),
    Filter("max_encoded_share", "encoded-data", "encoded", 0.5, True, "share", STARCODER2),
    Filter("xml_head", "xml-head", "has_xml_head", 0, True, "", STARCODER, exempt=("XML", "XSLT", "SVG")),
    Filter("min_visible_share", "little-visible-text", "visible_share", 0.2, False, "share", STARCODER, ("HTML",)),
    Filter("min_visible", "little-visible-text", "visible", 100, False, "characters", STARCODER, ("HTML",)),
    Filter("min_data", "small-data-file", "n_characters", 50, False, "characters", DEEPSEEK, DATA_LANGUAGES),
    Filter("max_data", "large-data-file", "n_characters", 5000, True, "characters", BIGCODE, DATA_LANGUAGES),
    Filter("max_listing_lines", "long-listing", "n_lines", 512, True, "lines", STARCODER2, LISTING_LANGUAGES),
    # SantaCoder dropped by comments in its three languages only; it is off because code without a comment is no fault.
    Filter("min_comments", "few-comments", "comments", None, False, "share", f"SantaCoder (0.01); {BIGCODE}"),
    Filter("max_comments", "mostly-comments", "comments", 0.8, True, "share", BIGCODE),
)
DEFAULTS: Mapping[str, float | None] = {entry.parameter: entry.default for entry in FILTERS}
TEXT_NAME_REASON = "unknown-text"


@dataclass(frozen=True)
class Verdict:
    """Per row: the first reason, or None; and what was measured (NaN where nothing failed, or no number decided)."""

    reason: list[str | None]
    measured: Shares


def measure(content: pa.Array, languages: pa.Array, counted: lines.Measures | None = None) -> Measures:
    """content: string or large_string without nulls; languages: string, of equal length, null where unknown.

    `counted`: what worker.data.lines counts in the same content, where that was done before.
    """
    counted = lines.measure(content) if counted is None else counted
    run, encoded = np.zeros(len(content), np.int64), np.zeros(len(content), np.int64)
    _find_base64(*buffer_of(content), _is_base64(), run, encoded)
    _add_encoded(content, run, encoded)
    visible = _visible(content, languages)
    some = np.maximum(counted.characters, 1)
    return Measures(
        n_lines=counted.n_lines.astype(float),
        n_characters=counted.characters.astype(float),
        alphabetic=counted.alphabetic_share,
        alphanumeric=counted.alphanumeric_share,
        comments=comment_share(content, languages),
        encoded=encoded / some,
        encoded_run=run.astype(float),
        has_xml_head=_has_xml_head(content),
        visible=visible,
        visible_share=visible / some,
    )


def judge(
    measures: Measures,
    languages: pa.Array,
    paths: pa.Array,
    bounds: Mapping[str, float | None] = DEFAULTS,
    only_known_texts: bool = True,
) -> Verdict:
    """`bounds` by Filter.parameter; None switches one off, one that is missing keeps its default.

    `only_known_texts`: of plain text files only requirements, readmes and the like stay (StarCoder2, 2.2).
    """
    names = np.array(languages.to_pylist(), dtype=object)
    failed = [_failed(entry, measures, names, {**DEFAULTS, **bounds}[entry.parameter]) for entry in FILTERS]
    verdict = Verdict([None] * len(names), np.full(len(names), np.nan))
    if only_known_texts:
        for row in np.flatnonzero(_is_unknown_text(names, paths)):
            verdict.reason[row] = TEXT_NAME_REASON
    for entry, rows in reversed(list(zip(FILTERS, failed, strict=True))):
        values = getattr(measures, entry.measure)
        for row in np.flatnonzero(rows):
            verdict.reason[row], verdict.measured[row] = entry.reason, values[row]
    return verdict


def _failed(
    entry: Filter, measures: Measures, names: npt.NDArray[np.object_], bound: float | None
) -> npt.NDArray[np.bool_]:
    if bound is None:
        return np.zeros(len(names), bool)
    values = getattr(measures, entry.measure)
    beyond = values > bound if entry.is_maximum else values < bound
    if entry.only:
        beyond &= np.isin(names, entry.only)
    return np.asarray(beyond & ~np.isin(names, entry.exempt))


def _is_unknown_text(names: npt.NDArray[np.object_], paths: pa.Array) -> npt.NDArray[np.bool_]:
    known = pc.match_substring_regex(paths, TEXT_NAMES).to_numpy(zero_copy_only=False)
    return np.asarray((names == "Text") & ~known.astype(bool))


def _has_xml_head(content: pa.Array) -> Shares:
    heads = pc.utf8_slice_codeunits(content, 0, XML_HEAD_CHARACTERS)
    return np.asarray(pc.match_substring(heads, XML_HEAD).cast(pa.int8()).to_numpy(zero_copy_only=False), float)


def _visible(content: pa.Array, languages: pa.Array) -> Shares:
    """Characters of text of HTML documents, NaN for others."""
    visible = np.full(len(content), np.nan)
    rows = np.flatnonzero(np.array(languages.to_pylist(), dtype=object) == "HTML")
    if len(rows):
        text = pc.replace_substring_regex(content.take(pa.array(rows)), _MARKUP, "")
        visible[rows] = pc.utf8_length(text).to_numpy(zero_copy_only=False)
    return visible


@made_once
def _encoded() -> PatternSet:
    return PatternSet(ENCODED_PATTERNS)


def _add_encoded(content: pa.Array, run: Ints, encoded: Ints) -> None:
    """Raises `run` and `encoded` of the rows in which one of the patterns covers more than base64 does."""
    patterns = _encoded()
    for row, text in enumerate(content.cast(pa.large_binary())):
        body = text.as_buffer().to_pybytes()
        for number in patterns.hits(body):
            lengths = [match.end() - match.start() for match in patterns.compiled[number].finditer(body)]
            run[row], encoded[row] = max(run[row], *lengths), max(encoded[row], sum(lengths))


@cache
def _is_base64() -> npt.NDArray[np.bool_]:
    table = np.zeros(256, bool)
    table[list(BASE64_BYTES)] = True
    return table


@kernel
def _find_base64(data: Bytes, offsets: Ints, is_base64: npt.NDArray[np.bool_], longest: Ints, encoded: Ints) -> None:
    """Per row the longest run of LEAST_BASE64_RUN bytes and more, and the bytes of all such runs.

    The last byte that a run from here would have to hold is looked at first: code breaks off every few bytes, so most
    of it is never read (440 MB a second become some thousands).
    """
    for row in range(len(longest)):
        start, end = offsets[row], offsets[row + 1]
        while start + 64 <= end:
            stop = start + 63
            while stop >= start and is_base64[data[stop]]:
                stop -= 1
            if stop >= start:
                start = stop + 1
                continue
            stop = start + 64
            while stop < end and is_base64[data[stop]]:
                stop += 1
            longest[row], encoded[row] = max(longest[row], stop - start), encoded[row] + stop - start
            start = stop + 1
