"""What a killed attempt may leave behind, and what the next one makes of it."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest
import torch

from worker.training import checkpoints, ledger


def save(folder, step):
    folder.mkdir(exist_ok=True)
    torch.save({"step": step}, folder / f"ep0-ba{step}-rank0.pt")


def test_the_newest_whole_checkpoint_becomes_the_latest(tmp_path):
    save(tmp_path, 20)
    save(tmp_path, 100)
    assert checkpoints.mend(tmp_path) == 100
    assert (tmp_path / checkpoints.LATEST).resolve().name == "ep0-ba100-rank0.pt"


def test_a_checkpoint_cut_off_while_being_written_is_thrown_away(tmp_path):
    save(tmp_path, 20)
    save(tmp_path, 40)
    torn = tmp_path / "ep0-ba40-rank0.pt"
    torn.write_bytes(torn.read_bytes()[:-200])
    (tmp_path / checkpoints.LATEST).symlink_to(torn.name)
    assert checkpoints.mend(tmp_path) == 20
    assert not torn.exists()
    assert torch.load(tmp_path / checkpoints.LATEST)["step"] == 20


def test_a_link_lost_between_removal_and_renewal_is_put_back(tmp_path):
    save(tmp_path, 20)
    assert not (tmp_path / checkpoints.LATEST).exists()
    assert checkpoints.mend(tmp_path) == 20
    assert (tmp_path / checkpoints.LATEST).exists()


def test_without_a_whole_checkpoint_the_run_starts_anew(tmp_path):
    (tmp_path / "ep0-ba10-rank0.pt").write_bytes(b"PK")
    (tmp_path / checkpoints.LATEST).symlink_to("ep0-ba10-rank0.pt")
    assert checkpoints.mend(tmp_path) is None
    assert list(tmp_path.iterdir()) == []
    assert checkpoints.mend(tmp_path / "never made") is None


def rows(first, last):
    return [{"step": step, "sample_ids": [step, step + 1], "losses": [0.5, 1.5]} for step in range(first, last + 1)]


@pytest.mark.parametrize(("resumed_at", "expected"), [(30, 30), (20, 20), (14, 14), (0, 0)])
def test_rows_past_the_checkpoint_are_forgotten(tmp_path, resumed_at, expected):
    for first in (1, 11, 21):
        ledger.write_chunk(tmp_path, rows(first, first + 9))
    ledger.drop_after(tmp_path, resumed_at)
    n_steps = ledger.merge(tmp_path, tmp_path / "out" / "batches.parquet")
    assert n_steps == expected
    assert pq.read_table(tmp_path / "out" / "batches.parquet").to_pylist() == rows(1, expected)
