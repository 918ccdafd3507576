"""Token streams into samples of one length, as MDS, with a ledger of what each sample was packed from.

Units follow one another, each closed by an end-of-text token, and are cut where a sample is full; the rest goes on
in the next sample. What is left at the end is shorter than a sample and dropped. Fill-in-the-middle is applied in
training, per unit between end-of-text tokens, so nothing of it is in here.

`ledger.parquet` has one row for each piece of a unit in a sample:

    sample                     its index in the split's MDS folder
    document, language, unit   where the piece comes from; `unit` is a qualified name, "" for a whole document
    char_start, char_end       its span in the document's content; see worker.shards.units.unit_text for `dedent`
    token_start, token_end     its span in the sample, the end-of-text token included where the unit ends here
    ends                       does the unit end here?
    copy                       0, or the how-manieth repetition of the document that the mixture asked for

A token may be a part of a character; two pieces cut there both name that character.

With `boundaries` each sample has a second MDS column, `starts`: the positions at which its pieces begin, the first
always 0. A trainer that keeps attention within them masks with it what was packed; one that rearranges a sample
(fill-in-the-middle) finds them again behind the end-of-text tokens.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from tokenizers import Tokenizer

from worker import torchvision_hook
from worker.data.documents import WRITER_OPTIONS
from worker.shards.cutting import Found
from worker.tokenizer.engines import Ids

torchvision_hook.install()  # before streaming, which imports torchvision

from streaming import MDSWriter  # noqa: E402

LEDGER = pa.schema(
    [
        pa.field("sample", pa.int64(), nullable=False),
        pa.field("document", pa.string(), nullable=False),
        pa.field("language", pa.string(), nullable=False),
        pa.field("unit", pa.string(), nullable=False),
        pa.field("char_start", pa.int64(), nullable=False),
        pa.field("char_end", pa.int64(), nullable=False),
        pa.field("dedent", pa.int64(), nullable=False),
        pa.field("token_start", pa.int64(), nullable=False),
        pa.field("token_end", pa.int64(), nullable=False),
        pa.field("ends", pa.bool_(), nullable=False),
        pa.field("copy", pa.int32(), nullable=False),
    ]
)
LEDGER_ROWS_PER_GROUP = 65_536
COLUMN, STARTS = "tokens", "starts"


@dataclass(frozen=True)
class Layout:
    """What all splits share. `token_bytes[id]` is how many bytes of text a token stands for, 0 for special ones.

    `reference` reads text as text; it is asked where tokens stand in the rare text whose bytes its normaliser changes.
    """

    sequence_length: int
    dtype: str
    end_of_text: int
    token_bytes: npt.NDArray[np.int64]
    reference: Tokenizer
    boundaries: bool = False


def dtype_for(vocabulary_size: int) -> str:
    """The smallest type that holds every id."""
    return "uint16" if vocabulary_size <= 2**16 else "uint32"


class SplitWriter:
    """Packs one split into `folder`, which appears with the first sample. Call `close` at the end.

    The sum of `layout.token_bytes` over samples is exact even where a unit or a character is cut.
    """

    def __init__(self, folder: Path, layout: Layout, max_tokens: int | None) -> None:
        self.folder, self.layout = folder, layout
        self.max_samples = None if max_tokens is None else max_tokens // layout.sequence_length
        self.sample = np.zeros(layout.sequence_length, layout.dtype)
        self.filled = self.n_samples = self.n_units = self.n_text_bytes = 0
        self.pieces: list[dict[str, Any]] = []
        self.ledger: list[dict[str, Any]] = []
        self._mds: MDSWriter | None = None
        self._parquet: pq.ParquetWriter | None = None

    @property
    def is_full(self) -> bool:
        return self.max_samples is not None and self.n_samples >= self.max_samples

    def add(self, found: Found, encoded: Ids) -> None:
        """Pack one encoded unit and its end-of-text token."""
        ids = np.append(encoded, self.layout.end_of_text).astype(self.layout.dtype)
        spans = _Spans(found, encoded, self.layout)
        at = 0
        while at < len(ids) and not self.is_full:
            n = min(len(ids) - at, len(self.sample) - self.filled)
            self.sample[self.filled : self.filled + n] = ids[at : at + n]
            self.pieces.append(self._piece(found, spans, at, n, at + n == len(ids)))
            at, self.filled = at + n, self.filled + n
            if self.filled == len(self.sample):
                self._write_sample()
        self.n_units += 1

    def close(self) -> dict[str, int]:
        """Finish the files; returns n_samples, n_tokens, n_text_bytes, n_units and n_tokens_dropped."""
        if self._mds is not None:
            self._mds.finish()
            self._flush_ledger()
        if self._parquet is not None:
            self._parquet.close()
        return {
            "n_samples": self.n_samples,
            "n_tokens": self.n_samples * len(self.sample),
            "n_text_bytes": self.n_text_bytes,
            "n_units": self.n_units,
            "n_tokens_dropped": self.filled,
        }

    def _piece(self, found: Found, spans: _Spans, at: int, n: int, ends: bool) -> dict[str, Any]:
        char_start, char_end = spans.of(at, at + n - ends)
        return {
            "sample": self.n_samples,
            "document": found.document,
            "language": found.language,
            "unit": found.unit.name,
            "char_start": char_start,
            "char_end": char_end,
            "dedent": found.unit.dedent,
            "token_start": self.filled,
            "token_end": self.filled + n,
            "ends": ends,
            "copy": found.copy,
        }

    def _write_sample(self) -> None:
        if self._mds is None:
            columns = {COLUMN: f"ndarray:{self.layout.dtype}:{len(self.sample)}"}
            columns |= {STARTS: "ndarray:uint32"} if self.layout.boundaries else {}
            self._mds = MDSWriter(out=str(self.folder), columns=columns, hashes=["sha1"])
        starts = np.array([piece["token_start"] for piece in self.pieces], np.uint32)
        self._mds.write({COLUMN: self.sample} | ({STARTS: starts} if self.layout.boundaries else {}))
        self.n_text_bytes += int(self.layout.token_bytes[self.sample].sum())
        self.n_samples, self.filled = self.n_samples + 1, 0
        self.ledger += self.pieces
        self.pieces = []
        if len(self.ledger) >= LEDGER_ROWS_PER_GROUP:
            self._flush_ledger()

    def _flush_ledger(self) -> None:
        if self._parquet is None:
            options = WRITER_OPTIONS | {"use_dictionary": ["document", "language", "unit"]}
            self._parquet = pq.ParquetWriter(self.folder / "ledger.parquet", LEDGER, **options)
        self._parquet.write_table(pa.Table.from_pylist(self.ledger, LEDGER))
        self.ledger = []


class _Spans:
    """Characters of the document that a run of a unit's tokens stands for.

    A token's bytes follow the last one's, so a running sum of their lengths says where each begins.
    """

    def __init__(self, found: Found, ids: Ids, layout: Layout) -> None:
        self.unit, self.positions = found.unit, found.positions()
        ends = np.cumsum(layout.token_bytes[ids])
        raw = np.frombuffer(found.text.encode(), np.uint8)
        self.offsets: list[tuple[int, int]] | None = None
        if len(ids) and int(ends[-1]) != len(raw):
            self.offsets = layout.reference.encode(found.text, add_special_tokens=False).offsets
        self.starts, self.ends = ends - layout.token_bytes[ids], ends
        # The byte at which each character begins: every byte but UTF-8's continuations.
        self.characters = np.flatnonzero((raw & 0xC0) != 0x80) if len(raw) != len(found.text) else None

    def of(self, first: int, last: int) -> tuple[int, int]:
        """Span of tokens [first, last); none of them (the end of text alone) is an empty span at the unit's end."""
        if first == last:
            return self.unit.end, self.unit.end
        start, end = self._characters(first, last)
        return self.positions[start], self.positions[end - 1] + 1

    def _characters(self, first: int, last: int) -> tuple[int, int]:
        if self.offsets is not None:
            return self.offsets[first][0], self.offsets[last - 1][1]
        start, end = int(self.starts[first]), int(self.ends[last - 1])
        if self.characters is None:
            return start, end
        return bisect_right(self.characters, start) - 1, bisect_right(self.characters, end - 1)
