"""The same corpus on one core, on two, on a Ray cluster and on Spark: the same dataset and training shards, to the byte."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.worker.data.clusters_for_tests import ROOT, ray_cluster, spark_connect
from tests.worker.data.conftest import functions, make_recipe, write
from tests.worker.data.near_copies import WAYS, real_sources
from tests.worker.data.plants import plants
from worker.data import engine
from worker.data.digest import row_digest
from worker.data.runners.attempt import Attempt, settle
from worker.data.runners.reaching import Unreachable, knock
from worker.failures import StageFailure
from worker.specs import ArtifactRef, BuildShards, IngestDataset, SourceSpec, TrainTokenizer

# Shards and parts small enough that a few hundred files are many of both.
STAGE = (
    "import sys; from worker.data import shard, parts; from worker.__main__ import main;"
    "shard.SHARD_FILES, parts.PART_BYTES = 40, 60_000; sys.exit(main(sys.argv[1:]))"
)


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> tuple[SourceSpec, ...]:
    """Real files, near copies of them, secrets, bad bytes and short functions, in two sources."""
    root, chance = tmp_path_factory.mktemp("sources"), random.Random(5)
    texts = real_sources(60, seed=5)
    for number, text in enumerate(texts):
        write(root / "a" / f"{number}.py", text)
        write(root / "b" / f"near-{number}.py", WAYS[number % len(WAYS)](text, chance))
    for name, text in functions(120).items():
        write(root / "b" / "short" / name, text)
    for number, plant in enumerate(plants(301, 50)):
        write(root / "b" / "secret" / f"{number}.py", f"def use_{number}(value):\n    return value\n\n\n{plant.text}\n")
    write(root / "b" / "bad.py", b"\xff\xfe\xfd" * 9)
    return SourceSpec("a", str(root / "a")), SourceSpec("b", str(root / "b"))


def stage(name: str, spec: object, job: Path, cores: int = 2, **variables: str) -> Mapping[str, ArtifactRef]:
    """The stage as the control plane starts it, in a storage of its own: nothing of another run is found again."""
    job.mkdir(parents=True)
    (job / "spec.json").write_text(json.dumps(dataclasses.asdict(spec)))
    environment = {
        **os.environ,
        "STORAGE_URL": str(job / "storage"),
        "RAY_ADDRESS": "",
        "SPARK_REMOTE": "",
        **variables,
    }
    used = set(sorted(os.sched_getaffinity(0))[:cores])
    done = subprocess.run(
        [sys.executable, "-c", STAGE, name, str(job)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, used),
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    made = json.loads((job / "manifest.json").read_text())
    assert made["summary"].get("engine", {}).get("name") in (None, variables.get("ENGINE", "native"))
    return {noun: ArtifactRef(output["uri"], output["sha256"]) for noun, output in made["outputs"].items()}


def dataset_and_shards(
    sources: tuple[SourceSpec, ...], folder: Path, tokenizer: ArtifactRef | None = None, **options
) -> dict[str, ArtifactRef]:
    """Dataset and training shards; without a tokenizer one is trained."""
    recipe = make_recipe(held_out_share=0.1, mixture={"a": 2.0, "b": 1.0})
    made = dict(stage("ingest_dataset", IngestDataset(sources, recipe), folder / "dataset", **options))
    made["tokenizer"] = (
        tokenizer or stage("train_tokenizer", TrainTokenizer(made["dataset"], 400), folder / "t")["tokenizer"]
    )
    spec = BuildShards(made["dataset"], made["tokenizer"], 64, "functions", boundaries=True)
    return made | stage("build_shards", spec, folder / "shards", **options)


@pytest.fixture(scope="module")
def on_two_cores(sources, tmp_path_factory) -> dict[str, ArtifactRef]:
    return dataset_and_shards(sources, tmp_path_factory.mktemp("two"))


def folder_of(reference: ArtifactRef) -> Path:
    return Path(reference.uri.removeprefix("file://"))


def shas(made: Mapping[str, ArtifactRef]) -> dict[str, str]:
    return {noun: reference.sha256 for noun, reference in made.items()}


@pytest.mark.slow
def test_one_core_makes_the_same_bytes_as_two(sources, on_two_cores, tmp_path):
    assert len(list(folder_of(on_two_cores["dataset"]).glob("data/part-*"))) > 3
    made = dataset_and_shards(sources, tmp_path, on_two_cores["tokenizer"], cores=1)
    assert shas(made) == shas(on_two_cores)


@pytest.mark.slow
def test_a_ray_cluster_of_two_nodes_makes_the_same_bytes(sources, on_two_cores, tmp_path):
    pytest.importorskip("ray", reason="pip install -r worker/requirements-scale.txt")
    with ray_cluster(tmp_path) as address:
        made = dataset_and_shards(sources, tmp_path, on_two_cores["tokenizer"], RAY_ADDRESS=address, ENGINE="ray")
    assert shas(made) == shas(on_two_cores)


@pytest.mark.slow
def test_spark_connect_makes_the_same_rows_and_with_the_same_pyarrow_the_same_bytes(sources, on_two_cores, tmp_path):
    pytest.importorskip("pyspark", reason="pip install -r worker/requirements-scale.txt")
    with spark_connect(tmp_path) as remote:
        made = dataset_and_shards(sources, tmp_path, on_two_cores["tokenizer"], SPARK_REMOTE=remote, ENGINE="spark")
    assert row_digest(folder_of(made["dataset"])) == row_digest(folder_of(on_two_cores["dataset"]))
    assert shas(made) == shas(on_two_cores)


@pytest.fixture
def choose(monkeypatch):
    """choose(RAY_ADDRESS="..."): the engine that these variables name. The process keeps its own: Daft takes only one."""

    def chosen(**variables: str):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return engine.runner.__wrapped__()

    return chosen


@pytest.mark.parametrize(
    ("variable", "scheme"), [("RAY_ADDRESS", ""), ("RAY_ADDRESS", "ray://"), ("SPARK_REMOTE", "sc://")]
)
def test_an_engine_that_does_not_answer_is_told_with_its_address_and_no_token(choose, variable, scheme):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and nobody listens
        address = f"{scheme}127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(StageFailure) as refused:
            choose(**{variable: f"{address}/;token=dapi-very-secret"})
    assert refused.value.code == "data:app:engine-unreachable"
    assert address in refused.value.message and "refused" in refused.value.message and variable in refused.value.message
    assert "secret" not in refused.value.message


def test_two_engines_at_once_are_refused(choose):
    with pytest.raises(StageFailure, match="both set"):
        choose(RAY_ADDRESS="127.0.0.1:6379", SPARK_REMOTE="sc://127.0.0.1")


def test_an_address_that_is_none_is_told_without_what_it_held():
    with pytest.raises(Unreachable) as refused:
        knock("sc://user:secret@host:port/;token=secret", 15002)
    assert "secret" not in str(refused.value)


def _refuse(name: str) -> None:
    raise StageFailure("data:user:source-missing", location=name)


def test_a_refusal_comes_home_from_any_engine_as_itself_and_a_stop_begins_nothing(tmp_path):
    attempt = Attempt(_refuse, tmp_path / "stop")
    with pytest.raises(StageFailure, match=r"source-missing.*the-name"):
        settle(attempt("the-name"))
    (tmp_path / "stop").touch()
    assert settle(attempt("the-name")) is None


def test_the_row_digest_sees_rows_and_not_how_they_were_written(tmp_path):
    digests = []
    for folder, rows, options in (
        ("one", [{"id": "a", "n": 1}, {"id": "b", "n": 2}], {"compression": "none"}),
        ("two", [{"id": "b", "n": 2}, {"id": "a", "n": 1}], {"compression": "zstd", "row_group_size": 1}),
        ("three", [{"id": "a", "n": 1}, {"id": "b", "n": 3}], {}),
    ):
        (tmp_path / folder / "data").mkdir(parents=True)
        (tmp_path / folder / "statistics.json").write_text("{}")
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / folder / "data" / "part-0.parquet", **options)
        digests.append(row_digest(tmp_path / folder))
    assert digests[0] == digests[1] != digests[2]
