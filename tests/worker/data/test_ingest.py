"""ingest_dataset from folders to the published layout."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.worker.data.conftest import functions, make_recipe, statistics, write
from worker import specs
from worker.context import Context, Stopped
from worker.data import ingest, shard
from worker.data.deduplication import find_duplicates
from worker.data.documents import CLUSTERS, DOCUMENT, DROPPED, MEASURES
from worker.data.funnel import Funnel
from worker.events import ListReporter, MessageLogged, ProgressMade
from worker.failures import StageFailure
from worker.manifest import hash_folder
from worker.specs import IngestDataset, IngestRecipe, SourceSpec

ROOT = Path(__file__).parents[3]


def documents(outcome) -> list[dict]:
    return pq.read_table(outcome.outputs["dataset"] / "data").to_pylist()


def dropped(outcome) -> dict[str, tuple[str, float | None]]:
    rows = pq.read_table(outcome.outputs["dataset"] / "dropped.parquet").to_pylist()
    return {row["path"]: (row["reason"], row["measured"]) for row in rows}


def test_a_folder_becomes_one_row_a_document(make_source, recipe, context):
    source = make_source("lib", functions(5) | {"sub/x.c": "int main(void) { return 0; }\n"}, license="MIT")
    outcome = ingest.run(IngestDataset((source,), recipe), context)
    table = pq.read_table(outcome.outputs["dataset"] / "data")
    assert table.schema.equals(DOCUMENT)
    rows = {row["path"]: row for row in table.to_pylist()}
    assert len(rows) == 6 == outcome.counts["documents"]
    assert (rows["sub/x.c"]["language"], rows["sub/x.c"]["license"], rows["sub/x.c"]["n_lines"]) == ("C", "MIT", 1)
    assert table["id"].to_pylist() == sorted(table["id"].to_pylist())


def test_each_bad_file_has_its_own_reason_and_the_rest_goes_on(make_source, recipe, context):
    bad = {
        "bad.py": b"caf\xe9",
        "nul.py": b"a\0b",
        "wide.py": "x = '" + "a" * 2_000_000 + "'",
        "line.py": "x = '" + "a" * 2_000 + "'\n",
        "dots.py": "....\n" * 9,
        "what.xyz": "?",
        "empty.py": "",
    }
    source = make_source("s", functions(3) | bad)
    (Path(source.location) / "loop").symlink_to(source.location)
    outcome = ingest.run(IngestDataset((source,), recipe), context)
    assert dropped(outcome) == {
        "bad.py": ("not-utf8", 3.0),
        "nul.py": ("binary", 1.0),
        "wide.py": ("too-large", 2_000_006.0),
        "line.py": ("long-line", 2_006.0),
        "dots.py": ("few-alphanumerics", 0.0),
        "what.xyz": ("unknown-language", None),
        "empty.py": ("too-small", 0.0),
        "loop": ("symlink", None),
    }
    assert outcome.counts["documents"] == 3


def listing_of(spec: IngestDataset, context: Context) -> pa.RecordBatch:
    return ingest.list_files(spec, context.work, Funnel()).listing.combine_chunks().to_batches()[0]


def test_a_file_that_cannot_be_read_is_a_reason_in_the_systems_words(make_source, recipe, context, monkeypatch):
    source = make_source("s", functions(3))
    real_open = os.open

    def refuse(path, *rest):
        if os.fsencode(path).endswith(b"f001.py"):
            raise PermissionError(13, "Permission denied")
        return real_open(path, *rest)

    monkeypatch.setattr(os, "open", refuse)
    spec = IngestDataset((source,), recipe)
    judged = shard.read_files(listing_of(spec, context), ingest.terms_of(spec).sources)
    assert judged.reason.to_pylist() == [None, "unreadable-file", None]
    assert judged.detail.to_pylist() == [None, "Permission denied", None]


def test_a_file_swapped_for_a_link_after_the_walk_is_not_followed(make_source, recipe, context):
    source = make_source("s", functions(1))
    spec = IngestDataset((source,), recipe)
    listing = listing_of(spec, context)
    path = Path(source.location) / "f000.py"
    path.unlink()
    path.symlink_to("/etc/hostname")
    judged = shard.read_files(listing, ingest.terms_of(spec).sources)
    assert judged.reason.to_pylist() == ["unreadable-file"]


def test_the_funnel_adds_up_and_reasons_carry_examples(make_source, recipe, context):
    source = make_source("s", functions(4) | {"copy.py": functions(1)["f000.py"], "line.py": "a" * 2_000})
    outcome = ingest.run(IngestDataset((source,), recipe), context)
    funnel = outcome.summary["funnel"]
    assert next(row["step"] for row in funnel) == "walk"
    assert all(after["rows_in"] == before["rows_out"] for before, after in itertools.pairwise(funnel))
    assert all(after["bytes_in"] == before["bytes_out"] for before, after in itertools.pairwise(funnel))
    assert funnel[-1]["rows_out"] == outcome.counts["documents"] == 4
    reason = outcome.summary["reasons"]["long-line"]
    assert (reason["rows"], reason["bytes"], reason["step"]) == (1, 2000, "lines")
    assert reason["examples"][0]["excerpt"] == "a" * 300
    assert outcome.summary["languages"]["Python"]["files"] == 4
    assert sum(outcome.summary["histograms"]["line_characters_kept"]) == outcome.counts["lines"] == 8
    told = json.loads(json.dumps(outcome.summary))
    read, machines = told.pop("read")["s"], told.pop("engine")
    assert statistics(outcome.outputs["dataset"]) == told
    assert (read["files"], len(read["snapshot"])) == (6, 64)
    assert machines == {"name": "native", "address": ""}


def test_of_equal_files_the_lowest_source_and_path_stays(make_source, recipe, context):
    text = "def same():\n    return 1\n"
    sources = (
        make_source("b", {"a.py": text}),
        make_source("a", {"z.py": text, "y.py": text.replace("\n", "\r\n")}),
    )
    outcome = ingest.run(IngestDataset(sources, recipe), context)
    (row,) = documents(outcome)
    assert (row["source"], row["path"]) == ("a", "y.py")
    copies = pq.read_table(outcome.outputs["dataset"] / "dropped.parquet").to_pylist()
    assert {(copy["source"], copy["path"], copy["detail"]) for copy in copies} == {
        ("a", "z.py", row["id"]),
        ("b", "a.py", row["id"]),
    }


def test_a_held_out_source_keeps_its_copy_so_that_nobody_trains_on_it(make_source, recipe, context):
    text = "def same():\n    return 1\n"
    sources = (
        make_source("a", functions(2) | {"a.py": text}),
        make_source("z", {"z.py": text}, held_out=True),
    )
    rows = documents(ingest.run(IngestDataset(sources, recipe), context))
    assert [row["split"] for row in rows if row["content"] == text] == ["held_out_source"]


def test_duplicates_are_found_whatever_the_order_of_rows():
    rows = [
        {"id": str(n), "rank": rank, "content_sha": sha, "language": "C", "size_bytes": 1}
        for n, (rank, sha) in enumerate([(2, "x"), (0, "x"), (1, "y"), (3, "x")])
    ]
    found = [find_duplicates(pa.Table.from_pylist(order)).sort_by("id").to_pylist() for order in (rows, rows[::-1])]
    assert found[0] == found[1]
    assert [(row["id"], row["detail"]) for row in found[0]] == [("0", "1"), ("3", "1")]


def test_splits_are_disjoint_in_content_and_do_not_move_when_files_are_added(make_source, recipe, context, tmp_path):
    source = make_source("s", functions(60))
    before = documents(ingest.run(IngestDataset((source,), recipe), context))
    make_source("s", functions(60, "g"))
    (tmp_path / "again").mkdir()
    again = Context(tmp_path / "again", ListReporter(), str(tmp_path / "storage"))
    after = {row["path"]: row for row in documents(ingest.run(IngestDataset((source,), recipe), again))}
    by_split = {
        split: {row["content_sha"] for row in after.values() if row["split"] == split}
        for split in ("train", "held_out")
    }
    assert by_split["train"] and by_split["held_out"] and not by_split["train"] & by_split["held_out"]
    assert all(after[row["path"]]["split"] == row["split"] for row in before)
    assert 10 <= len(by_split["held_out"]) <= 40  # a fifth of 120


def test_a_total_size_takes_a_seeded_sample_that_only_grows(make_source, recipe, context, tmp_path):
    source = make_source("s", functions(40))

    def taken(total, seed):
        spec = IngestDataset((source,), dataclasses.replace(recipe, max_total_bytes=total, seed=seed))
        folder = tmp_path / f"{total}-{seed}"
        folder.mkdir(exist_ok=True)
        outcome = ingest.run(spec, Context(folder, ListReporter(), str(folder / "storage")))
        return {row["path"] for row in documents(outcome)}, outcome

    small, outcome = taken(400, 1)
    large, _ = taken(800, 1)
    assert small < large
    assert outcome.counts["bytes"] <= 400
    assert outcome.summary["reasons"]["not-sampled"]["rows"] == 40 - len(small)
    assert small != taken(400, 2)[0]


def test_a_source_of_which_the_sample_takes_nothing_is_no_empty_source(make_source, recipe, context):
    sources = tuple(make_source(name, functions(1, name)) for name in "abcdefgh")
    outcome = ingest.run(IngestDataset(sources, dataclasses.replace(recipe, max_total_bytes=120)), context)
    assert 0 < outcome.counts["documents"] < 8


SECRETS = ("ada@analytical-engine.org", "93.184.216.34", "ghp_" + "aB3" * 12)


def test_no_secret_is_left_in_any_file_or_event(make_source, recipe, context):
    text = "".join(f"x = '{secret}'\n" for secret in SECRETS)
    source = make_source("s", functions(3) | {"a.py": text, "long.py": text + "y = '" + "b" * 3000 + "'\n"})
    outcome = ingest.run(IngestDataset((source,), recipe), context)
    assert outcome.summary["redactions"] == {"EMAIL": 1, "IP_ADDRESS": 1, "KEY": 1}
    assert "<EMAIL_1>" in outcome.summary["reasons"]["long-line"]["examples"][0]["excerpt"]
    seen = [str(pq.read_table(path).to_pylist()) for path in context.job_dir.rglob("*.parquet")]
    seen += [path.read_text() for path in context.job_dir.rglob("*.json")]
    seen += [str(context.reporter.events), str(outcome)]
    assert len(seen) > 5
    assert not [secret for secret in SECRETS for text in seen if secret in text]


def test_one_thread_and_two_write_the_same_bytes_to_every_file(make_source, recipe, tmp_path):
    spec = IngestDataset((make_source("s", functions(120)),), recipe)
    folders = []
    for threads in (1, 2):
        job = tmp_path / f"job{threads}"
        job.mkdir()
        (job / "spec.json").write_text(json.dumps(specs.to_dict(spec)))
        cores = sorted(os.sched_getaffinity(0))[:threads]
        done = subprocess.run(
            [sys.executable, "-m", "tests.worker.data.interrupted", str(job), ""],
            cwd=ROOT,
            preexec_fn=lambda cores=cores: os.sched_setaffinity(0, cores),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        (folder,) = (job / "storage" / "dataset").iterdir()
        folders.append({str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.*")})
    assert len(folders[0]) > 8  # several parts beside the four files about all rows
    assert folders[0] == folders[1]


def test_where_the_folder_lies_does_not_change_the_bytes(recipe, tmp_path):
    shas = []
    for name in ("here", "there"):
        for path, text in functions(20).items():
            write(tmp_path / name / path, text)
        (tmp_path / f"{name}-job").mkdir()
        context = Context(tmp_path / f"{name}-job", ListReporter(), str(tmp_path / f"{name}-storage"))
        outcome = ingest.run(IngestDataset((SourceSpec("s", str(tmp_path / name)),), recipe), context)
        shas.append(hash_folder(outcome.outputs["dataset"])[0])
    assert shas[0] == shas[1]


def test_stopped_between_shards_it_goes_on_from_the_finished_ones(make_source, recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(shard, "SHARD_FILES", 5)
    spec = IngestDataset((make_source("s", functions(40)),), recipe)
    (tmp_path / "whole").mkdir()
    whole = ingest.run(spec, Context(tmp_path / "whole", ListReporter(), str(tmp_path / "whole-storage")))

    class StopAtFirstProgress(ListReporter):
        def report(self, event):
            super().report(event)
            if isinstance(event, ProgressMade):
                (tmp_path / "job" / "stop").touch()

    (tmp_path / "job").mkdir()
    with pytest.raises(Stopped, match="shards are kept"):
        ingest.run(spec, Context(tmp_path / "job", StopAtFirstProgress(), str(tmp_path / "job-storage")))
    finished = {path: path.stat().st_mtime_ns for path in (tmp_path / "job").rglob("shards/*.json")}
    assert finished
    (tmp_path / "job" / "stop").unlink()
    outcome = ingest.run(spec, Context(tmp_path / "job", ListReporter(), str(tmp_path / "job-storage"), attempt=2))
    assert all(path.stat().st_mtime_ns == at for path, at in finished.items())
    assert hash_folder(outcome.outputs["dataset"])[0] == hash_folder(whole.outputs["dataset"])[0]


def test_large_datasets_are_sorted_by_id_over_several_parts(make_source, recipe, context, monkeypatch):
    from worker.data import parts

    monkeypatch.setattr(parts, "PART_BYTES", 400)
    outcome = ingest.run(IngestDataset((make_source("s", functions(40)),), recipe), context)
    files = sorted((outcome.outputs["dataset"] / "data").glob("part-*.parquet"))
    ids = [name for path in files for name in pq.read_table(path)["id"].to_pylist()]
    assert len(files) > 2
    assert ids == sorted(ids) and len(set(ids)) == 40


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sources": ()}, "no source"),
        ({"recipe": make_recipe({"language": {"languages": ["Pyhton"]}})}, "Step language, .* Pyhton"),
        ({"recipe": make_recipe({"lines": {"max_line": 1}})}, "Step lines, parameter max_line: 1 is below 80"),
        ({"recipe": make_recipe({"lines": {"longest": 1}})}, "Step lines has no parameter longest"),
        ({"recipe": make_recipe(mixture={"other": 1.0})}, "other, which is no source"),
        ({"recipe": IngestRecipe(held_out_share=1.5)}, "1.5"),
        ({"sources": (SourceSpec("s", "/a"), SourceSpec("s", "/b"))}, "share a name"),
    ],
)
def test_a_spec_that_means_nothing_is_refused(make_source, context, change, words):
    spec = dataclasses.replace(IngestDataset((SourceSpec("s", "/tmp"),)), **change)
    with pytest.raises(StageFailure, match=words) as refused:
        ingest.run(spec, context)
    assert refused.value.code == "data:user:bad-recipe"


@pytest.mark.parametrize("files", [{}, {"a.bin": "x"}, {"a.py": b"\xff" * 99}])
def test_a_source_that_gives_nothing_is_refused_with_the_reasons(make_source, recipe, context, files):
    with pytest.raises(StageFailure) as refused:
        ingest.run(IngestDataset((make_source("s", files),), recipe), context)
    assert refused.value.code == "data:user:source-empty"
    assert any(isinstance(event, MessageLogged) and event.level == "error" for event in context.reporter.events)


def test_dropped_rows_have_the_published_columns(make_source, recipe, context):
    outcome = ingest.run(IngestDataset((make_source("s", functions(2) | {"a.xyz": "x"}),), recipe), context)
    folder = outcome.outputs["dataset"]
    assert pq.read_schema(folder / "dropped.parquet").equals(DROPPED)
    assert pq.read_schema(folder / "measures.parquet").equals(MEASURES)
    assert pq.read_schema(folder / "clusters.parquet").equals(CLUSTERS)
