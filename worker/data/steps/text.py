"""Steps over the content of one row: encoding, language by content, lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from worker.data.charset import Decoded, decode
from worker.data.kernels import kernel
from worker.data.languages import CONSIDERED_BYTES, is_ambiguous, language_of, named, refined
from worker.data.lines import Bytes, Ints, Measures, buffer_of, measure
from worker.data.steps.judged import (
    Judged,
    Mask,
    Parameters,
    first_failed,
    is_one_of,
    judged,
    with_column,
    with_content,
)

MEASURED = ("n_lines", "longest_line", "in_lines", "characters", "alphanumeric", "alphabetic", "tokens")
CARRIAGE_RETURN, LAST_ASCII = 13, 0x7F


def encoding(batch: pa.RecordBatch, parameters: Parameters) -> Judged:
    """raw (large_binary) -> content (large_string, "\\n" newlines) and `repairs`, what was done to it.

    Only rows with a byte beyond ASCII, a carriage return or a NUL are looked at one by one.
    """
    raw = batch["raw"]
    is_plain = np.zeros(len(raw), np.bool_)
    _find_plain(*buffer_of(raw), is_plain)
    found = {int(row): decode(raw[int(row)].as_buffer().to_pybytes()) for row in np.flatnonzero(~is_plain)}
    content = raw
    if found:
        texts = pa.array([text.content for text in found.values()], pa.large_binary())
        content = pc.replace_with_mask(raw, pa.array(~is_plain), texts)
    return _decoded(batch, content.cast(pa.large_string()), found)


def _decoded(batch: pa.RecordBatch, content: pa.Array, found: Mapping[int, Decoded]) -> Judged:
    """The verdict; rows that are not in `found` were text as they stood. A refused row keeps the size of its file."""
    reasons: list[str | None] = [None] * len(batch)
    measured: list[float | None] = [None] * len(batch)
    repairs: list[tuple[str, ...]] = [()] * len(batch)
    for row, text in found.items():
        reasons[row], measured[row], repairs[row] = text.reason, text.measured, text.changes
    changed = dict(Counter(name for names in repairs for name in names))
    sizes, is_changed = batch["size_bytes"], np.fromiter(map(bool, repairs), np.bool_, len(repairs))
    batch = with_content(batch.drop_columns(["raw"]), content, is_changed)
    batch = with_column(batch, "size_bytes", pc.coalesce(batch["size_bytes"], sizes))
    batch = with_column(batch, "repairs", pa.array(repairs, pa.list_(pa.string())))
    return judged(batch, reasons, measured, changed)


def content_language(batch: pa.RecordBatch, parameters: Parameters) -> Judged:
    """The language of files whose name did not tell it; `parameters` are those of the step language."""
    asked = {named(name) for name in parameters["languages"]}
    names: list[str | None] = batch["language"].to_pylist()
    reasons: list[str | None] = [None] * len(names)
    for row, path in enumerate(batch["path"].to_pylist()):
        if not is_ambiguous(path) or names[row] != language_of(path):  # the latter is the source's own word
            continue
        body = batch["content"][row].as_buffer()
        names[row] = refined(path, body.slice(0, min(CONSIDERED_BYTES, body.size)).to_pybytes())
        if names[row] is None:
            reasons[row] = "unknown-script"
        elif asked and names[row] not in asked:
            reasons[row] = "other-language"
    return judged(with_column(batch, "language", pa.array(names, pa.string())), reasons)


def with_measures(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with the columns MEASURED (worker.data.lines), as the steps that follow and the reports read them."""
    found = measure(batch["content"])
    for name in MEASURED:
        batch = with_column(batch, name, pa.array(getattr(found, name)))
    return batch


def measures_of(batch: pa.RecordBatch) -> Measures:
    return Measures(*(batch[name].to_numpy() for name in MEASURED))


def lines(batch: pa.RecordBatch, parameters: Parameters) -> Judged:
    """Longest line, mean line and share of letters and digits: Chen et al. 2021 (Codex), section 3.1."""
    found = measures_of(batch)
    is_long = is_one_of(batch["language"], parameters["long_line_languages"])
    longest_allowed = np.where(is_long, parameters["max_line_there"], parameters["max_line"])
    is_wide: Mask = (found.mean_line > parameters["max_mean_line"]) & ~is_long
    fits = [
        ("long-line", found.longest_line > longest_allowed, found.longest_line),
        ("long-mean-line", is_wide, found.mean_line),
        (
            "few-alphanumerics",
            found.alphanumeric_share < parameters["min_alphanumeric"],
            found.alphanumeric_share,
        ),
    ]
    return judged(batch, *first_failed(fits, len(batch)))


@kernel
def _find_plain(data: Bytes, offsets: Ints, is_plain: Mask) -> None:
    """Rows of ASCII without a NUL or a carriage return: text as it stands."""
    for row in range(len(is_plain)):
        seen = np.uint8(0)
        for at in range(offsets[row], offsets[row + 1]):
            byte = data[at]
            seen |= byte | (np.uint8(0x80) if byte == 0 or byte == CARRIAGE_RETURN else np.uint8(0))
        is_plain[row] = seen <= LAST_ASCII
