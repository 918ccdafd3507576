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

from worker.manifest import partial_of

TRAIN, HELD_OUT, HELD_OUT_SOURCE = "train", "held_out", "held_out_source"
# The source of completions that people accepted (worker.data.feedback).
FEEDBACK = "feedback"
SPLITS = (TRAIN, HELD_OUT, HELD_OUT_SOURCE)
KEPT = "kept"

# Where a redaction stands, so that it can be shown without the value: line number from 1.
SPAN = pa.struct(
    [
        pa.field("line", pa.int32(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("placeholder", pa.string(), nullable=False),
    ]
)

# `tokens`: lexical, as worker.data.lines counts them. `changes`: what steps changed, as step:what -> how often.
# `repository` and `author`, "" where their source does not say: by them somebody finds and takes back what is theirs.
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
        pa.field("tokens", pa.int64(), nullable=False),
        pa.field("changes", pa.map_(pa.string(), pa.int64())),
        pa.field("redaction_spans", pa.list_(SPAN)),
        pa.field("repository", pa.string(), nullable=False),
        pa.field("author", pa.string(), nullable=False),
    ]
)

# One for every file that was decoded, by id: what a threshold would keep is answered from these alone. Floats are
# narrow and rows few columns wide, so that a million rows are some 60 MB and a filter over them takes milliseconds.
MEASURES = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("language", pa.string()),
        pa.field("license", pa.string(), nullable=False),
        pa.field("size_bytes", pa.int32(), nullable=False),
        pa.field("n_lines", pa.int32(), nullable=False),
        pa.field("longest_line", pa.int32(), nullable=False),
        pa.field("mean_line", pa.float32(), nullable=False),
        pa.field("alphanumeric_share", pa.float32(), nullable=False),
        pa.field("alphabetic_share", pa.float32(), nullable=False),
        pa.field("tokens", pa.int32(), nullable=False),
        pa.field("outcome", pa.string(), nullable=False),  # KEPT, or the reason
    ]
)

# Near duplicates, two rows and more a cluster, the largest clusters first.
CLUSTERS = pa.schema(
    [
        pa.field("cluster", pa.string(), nullable=False),
        pa.field("cluster_size", pa.int32(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("language", pa.string(), nullable=False),
        pa.field("size_bytes", pa.int64(), nullable=False),
        pa.field("kept", pa.bool_(), nullable=False),
        pa.field("kept_id", pa.string(), nullable=False),
        pa.field("similarity", pa.float32(), nullable=False),
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
        pa.field("repository", pa.string(), nullable=False),
        pa.field("author", pa.string(), nullable=False),
    ]
)

# 512 rows of code are a few MB: small enough that a search for one row reads little, large enough to compress.
ROWS_PER_GROUP = 512
WRITER_OPTIONS: dict[str, Any] = {
    "version": "2.6",
    "compression": "zstd",
    "compression_level": 3,
    "data_page_version": "1.0",
    "use_dictionary": [
        "source",
        "language",
        "license",
        "split",
        "step",
        "reason",
        "outcome",
        "cluster",
        "repository",
        "author",
    ],
    "write_statistics": True,
    "store_schema": True,
    "write_batch_size": 1024,
}


def document_id(source: str, path: str, raw: bytes | None) -> str:
    """128 bits in hex. Lengths are not needed: neither name can hold a NUL."""
    return named_id(source, path, b"" if raw is None else hashlib.sha256(raw).digest())


def named_id(source: str, path: str, digest: bytes) -> str:
    """The id of a file whose bytes have this SHA-256; of one that was not read with none."""
    return hashlib.sha256(f"{source}\0{path}\0".encode() + digest).hexdigest()[:32]


def content_sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def hash_share(seed: int, purpose: str, key: str) -> float:
    """A uniform number in [0, 1) that depends on nothing but its arguments."""
    digest = hashlib.sha256(f"{seed}\0{purpose}\0{key}".encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def write_parquet(table: pa.Table, path: Path, rows_per_group: int = ROWS_PER_GROUP, **options: Any) -> None:
    """Write under another name, then rename: a reader never meets half a file."""
    with ParquetFile(path, table.schema, **options) as file:
        file.write(table, rows_per_group)


class ParquetFile:
    """A Parquet file written piece by piece, which is there only once it is whole."""

    def __init__(self, path: Path, schema: pa.Schema, **options: Any) -> None:
        self.path, self.partial = path, partial_of(path)
        # A column named in use_dictionary must exist, so only those of this schema are passed.
        dictionaries = [name for name in WRITER_OPTIONS["use_dictionary"] if name in schema.names]
        self.writer = pq.ParquetWriter(
            self.partial, schema, **{**WRITER_OPTIONS, "use_dictionary": dictionaries, **options}
        )

    def write(self, table: pa.Table, rows_per_group: int = ROWS_PER_GROUP) -> None:
        if len(table):
            self.writer.write_table(table.combine_chunks(), row_group_size=rows_per_group)

    def __enter__(self) -> ParquetFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        self.writer.close()
        if kind is None:
            self.partial.replace(self.path)
        else:
            self.partial.unlink(missing_ok=True)
