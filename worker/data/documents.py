"""What a document is: its columns, its identity, and the one way its files are written.

A document's id is a hash of (source, path, bytes of the file), so that it is the same in every dataset version that
holds the file unchanged, and a dropped row carries the id that it would have had. A file dropped before it was read
has the id of (source, path) and no bytes.

Byte-identical output rests on WRITER_OPTIONS and on the pinned pyarrow: another release may encode the same rows
otherwise.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

TRAIN, HELD_OUT, HELD_OUT_SOURCE = "train", "held_out", "held_out_source"
# The source of completions that people accepted (worker.data.feedback).
FEEDBACK = "feedback"
SPLITS = (TRAIN, HELD_OUT, HELD_OUT_SOURCE)

DOCUMENT = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("language", pa.string(), nullable=False),
        pa.field("license", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("size_bytes", pa.int64(), nullable=False),
        pa.field("n_lines", pa.int64(), nullable=False),
        pa.field("content_sha", pa.string(), nullable=False),
        pa.field("content", pa.string(), nullable=False),
    ]
)

DROPPED = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("language", pa.string()),
        pa.field("step", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("size_bytes", pa.int64(), nullable=False),
        pa.field("measured", pa.float64()),
        pa.field("detail", pa.string()),
        pa.field("excerpt", pa.string()),
    ]
)

# 512 rows of code are a few MB: small enough that a merge holds little, large enough to compress.
ROWS_PER_GROUP = 512
WRITER_OPTIONS: dict[str, Any] = {
    "version": "2.6",
    "compression": "zstd",
    "compression_level": 3,
    "data_page_version": "1.0",
    "use_dictionary": ["source", "language", "license", "split", "step", "reason"],
    "write_statistics": True,
    "store_schema": True,
    "write_batch_size": 1024,
}


def document_id(source: str, path: str, raw: bytes | None) -> str:
    """128 bits in hex. Lengths are not needed: neither name can hold a NUL."""
    digest = hashlib.sha256(f"{source}\0{path}\0".encode())
    if raw is not None:
        digest.update(hashlib.sha256(raw).digest())
    return digest.hexdigest()[:32]


def content_sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def split_of(sha: str, seed: int, held_out_share: float, held_out_source: bool) -> str:
    """The split is a function of the content alone: equal files never straddle it, and adding files moves none."""
    if held_out_source:
        return HELD_OUT_SOURCE
    return HELD_OUT if hash_share(seed, "split", sha) < held_out_share else TRAIN


def hash_share(seed: int, purpose: str, key: str) -> float:
    """A uniform number in [0, 1) that depends on nothing but its arguments."""
    digest = hashlib.sha256(f"{seed}\0{purpose}\0{key}".encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def write_parquet(table: pa.Table, path: Path) -> None:
    """Write under another name, then rename: a reader never meets half a file."""
    partial = path.with_name(f".{path.name}.partial")
    # A column named in use_dictionary must exist, so only those of this schema are passed.
    options = WRITER_OPTIONS | {
        "use_dictionary": [c for c in WRITER_OPTIONS["use_dictionary"] if c in table.column_names]
    }
    pq.write_table(table.combine_chunks(), partial, row_group_size=ROWS_PER_GROUP, **options)
    partial.replace(path)
