"""What a dataset folder says of its rows: measures, clusters, changes, losses, splits and the mixture."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.worker.data.conftest import functions, make_recipe, statistics
from worker.cleaning.mixing import mixture
from worker.context import Context
from worker.data import ingest
from worker.data.documents import hash_share
from worker.events import ListReporter
from worker.manifest import hash_folder
from worker.specs import IngestDataset

WORDS = [
    "alpha",
    "beta",
    "gamma",
    "delta",
    "epsilon",
    "zeta",
    "eta",
    "theta",
    "iota",
    "kappa",
    "lamda",
    "sigma",
    "omega",
]


def program(seed: int, n_lines: int = 40) -> str:
    """Python unlike that of any other seed."""
    chance = random.Random(seed)
    lines = [
        f"{chance.choice(WORDS)} = {chance.choice(WORDS)}({chance.choice(WORDS)}, {chance.choice(WORDS)})"
        for _ in range(n_lines)
    ]
    return "\n".join(lines) + "\n"


def changed(text: str, line: int) -> str:
    """Nearly the same text: one line differs."""
    lines = text.splitlines()
    return "\n".join([*lines[:line], "another_line = 1", *lines[line + 1 :]]) + "\n"


@pytest.fixture
def run(tmp_path):
    """run(sources, recipe, "name") -> (folder, outcome)."""

    def start(sources, recipe, name="job"):
        (tmp_path / name).mkdir()
        context = Context(tmp_path / name, ListReporter(), str(tmp_path / f"{name}-storage"))
        outcome = ingest.run(IngestDataset(tuple(sources), recipe), context)
        return outcome.outputs["dataset"], outcome

    return start


def rows(folder: Path, name: str) -> list[dict]:
    return pq.read_table(folder / name).to_pylist()


def test_every_decoded_file_has_its_measures_and_where_it_went(make_source, run):
    text = program(1)
    files = {"a.py": text, "copy.py": text, "near.py": changed(text, 3), "long.py": "x = '" + "ab " * 800 + "'\n"}
    folder, _ = run([make_source("s", files | {"bad.py": b"\xff\xfe\xfd" * 9, "a.xyz": "x"})], make_recipe())
    measured = {row["path"]: row for row in rows(folder, "measures.parquet")}
    assert {path: row["outcome"] for path, row in measured.items()} == {
        "a.py": "kept",
        "copy.py": "duplicate",
        "near.py": "near-duplicate",
        "long.py": "long-line",
    }
    row = measured["long.py"]
    assert (row["n_lines"], row["longest_line"], row["size_bytes"]) == (1, 2406, 2407)
    assert row["alphabetic_share"] == pytest.approx((1 + 1600) / 2407, abs=1e-6)
    ids = [row["id"] for row in rows(folder, "measures.parquet")]
    assert ids == sorted(ids)
    assert measured["a.py"]["id"] == rows(folder, "data")[0]["id"]


def test_of_near_duplicates_over_all_sources_one_is_kept_and_the_cluster_is_listed(make_source, run):
    text = program(1)
    sources = [
        make_source("b", {"one.py": text, "other.py": program(2)}),
        make_source("a", {"two.py": changed(text, 5)}),
        make_source("z", {"three.py": changed(text, 7)}),
    ]
    folder, outcome = run(sources, make_recipe())
    kept = {(row["source"], row["path"]) for row in rows(folder, "data")}
    assert kept == {("a", "two.py"), ("b", "other.py")}
    members = rows(folder, "clusters.parquet")
    assert [(row["source"], row["kept"]) for row in members] == [("a", True), ("b", False), ("z", False)]
    assert {row["cluster_size"] for row in members} == {3}
    assert {row["kept_id"] for row in members} == {members[0]["id"]}
    lost = [row for row in rows(folder, "dropped.parquet") if row["reason"] == "near-duplicate"]
    assert [(row["detail"], row["measured"] > 0.7, bool(row["excerpt"])) for row in lost] == [
        (members[0]["id"], True, True)
    ] * 2
    assert outcome.summary["clusters"] == {"clusters": 1, "rows": 3}


def test_who_stays_does_not_depend_on_the_order_of_sources(make_source, run):
    text = program(1)
    sources = [make_source(name, {f"{name}.py": changed(text, n)}) for n, name in enumerate("dacb")]
    shas = [
        hash_folder(run(order, make_recipe(), name)[0])[0] for order, name in ((sources, "x"), (sources[::-1], "y"))
    ]
    assert shas[0] == shas[1]


def test_what_resembles_a_held_out_source_is_not_trained_on(make_source, run):
    text = program(1)
    sources = [
        make_source("a", {"one.py": changed(text, 5), "other.py": program(2)}),
        make_source("z", {"theirs.py": text}, held_out=True),
    ]
    for name, without in (("with", ()), ("without", ("near_deduplication", "exact_deduplication"))):
        folder, _ = run(sources, make_recipe(without=without), name)
        assert {(row["source"], row["split"]) for row in rows(folder, "data")} == {
            ("a", "train"),
            ("z", "held_out_source"),
        }
        (lost,) = rows(folder, "dropped.parquet")
        assert (lost["path"], lost["reason"]) == ("one.py", "resembles-held-out")


def test_a_cluster_is_held_out_as_a_whole(make_source, run):
    texts = {n: program(n) for n in range(12)}
    files = {f"{n}-{k}.py": changed(text, k) for n, text in texts.items() for k in range(3)}
    recipe = make_recipe(without=("near_deduplication",), held_out_share=0.4)
    folder, _ = run([make_source("s", files)], recipe)
    splits: dict[str, set] = {}
    shas: dict[str, list] = {}
    for row in rows(folder, "data"):
        splits.setdefault(row["path"].split("-")[0], set()).add(row["split"])
        shas.setdefault(row["path"].split("-")[0], []).append(row["content_sha"])
    assert len(rows(folder, "data")) == 36 and all(len(found) == 1 for found in splits.values())
    assert {n for n, found in splits.items() if found == {"held_out"}} == {
        n for n, found in shas.items() if hash_share(recipe.seed, "split", min(found)) < 0.4
    }


def test_a_document_says_what_was_changed_in_it_and_losses_are_by_language(make_source, run):
    files = functions(2) | {"mail.py": "mail = 'ada@analytical-engine.org'\r\nvalue = mail\r\n"}
    files |= {"long.py": "x = '" + "ab " * 800 + "'\n", "long.js": "x = '" + "ab " * 800 + "'\n"}
    folder, outcome = run([make_source("s", files)], make_recipe())
    row = next(row for row in rows(folder, "data") if row["path"] == "mail.py")
    assert dict(row["changes"]) == {"encoding:carriage-return": 1, "redaction:EMAIL": 1}
    assert [(span["line"], span["placeholder"]) for span in row["redaction_spans"]] == [(1, "<EMAIL_1>")]
    assert (row["n_lines"], row["tokens"]) == (2, 10)
    assert outcome.summary["reasons"]["long-line"]["languages"] == {
        "JavaScript": {"rows": 1, "bytes": 2407},
        "Python": {"rows": 1, "bytes": 2407},
    }
    assert outcome.summary["redactions"] == {"EMAIL": 1}
    assert outcome.summary["repairs"] == {"encoding:carriage-return": 1, "redaction:redacted": 1}
    assert statistics(folder)["licenses"]["unknown"]["files"] == 3


def test_the_mixture_gives_epochs_by_token_share(make_source, run):
    sources = [
        make_source("a", functions(10)),
        make_source("b", functions(10, "g")),
        make_source("c", functions(5, "h")),
    ]
    _, outcome = run(sources, make_recipe(held_out_share=0.0, mixture={"a": 3.0, "b": 1.0}))
    mixed = outcome.summary["mixture"]
    assert (mixed["a"]["epochs"], mixed["b"]["epochs"], mixed["c"]["epochs"]) == (1.5, 0.5, 1.0)
    assert sum(row["share"] for row in mixed.values()) == pytest.approx(1)


def test_a_mixture_keeps_the_total_and_leaves_unnamed_sources_alone():
    found = mixture({"a": 1.0, "b": 0.0}, {"a": 100, "b": 300, "c": 50, "d": 0})
    assert {name: row["epochs"] for name, row in found.items()} == {"a": 4.0, "b": 0.0, "c": 1.0}
    assert sum(row["epochs"] * row["tokens"] for row in found.values()) == 450
    assert mixture({}, {"a": 7})["a"] == {"weight": None, "tokens": 7, "share": 1.0, "epochs": 1.0}


def test_a_source_that_did_not_change_is_not_read_again(make_source, tmp_path, monkeypatch):
    source = make_source("s", functions(20))
    read = []
    real = ingest.shard.read_files
    monkeypatch.setattr(ingest.shard, "read_files", lambda *given: read.append(1) or real(*given))

    def again(name):
        (tmp_path / name).mkdir()
        context = Context(tmp_path / name, ListReporter(), str(tmp_path / "storage"))
        outcome = ingest.run(IngestDataset((source,), make_recipe()), context)
        return hash_folder(outcome.outputs["dataset"])[0]

    first, second = again("one"), again("two")
    assert first == second and len(read) == 1
    make_source("s", {"f000.py": "def new():\n    return 1\n"})
    assert again("three") != first and len(read) == 2
