"""Fills a database for bench/pages.py: rows as a yard of some years would hold them, written by the server itself.

Everything is one INSERT ... SELECT from generate_series a table; row number n of each kind hangs on row n of the kind
above it, so that every page has its whole chain. Half of the metric points belong to the first run, which is the long
training that the run page is measured on; the other half is spread evenly. No job here has a process behind it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import duckdb
from django.apps import apps
from django.db import connection
from django.db.models import Model

from controlplane.access.models import Membership, Project, Role, User

METRICS = (
    "loss/train",
    "loss/val",
    "bits_per_byte/held_out",
    "bits_per_byte/held_out_source",
    "throughput/tokens_per_second",
    "gradient_norm",
    "learning_rate",
    "memory/rss_bytes",
    "system/cpu_percent",
    "system/rss_bytes",
)
MODELS = 20  # in the registry; the versions are spread over them
LIVE = 8  # deployments that are ready, as many as a Triton holds
SAMPLES = 400  # of the evaluation that is measured
CHECKS = 40  # for contamination, and imports of models
DOCUMENTS = 5_000  # of the one dataset that has files
LOG_LINES = 20_000
PREFIXES = {"DatasetVersion": "d", "Tokenizer": "t", "ShardSet": "s", "TrainingRun": "r", "ModelVersion": "m"}
PREFIXES |= {
    "Evaluation": "e",
    "Deployment": "y",
    "Pipeline": "p",
    "Source": "o",
    "Suite": "u",
    "Model": "g",
    "Dataset": "a",
    "Baseline": "b",
    "ContaminationCheck": "c",
    "ModelImport": "i",
}
STEPS = "TIMESTAMPTZ '2026-01-01' - n * INTERVAL '10 minutes'"  # a row's moment: number 1 is the newest


@dataclass(frozen=True)
class Sizes:
    """How many of each. `others`: dataset versions, tokenizers, shards, model versions, evaluations, deployments."""

    runs: int = 10_000
    others: int = 1_000
    points: int = 1_000_000


def key(model: str, n: str = "n") -> str:
    """SQL for the id of row `n` of a kind: its letter and nine digits."""
    return f"'{PREFIXES[model]}' || lpad(({n})::text, 9, '0')"


def job_key(kind: str, n: str = "n") -> str:
    return f"md5('{kind} ' || ({n}))::uuid"


def plain(value: Any) -> str:
    """A JSON literal."""
    return "'" + json.dumps(value).replace("'", "''") + "'::jsonb"


def fill(model: type[Model], count: int, **values: str) -> None:
    """`count` rows of `model`: `values` are SQL over n by column, what is not named gets the field's default."""
    columns = {field.column: field for field in model._meta.concrete_fields}
    unknown = set(values) - set(columns)
    if unknown:
        raise ValueError(f"{model.__name__} has no column {', '.join(sorted(unknown))}")
    expressions: dict[str, str] = {}
    parameters: list[Any] = []
    for column, field in columns.items():
        if column in values:
            expressions[column] = values[column]
        elif not field.primary_key:
            expressions[column] = "%s"
            parameters.append(field.get_db_prep_save(field.get_default(), connection))
    named = ", ".join(f'"{column}"' for column in expressions)
    selected = ", ".join(text if text == "%s" else text.replace("%", "%%") for text in expressions.values())
    with connection.cursor() as cursor:
        cursor.execute(
            f'INSERT INTO "{model._meta.db_table}" ({named}) SELECT {selected} FROM generate_series(1, {count}) AS n',
            parameters,
        )


def row(label: str) -> type[Model]:
    return apps.get_model(label)


def fill_all(sizes: Sizes, folder: Path) -> tuple[Project, User]:
    """Every table; `folder` gets the files that pages read. The person is a superuser, so that no page is a 403."""
    project = Project.objects.create(slug="bench", name="Bench")
    user = User.objects.create_superuser("bench")
    Membership.objects.create(project=project, user=user, role=Role.ADMIN)
    owned = {"project_id": str(project.pk), "created_by_id": str(user.pk), "created_at": STEPS}
    _jobs(sizes, {**owned})
    _data(sizes, owned, write_documents(folder / "dataset"))
    _training(sizes, owned)
    _evaluation(sizes, owned)
    _serving(sizes, owned)
    _points(sizes)
    _access(sizes, project, user)
    _log(folder)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return project, user


def _jobs(sizes: Sizes, owned: dict[str, str]) -> None:
    counts = dict.fromkeys(
        ("ingest_dataset", "train_tokenizer", "build_shards", "evaluate_model", "deploy_model"), sizes.others
    ) | {"find_contamination": CHECKS, "import_model": CHECKS}
    for kind, count in {**counts, "train_model": sizes.runs}.items():
        fill(
            row("jobs.Job"), count, **owned, id=job_key(kind), kind=f"'{kind}'", entry="''", title=f"'{kind} ' || n",
            queue="'cpu'", status="CASE WHEN n % 40 = 0 THEN 'failed' ELSE 'succeeded' END",
            failure_code="CASE WHEN n % 40 = 0 THEN 'training:user:not-finite' ELSE '' END",
            failure_message="CASE WHEN n % 40 = 0 THEN 'The loss became nan at step 3.' ELSE '' END",
            attempt="1", started_at=STEPS, finished_at=f"{STEPS} + INTERVAL '5 minutes'", worker_name="'bench'",
            progress_done="100", progress_total="100", progress_unit="'steps'",
        )  # fmt: skip
        for event in ("job.queued", "job.claimed", "job.succeeded"):
            fill(row("jobs.JobEvent"), count, job_id=job_key(kind), attempt="1", at=STEPS, event=f"'{event}'",
                 seq="NULL", payload="'{}'::jsonb")  # fmt: skip
    fill(row("jobs.JobEvent"), 2_000, job_id=job_key("train_model", "1"), attempt="1", seq="n", at=STEPS,
         event="'checkpoint.written'", payload=plain({"step": 50, "path": "checkpoint", "n_bytes": 1}))  # fmt: skip


def made(kind: str, owned: dict[str, str]) -> dict[str, str]:
    return {**owned, "job_id": job_key(kind), "uri": f"'file:///none/' || n || '/{kind}'",
            "sha256": f"md5('{kind}a' || n) || md5('{kind}b' || n)", "n_bytes": "n * 1000"}  # fmt: skip


def _data(sizes: Sizes, owned: dict[str, str], uri: str) -> None:
    fill(row("datasets.Source"), 20, **owned, id=key("Source"), name="'source-' || n", location="'/srv/' || n")
    fill(row("datasets.Dataset"), 50, **owned, id=key("Dataset"), name="'dataset-' || n")
    version = made("ingest_dataset", owned) | {"uri": f"'{uri}'"}
    fill(row("datasets.DatasetVersion"), sizes.others, **version, id=key("DatasetVersion"),
         dataset_id=key("Dataset", "1 + n % 50"), number="1 + n / 50", recipe=plain(DATASET_SUMMARY["recipe"]),
         counts=plain({"documents": DOCUMENTS, "bytes": 9_000_000}), summary=plain(DATASET_SUMMARY))  # fmt: skip
    through = row("datasets.DatasetVersion").sources.through  # type: ignore[attr-defined]
    fill(through, sizes.others, datasetversion_id=key("DatasetVersion"), source_id=key("Source", "1 + n % 20"))
    fill(row("datasets.Tokenizer"), sizes.others, **made("train_tokenizer", owned), id=key("Tokenizer"),
         name="'tokenizer-' || n", dataset_version_id=key("DatasetVersion"), counts=plain({"tokens": 4096}),
         parameters=plain({"vocabulary_size": 4096}), summary=plain(ACCOUNTS["tokenizer"]["summary"]))  # fmt: skip
    fill(row("datasets.ShardSet"), sizes.others, **made("build_shards", owned), id=key("ShardSet"),
         dataset_version_id=key("DatasetVersion"), tokenizer_id=key("Tokenizer"), counts=plain({"tokens": 9_000_000}),
         parameters=plain({"sequence_length": 256, "units": "functions"}), summary=plain(ACCOUNTS["shards"]["summary"]))  # fmt: skip


def _training(sizes: Sizes, owned: dict[str, str]) -> None:
    fill(row("training.Model"), MODELS, **owned, id=key("Model"), name="'model-' || n")
    metrics = "jsonb_build_object(" + ", ".join(f"'{name}', 1 + (n * 37 % 1000) / 1000.0" for name in METRICS) + ")"
    fill(row("training.TrainingRun"), sizes.runs, **made("train_model", owned), id=key("TrainingRun"),
         name="'run-' || n", shard_set_id=key("ShardSet", f"1 + (n - 1) % {sizes.others}"),
         model_id=key("Model", f"1 + n % {MODELS}"), recipe=f"{plain(RECIPE)} || jsonb_build_object('seed', n)",
         tags="ARRAY['bench', 'tag-' || (n % 7)]::varchar[]", metrics=metrics, counts=plain({"steps": 100}))  # fmt: skip
    fill(row("training.ModelImport"), CHECKS, **made("import_model", owned), id=key("ModelImport"),
         model_id=key("Model", "1"), location="'/srv/models/' || n || '.gguf'", decode_settings=plain({}),
         counts=plain({"parameters": 4_000_000}), summary=plain({"origin": {"format": "gguf"}}))  # fmt: skip
    fill(row("training.Checkpoint"), 50, run_id=key("TrainingRun", "1"), step="n * 50", path="'checkpoint'",
         n_bytes="1000", at=STEPS)  # fmt: skip
    fill(row("training.ModelVersion"), sizes.others, **owned, id=key("ModelVersion"), run_id=key("TrainingRun"),
         model_id=key("Model", f"1 + n % {MODELS}"), number=f"1 + n / {MODELS}", tokenizer_id=key("Tokenizer"),
         uri="'file:///none/model/' || n", sha256="md5('model' || n) || md5(n::text)", n_parameters="4000000",
         decode_settings=plain({"temperature": 0.0, "max_tokens": 64, "stop": []}))  # fmt: skip
    for alias, lag in {"production": 2, "staff": 1, "candidate": 0}.items():
        fill(row("training.Promotion"), sizes.others - 2, alias=f"'{alias}'", reason="'bench'",
             model_id=key("Model", f"1 + (n + {lag}) % {MODELS}"), to_version_id=key("ModelVersion", f"n + {lag}"),
             requested_at=STEPS, applied_at=STEPS, requested_by_id=owned["created_by_id"])  # fmt: skip


def _evaluation(sizes: Sizes, owned: dict[str, str]) -> None:
    fill(row("evaluation.Suite"), 5, **owned, id=key("Suite"), name="'suite-' || n", location="'starter-python'")
    fill(row("evaluation.Evaluation"), sizes.others, **made("evaluate_model", owned), id=key("Evaluation"),
         suite_id=key("Suite", "1 + n % 5"), model_version_id=key("ModelVersion"),
         dataset_version_id=key("DatasetVersion"), parameters=plain({"samples": 1}),
         counts=plain({"problems": SAMPLES}), summary=plain(SCORE))  # fmt: skip
    fill(row("evaluation.Baseline"), 20, **owned, id=key("Baseline"), name="'baseline-' || n")
    fill(row("evaluation.ContaminationCheck"), CHECKS, **made("find_contamination", owned),
         id=key("ContaminationCheck"), suite_id=key("Suite", "1 + n % 5"), dataset_version_id=key("DatasetVersion"),
         counts=plain({"documents": DOCUMENTS}), summary=plain(CONTAMINATION))  # fmt: skip
    fill(row("evaluation.ContaminationMatch"), 2 * SAMPLES, in_check_id=key("ContaminationCheck", "1"), rank="n",
         task_id="'bench/' || n / 2", part="'reference'", kind="'renamed'", similarity="0.9", overlap="0.9",
         n_shared="18", n_grams="20", document_id="md5(n::text)", path="'src/' || n || '.py'", source="'bench'",
         language="'Python'", line_from="1", line_to="20", excerpt="repeat('x = 1' || chr(10), 20)",
         probe="repeat('y = 1' || chr(10), 20)")  # fmt: skip
    samples = {"prompt": "'def f(n):'", "completion": "' return n'", "seconds": "0.1", "sample": "0"}
    samples |= {"outcome": "CASE WHEN n % 3 = 0 THEN 'passed' ELSE 'failed' END", "task_id": "'problem/' || n"}
    fill(row("evaluation.SampleResult"), SAMPLES, evaluation_id=key("Evaluation", "1"), **samples)
    spread = {"evaluation_id": key("Evaluation", f"1 + n % {sizes.others}"), "task_id": "'other/' || n"}
    fill(row("evaluation.SampleResult"), 20 * sizes.others, **{**samples, **spread})


def _serving(sizes: Sizes, owned: dict[str, str]) -> None:
    fill(row("playground.Deployment"), sizes.others, **made("deploy_model", owned), id=key("Deployment"),
         model_version_id=key("ModelVersion"), served_name="'served-' || n", engine="'openvino'",
         state=f"CASE WHEN n <= {LIVE} THEN 'ready' ELSE 'stopped' END",
         summary=plain({"canary": {"prompt": "def", "completion": " f"}, "phase_seconds": {"load": 1.2}}))  # fmt: skip
    fill(row("playground.Completion"), 20 * sizes.others, id="'cmpl-' || n", project_id=owned["project_id"],
         deployment_id=key("Deployment", f"1 + n % {LIVE}"), user_id=owned["created_by_id"],
         at="now() - n * INTERVAL '1 minute'", audience="'production'", origin="'playground'", language="'Python'",
         prompt="repeat('x = 1' || chr(10), 60)", text="' return 1'", prompt_sha256="md5('p' || n) || md5('q' || n)",
         finish_reason="'stop'", n_prompt_tokens="300", n_tokens="12", first_token_ms="20 + n % 30", total_ms="90")  # fmt: skip
    fill(row("playground.Feedback"), 20 * sizes.others, completion_id="'cmpl-' || n", kind="'view'", at=STEPS)
    fill(row("playground.Feedback"), 6 * sizes.others, completion_id="'cmpl-' || n", kind="'accept'", at=STEPS)
    steps = {f"{name}_id": key(kind) for name, kind in PIPELINE.items()}
    fill(row("pipeline.Pipeline"), sizes.others, **owned, **steps, id=key("Pipeline"), name="'pipeline-' || n",
         plan=plain({}), finished_at=STEPS, outcome="'succeeded'")  # fmt: skip


def _points(sizes: Sizes) -> None:
    """Steps from 1 up for every metric: half of all points on run 1, the rest evenly on the others."""
    shape = {"value": "2 + sin(n * 0.01)", "at": "TIMESTAMPTZ '2026-01-01' + n * INTERVAL '1 second'"}
    width, half = len(METRICS), sizes.points // 2
    names = "ARRAY[" + ", ".join(f"'{name}'" for name in METRICS) + "]::varchar[]"
    name = f"({names})[1 + n % {width}]"
    others = f"2 + n / {width} % {sizes.runs - 1}"
    with _without_indexes("jobs_metricpoint"):
        fill(row("jobs.MetricPoint"), half, job_id=job_key("train_model", "1"), name=name, step=f"n / {width}", **shape)
        fill(row("jobs.MetricPoint"), sizes.points - half, job_id=job_key("train_model", others), name=name,
             step=f"n / {width} / {sizes.runs - 1}", **shape)  # fmt: skip
    with connection.cursor() as cursor:
        for statement in import_module("controlplane.jobs.migrations.0002_metric_windows").FROM_POINTS:
            cursor.execute(statement)


@contextlib.contextmanager
def _without_indexes(table: str) -> Iterator[None]:
    """A table's indexes and constraints are dropped while it is filled and made again at once when it is full."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE conrelid = %s::regclass AND contype IN ('f', 'u', 'p') ORDER BY contype DESC",
            [table],
        )
        constraints = cursor.fetchall()
        cursor.execute(
            "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = %s AND indexname <> ALL (%s)",
            [table, [name for name, _ in constraints]],
        )
        indexes = cursor.fetchall()
        for name, _ in constraints:
            cursor.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
        for name, _ in indexes:
            cursor.execute(f'DROP INDEX "{name}"')
        yield
        for name, definition in constraints:
            cursor.execute(f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {definition}')
        for _, definition in indexes:
            cursor.execute(definition)


def _access(sizes: Sizes, project: Project, user: User) -> None:
    fill(row("access.AuditEntry"), sizes.runs, project_id=str(project.pk), actor_id=str(user.pk), at=STEPS,
         action="'train_model'", object_type="'trainingrun'", object_id=key("TrainingRun"), object_name="'run-' || n")  # fmt: skip


def write_documents(folder: Path) -> str:
    """A dataset's Parquet as the ingest stage lays it out, without its text's variety. Returns the folder's URI."""
    (folder / "data").mkdir(parents=True)
    with duckdb.connect() as files:
        for name, columns in TABLES.items():
            files.execute(
                f"COPY (SELECT {columns} FROM range({DOCUMENTS}) AS r(n)) TO '{folder / name}' (FORMAT parquet)"
            )
    return folder.as_uri()


def _log(folder: Path) -> None:
    """The output of run 1's job, where the job page looks for it."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {job_key('train_model', '1')}")
        job_id = cursor.fetchone()[0]
    place = folder / "jobs" / str(job_id)
    place.mkdir(parents=True)
    (place / "output.log").write_text("".join(f"step {n} loss 1.234 tokens/s 5678\n" for n in range(LOG_LINES)))


PIPELINE = {
    "dataset_version": "DatasetVersion",
    "tokenizer": "Tokenizer",
    "shard_set": "ShardSet",
    "run": "TrainingRun",
}
PIPELINE |= {"model_version": "ModelVersion", "evaluation": "Evaluation", "deployment": "Deployment"}
RECIPE = {"name": "bench", "batch_size": 16, "shape": {"layers": 4, "hidden_size": 256}, "optimiser": {"name": "muon"}}
TESTS = Path(__file__).resolve().parents[1] / "tests"
# As the stages wrote them.
DATASET_SUMMARY = json.loads((TESTS / "dataset_versions" / "accounts.json").read_text())["one"]["summary"]
ACCOUNTS = json.loads((TESTS / "artifacts" / "accounts.json").read_text())
# What stands in the files of the dataset, by file; n is the row.
FILE = "lpad(n::VARCHAR, 32, '0') AS id, 'bench' AS source, 'src/' || n || '.py' AS path, 'Python' AS language"
TABLES = {
    "data/part-00000.parquet": f"{FILE}, 'MIT' AS license, 'train' AS split, 1200 AS size_bytes, 40 AS n_lines,"
    " '' AS content_sha, repeat('value = index + ' || n || chr(10), 60) AS content, 240 AS tokens,"
    " NULL::MAP(VARCHAR, BIGINT) AS changes, NULL::STRUCT(line INTEGER, kind VARCHAR, placeholder VARCHAR)[]"
    " AS redaction_spans",
    "dropped.parquet": f"{FILE}, 'size' AS step, 'too-large' AS reason, 2000000 AS size_bytes, 2e6 AS measured,"
    " '' AS detail, '' AS excerpt",
    "measures.parquet": f"{FILE}, 'MIT' AS license, (200 + n)::INTEGER AS size_bytes, 40::INTEGER AS n_lines,"
    " (n % 900)::INTEGER AS longest_line, (n % 120)::FLOAT AS mean_line, (n % 100 / 100)::FLOAT AS alphanumeric_share,"
    " (n % 100 / 100)::FLOAT AS alphabetic_share, 240::INTEGER AS tokens, 'kept' AS outcome",
    "clusters.parquet": "lpad((n - n % 5)::VARCHAR, 32, '0') AS cluster, 5::INTEGER AS cluster_size,"
    f" {FILE}, 1200 AS size_bytes, n % 5 = 0 AS kept, lpad((n - n % 5)::VARCHAR, 32, '0') AS kept_id,"
    " 0.93::FLOAT AS similarity",
}
SCORE = {
    "pass_at_k": {"1": {"value": 0.31, "low": 0.27, "high": 0.35, "n_problems": SAMPLES}},
    "held_out": {"held_out": {"all": {"bits_per_byte": 1.21, "perplexity": 9.3, "bytes": 90_000}}},
    "suite": {"name": "starter-python", "version": "0" * 64},
    "isolation": {"level": "bubblewrap", "zygote": True, "limits": {"cpu_seconds": 5.0}},
    "decode": {"temperature": 0.0, "max_tokens": 64},
    "engine": {"name": "openvino", "quantise": "int8"},
    "runtimes": {"python": {"state": "ready", "detail": "", "versions": {"python": "3.11.7"}}},
    "versions": {"torch": "2"},
    "problems": [{"task_id": f"bench/{n}", "n": 1, "c": n % 3 // 2, "n_truncated": 0} for n in range(SAMPLES)],
    "outcomes": {"passed": SAMPLES // 3, "failed": SAMPLES - SAMPLES // 3},
    "n_problems": SAMPLES,
    "n_samples": SAMPLES,
    "samples_per_problem": 1,
    "seed": 17,
    "n_truncated": 3,
}
CONTAMINATION = {
    "suite": SCORE["suite"],
    "problems": {
        f"bench/{n}": {"similarity": 0.9, "kind": "renamed", "part": "reference", "n_rows": 2} for n in range(SAMPLES)
    },
    "n_problems": SAMPLES,
    "not_looked_for": {},
    "not_renamed": [],
    "asked": {"n_gram": 13, "renamed_n_gram": 20, "min_tokens": 8, "candidate_share": 0.25, "least_similarity": 0.7},
}
