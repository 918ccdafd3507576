"""build_shards: a dataset and a tokenizer to packed samples of one length, ready to be trained on.

    shards/meta.json                  what training must know: the tokenizer's hash, special ids, sizes, bytes per token
    shards/<split>/index.json ...     MDS with a column `tokens`, and `starts` if boundaries are asked for; a split
                                      without a whole sample has no folder
    shards/<split>/ledger.parquet     the documents and spans that each sample was packed from (worker.shards.packing)

The order of units is a seeded hash of their text. Equal units are packed once over all splits, in the one that is
held out. A mixture in the dataset's statistics says how often the documents of each source are packed. The same inputs
and seed give the same bytes, on any number of cores.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from worker.context import Context, Outcome, Stopped
from worker.data.documents import HELD_OUT, SPLITS, TRAIN
from worker.events import MessageLogged
from worker.failures import StageFailure
from worker.manifest import write_atomically
from worker.shards import cutting
from worker.shards.mixture import Mixture
from worker.shards.packing import COLUMN, STARTS, Layout, SplitWriter, dtype_for
from worker.specs import BuildShards
from worker.tokenizer import equality
from worker.tokenizer.engines import Encoder
from worker.tokenizer.load import load, roles, verify
from worker.tokenizer.special import ROLES, vocabulary_size

VERSION = "2"
LAYOUT = 2
ENCODED_AT_ONCE = 2_000


def run(spec: BuildShards, context: Context) -> Outcome:
    """Raises StageFailure for bad sizes, a tokenizer that is not the one named, or a split too short for one sample."""
    _check(spec)
    data, tokenizer_folder = context.fetch(spec.dataset), context.fetch(spec.tokenizer)
    verify(tokenizer_folder, spec.tokenizer.sha256)
    tokenizer = load(tokenizer_folder)
    special_ids = {role: tokenizer.token_to_id(token) for role, token in roles(tokenizer_folder).items()}
    _refuse_without_roles(special_ids)
    mixture = Mixture.of_dataset(data, spec.seed)
    files = _cut(data, spec, mixture, context)
    folder = context.out / "shards"
    folder.mkdir(parents=True)
    layout = layout_of(tokenizer, spec, special_ids["end_of_text"])
    writers = {split: SplitWriter(folder / split, layout, spec.max_tokens) for split in SPLITS}
    encoder = Encoder(tokenizer)
    n_duplicates = _pack(files, encoder, writers, context)
    splits = {split: writer.close() for split, writer in writers.items()}
    _refuse_empty(splits, spec)
    meta = _meta(spec, special_ids, layout, splits) | {"mixture": mixture.to_dict(), "encoding": encoder.engine}
    write_atomically(folder / "meta.json", json.dumps(meta, indent=1, sort_keys=True))
    return Outcome({"shards": folder}, _counts(splits, n_duplicates), {"meta": meta, "splits": splits})


def _refuse_without_roles(special_ids: Mapping[str, int]) -> None:
    """A tokenizer that came with an imported model has the roles that its model has."""
    lacking = [role for role in ROLES if role not in special_ids]
    if lacking:
        detail = f"the tokenizer has no token for {', '.join(lacking)}; import it as a tokenizer, which adds them"
        raise StageFailure("shards:user:bad-request", detail=detail)


def layout_of(tokenizer: Tokenizer, spec: BuildShards, end_of_text: int) -> Layout:
    """Byte-level BPE spells each byte as one character, so a token's length is its number of bytes."""
    added = tokenizer.get_added_tokens_decoder()
    size = vocabulary_size(tokenizer)
    lengths = [0 if number in added else len(tokenizer.id_to_token(number) or "") for number in range(size)]
    # An added token that is not special stands for the text it matches.
    for number, token in added.items():
        lengths[number] = 0 if token.special else len(token.content.encode())
    token_bytes = np.array(lengths, np.int64)
    return Layout(spec.sequence_length, dtype_for(size), end_of_text, token_bytes, tokenizer, spec.boundaries)


def _check(spec: BuildShards) -> None:
    if spec.units not in {"functions", "documents"}:
        raise StageFailure("shards:user:bad-request", detail=f"units must be functions or documents, not {spec.units}")
    if spec.sequence_length < 8:
        raise StageFailure(
            "shards:user:bad-request", detail=f"a sequence of {spec.sequence_length} tokens is too short"
        )


def _cut(data: Path, spec: BuildShards, mixture: Mixture, context: Context) -> list[Path]:
    """Files of units, one a part of the dataset; those of an earlier attempt are kept."""
    context.enter("cut units")
    parts = sorted((data / "data").glob("part-*.parquet"))
    # The mixture is a part of the dataset, whose hash is here.
    key = hashlib.sha256(json.dumps([VERSION, spec.dataset.sha256, spec.units, spec.seed]).encode()).hexdigest()[:16]
    folder = context.work / f"units-{key}"
    folder.mkdir(exist_ok=True)
    files = [folder / part.name for part in parts]
    for done, (part, file) in enumerate(zip(parts, files, strict=True)):
        if context.stop_requested():
            raise Stopped(f"stopped after {done} of {len(parts)} parts; their units are kept")
        cutting.cut_part(part, file, spec.units, spec.seed, mixture)
        context.progress(done + 1, len(parts), "parts")
    return files


def _pack(files: Sequence[Path], encoder: Encoder, writers: Mapping[str, SplitWriter], context: Context) -> int:
    """Encode and pack bucket by bucket; returns how many duplicate units were left out.

    The first units are encoded by the reference too: a fast engine that reads them otherwise is refused.
    """
    context.enter("encode and pack")
    context.reporter.report(MessageLogged(f"encoding with {encoder.engine}" + (encoder.note and f": {encoder.note}")))
    n_buckets, n_units = cutting.count_buckets(files)
    done = n_duplicates = 0
    for bucket in range(n_buckets):
        units, n_equal = cutting.read_bucket(files, bucket, n_buckets)
        n_duplicates += n_equal
        done += n_equal
        if bucket == 0:
            equality.check_ids(encoder, equality.first_characters(iter([[found.text for found in units]])))
        for chunk in _chunks(units):
            if context.stop_requested():
                raise Stopped(f"stopped after {done} of {n_units} units; cut units are kept")
            _encode(chunk, encoder, writers)
            done += len(chunk)
            context.progress(done, n_units, "units")
    return n_duplicates


def _encode(chunk: Sequence[cutting.Found], encoder: Encoder, writers: Mapping[str, SplitWriter]) -> None:
    wanted = [found for found in chunk if not writers[found.split].is_full]
    if not wanted:
        return
    for found, ids in zip(wanted, encoder.encode([found.text for found in wanted]).each(), strict=True):
        writers[found.split].add(found, ids)


def _chunks(units: Sequence[cutting.Found]) -> Iterator[Sequence[cutting.Found]]:
    for start in range(0, len(units), ENCODED_AT_ONCE):
        yield units[start : start + ENCODED_AT_ONCE]


def _refuse_empty(splits: Mapping[str, Mapping[str, int]], spec: BuildShards) -> None:
    if splits[TRAIN]["n_samples"] == 0:
        raise StageFailure("shards:user:no-samples", sequence_length=spec.sequence_length)
    if splits[HELD_OUT]["n_samples"] == 0:
        raise StageFailure("data:user:no-held-out")


def _meta(
    spec: BuildShards, special_ids: Mapping[str, int], layout: Layout, splits: Mapping[str, Mapping[str, int]]
) -> dict[str, Any]:
    """bytes_per_token is over all tokens of the samples, end of text included, so that bits per byte =
    mean loss in nats / (ln 2 * bytes_per_token) holds for a loss that is a mean over all of them."""
    filled = {split: row for split, row in splits.items() if row["n_samples"]}
    return {
        "layout": LAYOUT,
        "tokenizer_sha256": spec.tokenizer.sha256,
        "dataset_sha256": spec.dataset.sha256,
        "vocabulary_size": len(layout.token_bytes),
        "special_ids": dict(special_ids),
        "sequence_length": spec.sequence_length,
        "units": spec.units,
        "seed": spec.seed,
        "dtype": layout.dtype,
        "column": COLUMN,
        "boundaries": STARTS if spec.boundaries else None,
        "n_samples": {split: row["n_samples"] for split, row in filled.items()},
        "n_tokens": {split: row["n_tokens"] for split, row in filled.items()},
        "bytes_per_token": {split: round(row["n_text_bytes"] / row["n_tokens"], 6) for split, row in filled.items()},
    }


def _counts(splits: Mapping[str, Mapping[str, int]], n_duplicates: int) -> dict[str, int]:
    return {
        "samples": sum(row["n_samples"] for row in splits.values()),
        "tokens": sum(row["n_tokens"] for row in splits.values()),
        "units": sum(row["n_units"] for row in splits.values()),
        "duplicate_units": n_duplicates,
        **{f"{split}_samples": row["n_samples"] for split, row in splits.items()},
    }
