"""The cleaning steps: pure functions from an Arrow record batch to the same batch, judged.

    a step:   (batch, recipe) -> Judged(batch, reason, measured)

`reason` is null for the rows that go on; `measured` is the number that decided. Of the reasons that fit a row the
first is given. No step knows of files, shards or the engine that runs it.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from worker.data.languages import language_of, named
from worker.data.lines import alphanumeric_share, line_statistics
from worker.data.redaction import redact
from worker.specs import IngestRecipe

OTHER_BYTE_ORDER_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)


@dataclass(frozen=True)
class Judged:
    """`reason` (string), `measured` (double) and `detail` (string, for people) have one value a row of `batch`.

    `changed` counts repairs by name. `size_bytes` of the batch follows the content that a step changed.
    """

    batch: pa.RecordBatch
    reason: pa.Array
    measured: pa.Array
    changed: dict[str, int]
    detail: pa.Array | None = None


Step = Callable[[pa.RecordBatch, IngestRecipe], Judged]


def language(batch: pa.RecordBatch, recipe: IngestRecipe) -> Judged:
    """path -> language, by extension."""
    asked = {named(name) for name in recipe.languages}
    languages = [language_of(path) for path in batch["path"].to_pylist()]
    reason = [_language_reason(name, asked) for name in languages]
    return _judged(_with(batch, "language", pa.array(languages, pa.string())), reason)


def size(batch: pa.RecordBatch, recipe: IngestRecipe) -> Judged:
    """size_bytes within the recipe's bounds, both inclusive."""
    sizes = batch["size_bytes"].to_numpy(zero_copy_only=False)
    reason = _first_reason(
        len(sizes), [("too-small", sizes < recipe.min_file_bytes), ("too-large", sizes > recipe.max_file_bytes)]
    )
    return _judged(batch, reason, sizes)


def encoding(batch: pa.RecordBatch, recipe: IngestRecipe) -> Judged:
    """raw (binary) -> content (UTF-8 with "\\n" newlines and no byte order mark)."""
    raws = batch["raw"].to_pylist()
    decoded = [decode(raw) for raw in raws]
    changed = {
        "byte-order-mark": sum(
            d.reason is None and raw.startswith(codecs.BOM_UTF8) for d, raw in zip(decoded, raws, strict=True)
        ),
        "carriage-return": sum(d.reason is None and b"\r" in raw for d, raw in zip(decoded, raws, strict=True)),
    }
    batch = _with_content(
        batch.drop_columns(["raw"]), [None if d.content is None else d.content.encode() for d in decoded]
    )
    return _judged(batch, [d.reason for d in decoded], [d.measured for d in decoded], changed)


def lines(batch: pa.RecordBatch, recipe: IngestRecipe) -> Judged:
    """Longest line, mean line and share of letters and digits: Chen et al. 2021 (Codex), section 3.1."""
    statistics = line_statistics(batch["content"])
    share = alphanumeric_share(batch["content"])
    fits = [
        ("long-line", statistics.longest > recipe.max_line_characters, statistics.longest),
        ("long-mean-line", statistics.mean > recipe.max_mean_line_characters, statistics.mean),
        ("few-alphanumerics", share < recipe.min_alphanumeric_share, share),
    ]
    reason = _first_reason(len(share), [(name, failed) for name, failed, _ in fits])
    by_name = {name: values for name, _, values in fits}
    measured = [None if name is None else float(by_name[name][row]) for row, name in enumerate(reason)]
    return _judged(batch, reason, measured)


def redaction(batch: pa.RecordBatch, recipe: IngestRecipe) -> Judged:
    """content with placeholders, and a column `redactions` of [(kind, how many)]; drops nothing."""
    contents = batch["content"].to_pylist()
    redacted = [redact(text.encode()) if recipe.redact else (text.encode(), {}) for text in contents]
    batch = _with_content(batch, [text for text, _ in redacted])
    counts = pa.array([list(counts.items()) for _, counts in redacted], pa.map_(pa.string(), pa.int64()))
    changed = {"redacted": sum(bool(counts) for _, counts in redacted)}
    return _judged(_with(batch, "redactions", counts), [None] * len(redacted), changed=changed)


@dataclass(frozen=True)
class Decoded:
    content: str | None
    reason: str | None = None
    measured: float | None = None


def decode(raw: bytes) -> Decoded:
    """Text of a file's bytes, UTF-8 only. A legacy charset is refused: guessing one turned KOI8-R into garbage."""
    if raw.startswith(OTHER_BYTE_ORDER_MARKS):
        return Decoded(None, "not-utf8", 0.0)
    nul = raw.find(b"\0")
    if nul >= 0:
        return Decoded(None, "binary", float(nul))
    try:
        text = raw.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        return Decoded(None, "not-utf8", float(error.start))
    return Decoded(text.replace("\r\n", "\n").replace("\r", "\n"))


def _language_reason(name: str | None, asked: set[str | None]) -> str | None:
    if name is None:
        return "unknown-language"
    return "language-not-asked" if asked and name not in asked else None


def _first_reason(n: int, fits: Sequence[tuple[str, npt.NDArray[np.bool_]]]) -> list[str | None]:
    reason: list[str | None] = [None] * n
    for name, failed in reversed(fits):
        for row in np.flatnonzero(failed):
            reason[row] = name
    return reason


def _judged(
    batch: pa.RecordBatch,
    reason: Sequence[str | None],
    measured: Sequence[float | None] | npt.NDArray[np.int64] | None = None,
    changed: dict[str, int] | None = None,
) -> Judged:
    values = pa.nulls(len(reason), pa.float64()) if measured is None else pa.array(measured).cast(pa.float64())
    return Judged(batch, pa.array(reason, pa.string()), values, changed or {})


def _with_content(batch: pa.RecordBatch, contents: Sequence[bytes | None]) -> pa.RecordBatch:
    """Rows without content keep the size of their file."""
    sizes = [
        before if text is None else len(text)
        for text, before in zip(contents, batch["size_bytes"].to_pylist(), strict=True)
    ]
    content = pa.array(contents, pa.large_binary()).cast(pa.large_string())
    return _with(_with(batch, "content", content), "size_bytes", pa.array(sizes, pa.int64()))


def _with(batch: pa.RecordBatch, name: str, column: pa.Array) -> pa.RecordBatch:
    if name in batch.schema.names:
        return batch.set_column(batch.schema.get_field_index(name), name, column)
    return batch.append_column(name, column)


def split_by_reason(judged: Judged) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """(rows that go on, rows that do not, the latter with `reason`, `measured` and `detail`)."""
    keep = pc.is_null(judged.reason)
    detail = pa.nulls(len(keep), pa.string()) if judged.detail is None else judged.detail
    dropped = judged.batch.append_column("reason", judged.reason).append_column("measured", judged.measured)
    dropped = dropped.append_column("detail", detail)
    return judged.batch.filter(keep), dropped.filter(pc.invert(keep))
