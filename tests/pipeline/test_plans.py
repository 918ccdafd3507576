"""The first model's plan finds code on this machine, and no source that would give nothing."""

from __future__ import annotations

import pytest

from controlplane.pipeline import plans


def test_a_package_counts_by_the_files_that_the_plan_keeps(tmp_path):
    def package(name, *sizes):
        (tmp_path / name).mkdir()
        for number, size in enumerate(sizes):
            (tmp_path / name / ("__init__.py" if number == 0 else f"part{number}.py")).write_text("#" * size)

    package("one_huge_file", 150_000)
    package("enough", 60_000, 60_000)
    package("small", 500)
    package(plans.HELD_OUT_PACKAGE, 500)
    assert [path.name for path in plans._packages(tmp_path)] == [plans.HELD_OUT_PACKAGE, "enough"]


def test_more_minutes_read_more_and_train_longer(monkeypatch):
    monkeypatch.setattr(plans, "find_sources", list)
    short, long = plans.first_model(5), plans.first_model(15)
    for verb, amount in (("ingest_dataset", "max_total_bytes"), ("train_model", "max_seconds")):
        assert long[verb][amount] == pytest.approx(3 * short[verb][amount])
