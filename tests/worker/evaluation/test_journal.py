from __future__ import annotations

from pathlib import Path

import pytest

from worker.evaluation.journal import Journal

ONE, TWO = {"task_id": "a", "sample": 0, "text": "é\n"}, {"task_id": "a", "sample": 1, "text": "b"}


def test_records_are_found_again_after_reopening(tmp_path: Path) -> None:
    first = Journal(tmp_path / "j")
    first.append([ONE])
    first.append([TWO])
    first.close()
    assert list(Journal(tmp_path / "j").records.values()) == [ONE, TWO]
    assert ("a", 1) in Journal(tmp_path / "j")


@pytest.mark.parametrize("torn", [b'{"task_id": "a", "sa', b'{"task_id": "a", "sample": 1, "text": "b"}', b"\0\0\0\n"])
def test_a_line_cut_by_a_kill_is_dropped_and_written_anew(tmp_path: Path, torn: bytes) -> None:
    first = Journal(tmp_path / "j")
    first.append([ONE])
    first.close()
    with (tmp_path / "j").open("ab") as file:
        file.write(torn)
    second = Journal(tmp_path / "j")
    assert list(second.records.values()) == [ONE]
    second.append([TWO])
    second.close()
    assert list(Journal(tmp_path / "j").records.values()) == [ONE, TWO]
