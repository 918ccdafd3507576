"""The reader of MDS against files that the real writer wrote, and against files that nobody should write."""

from __future__ import annotations

import json
import shutil
import struct

import duckdb
import pytest

from datasets_app import mds
from datasets_app.parquet import Unreadable
from tests.stage_rows import ACCOUNTS, FOLDER

TRAIN = FOLDER / "shards" / "train"


@pytest.fixture
def copied(tmp_path):
    """A shard set whose files may be spoilt."""
    shutil.copytree(TRAIN, tmp_path / "train")
    return tmp_path


def spoil(folder, **changes):
    index = json.loads((folder / "train" / "index.json").read_text())
    index["shards"][0] |= changes
    (folder / "train" / "index.json").write_text(json.dumps(index))


def patch(folder, at: int, *values: int):
    path = folder / "train" / "shard.00000.mds"
    raw = bytearray(path.read_bytes())
    raw[at : at + 4 * len(values)] = struct.pack(f"<{len(values)}I", *values)
    path.write_bytes(raw)


def test_samples_are_as_many_and_as_long_as_the_stage_said():
    split = mds.open_split(str(FOLDER / "shards"), "train")
    assert len(split) == ACCOUNTS["shards"]["summary"]["meta"]["n_samples"]["train"]
    assert {len(split.read(index)["tokens"]) for index in range(len(split))} == {64}


def test_starts_and_tokens_agree_with_the_ledger():
    split = mds.open_split(str(FOLDER / "shards"), "train")
    ledger = duckdb.sql(f"SELECT sample, token_start, token_end, ends FROM '{TRAIN / 'ledger.parquet'}'").fetchall()
    end = ACCOUNTS["shards"]["summary"]["meta"]["special_ids"]["end_of_text"]
    for index in range(len(split)):
        read = split.read(index)
        pieces = [row for row in ledger if row[0] == index]
        assert list(read["starts"]) == [start for _, start, _, _ in pieces]
        assert all((read["tokens"][last - 1] == end) == ends for _, _, last, ends in pieces)


def test_a_file_uri_is_read_too():
    assert len(mds.open_split((FOLDER / "shards").as_uri(), "held_out")) > 0


@pytest.mark.parametrize("index", [-1, 10_000])
def test_a_sample_beyond_the_ends_is_no_sample(index):
    with pytest.raises(IndexError):
        mds.open_split(str(FOLDER / "shards"), "train").read(index)


def test_a_split_that_is_not_there_is_said():
    with pytest.raises(Unreadable, match="no split nowhere"):
        mds.open_split(str(FOLDER / "shards"), "nowhere")


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 3},
        {"format": "jsonl"},
        {"compression": "zstd"},
        {"column_encodings": ["pkl", "pkl"]},
        {"column_encodings": ["ndarray:float32:64", "ndarray:uint32"]},
        {"raw_data": {"basename": "../../secret", "bytes": 10, "hashes": {}}},
        {"samples": "many"},
    ],
)
def test_an_index_of_another_kind_is_refused(copied, changes):
    spoil(copied, **changes)
    with pytest.raises(Unreadable):
        mds.open_split(str(copied), "train")


def test_an_index_that_is_no_json_is_refused(copied):
    (copied / "train" / "index.json").write_text("{")
    with pytest.raises(Unreadable):
        mds.open_split(str(copied), "train")


@pytest.mark.parametrize(
    ("at", "values"),
    [
        (0, (7,)),  # another number of samples
        (4, (0, 64)),  # a sample inside the table of offsets
        (4, (400, 300)),  # that ends before it begins
        (4, (400, 4_000_000_000)),  # that ends beyond the file
        (4, (600, 601)),  # too short for its columns
    ],
)
def test_offsets_that_lead_astray_are_refused(copied, at, values):
    patch(copied, at, *values)
    with pytest.raises(Unreadable):
        mds.open_split(str(copied), "train").read(0)


def test_a_column_that_claims_more_than_its_sample_is_refused(copied):
    begin = struct.unpack_from("<I", (TRAIN / "shard.00000.mds").read_bytes(), 4)[0]
    patch(copied, begin, 4_000_000_000)
    with pytest.raises(Unreadable, match="is said to have"):
        mds.open_split(str(copied), "train").read(0)


def test_a_file_that_was_cut_off_is_refused(copied):
    path = copied / "train" / "shard.00000.mds"
    path.write_bytes(path.read_bytes()[:-100])
    split = mds.open_split(str(copied), "train")
    with pytest.raises(Unreadable, match="ends before"):
        split.read(len(split) - 1)


def test_a_file_that_has_gone_is_said(copied):
    split = mds.open_split(str(copied), "train")
    (copied / "train" / "shard.00000.mds").unlink()
    with pytest.raises(Unreadable, match="cannot be read"):
        split.read(0)
