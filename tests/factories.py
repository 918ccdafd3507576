"""The rows that tests begin with, each made in one line. Models are imported late: pytest reads this file early."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from worker import cleaning

if TYPE_CHECKING:
    from django.test import Client

    from controlplane.access.models import ApiToken, Project, User

PASSWORD = "correct-horse-battery"
ENTRIES = {
    verb: f"{app}.jobs.{verb}"
    for app, verbs in {
        "datasets_app": ("ingest_dataset", "train_tokenizer", "build_shards"),
        "training_app": ("train_model", "import_model"),
        "eval_app": ("admit_suite", "evaluate_model", "find_contamination"),
        "playground_app": ("deploy_model",),
    }.items()
    for verb in verbs
}


def project(slug: str = "demo", name: str = "First yard") -> Project:
    from controlplane.access.models import Project

    return Project.objects.create(slug=slug, name=name)


def user(username: str, project: Project | None = None, role: str = "MEMBER", **more: Any) -> User:
    """An account with PASSWORD, in `project` as `role` (the name of a Role) if one is given."""
    from controlplane.access.models import Membership, Role, User

    person = User.objects.create_user(username, password=PASSWORD, **more)
    if project is not None:
        Membership.objects.create(project=project, user=person, role=Role[role])
    return person


def signed_in_client(person: User, **more: Any) -> Client:
    from django.test import Client

    client = Client(**more)
    client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    return client


def token(project: Project, person: User, *scopes: str, name: str = "a script") -> tuple[ApiToken, str]:
    """A token for a day and its secret, with all scopes unless some are named."""
    from controlplane.access.actions import create_token
    from controlplane.access.models import ApiToken

    ends = timezone.now() + timedelta(days=1)
    return create_token(
        project=project, user=person, name=name, scopes=scopes or ApiToken.Scope.values, expires_at=ends
    )


def bearer(secret: str) -> dict[str, str]:
    """What a request of Django's test client takes as `headers`."""
    return {"Authorization": f"Bearer {secret}"}


def run(project: Project, name: str = "brave-heron-12") -> Any:
    """A TrainingRun that waits, on a dataset version, a tokenizer, shards and a model of its own, a job each."""
    from datasets_app.models import Dataset, DatasetVersion, ShardSet, Tokenizer
    from training_app.models import Model, TrainingRun

    dataset = Dataset.objects.create(project=project, name=f"data of {name}")
    version = DatasetVersion.objects.create(
        project=project, job=job(project, "ingest_dataset"), dataset=dataset, number=1, recipe={}
    )
    tokenizer = Tokenizer.objects.create(
        project=project,
        job=job(project, "train_tokenizer"),
        name=f"vocabulary of {name}",
        dataset_version=version,
        parameters={},
    )
    shards = ShardSet.objects.create(
        project=project,
        job=job(project, "build_shards"),
        dataset_version=version,
        tokenizer=tokenizer,
        parameters={},
    )
    model, _ = Model.objects.get_or_create(project=project, name="completer")
    training = job(project, "train_model", title=name)
    return TrainingRun.objects.create(
        project=project, job=training, name=name, shard_set=shards, model=model, recipe={}
    )


def job(project: Project, kind: str, title: str = "a piece of work", **more: Any) -> Any:
    """A Job that waits in the queue of the CPUs; the queue itself is not rung."""
    from controlplane.jobs.models import Job

    return Job.objects.create(project=project, kind=kind, entry=ENTRIES.get(kind, ""), title=title, queue="cpu", **more)


# ---- the chain, each link finished and with the figures that its stage writes -----------------------------------------

DECODE = {"temperature": 0.0, "top_p": 1.0, "top_k": 0, "repetition_penalty": 1.1, "max_tokens": 48}
DECODE |= {"stop": [], "seed": 17}


def sha(name: str) -> str:
    """A content hash that differs with `name`."""
    return hashlib.sha256(name.encode()).hexdigest()


def finished_job(project: Project, kind: str, title: str = "a piece of work", status: str = "succeeded") -> Any:
    """A Job that ended at its first attempt; `kind` is the verb, whose app is known here."""
    code = {"failure_code": "test:app:failed", "failure_message": "It said no."} if status == "failed" else {}
    return job(
        project,
        kind,
        title,
        status=status,
        attempt=1,
        started_at=timezone.now() - timedelta(seconds=90),
        finished_at=timezone.now(),
        **code,
    )


def make_source(project: Project, name: str = "python-stdlib", is_held_out: bool = False) -> Any:
    from datasets_app.models import Source

    return Source.objects.create(
        project=project, name=name, location=f"/srv/code/{name}", license="PSF-2.0", is_held_out=is_held_out
    )


def make_dataset_version(
    project: Project, name: str = "python-code", uri: str = "file:///nowhere/dataset", number: int = 1
) -> Any:
    from datasets_app.models import Dataset, DatasetVersion

    dataset, _ = Dataset.objects.get_or_create(project=project, name=name)
    return DatasetVersion.objects.create(
        project=project,
        job=finished_job(project, "ingest_dataset", f"{name} v{number}"),
        dataset=dataset,
        number=number,
        recipe={
            "steps": cleaning.with_parameters({"language": {"languages": ["Python"]}}),
            "held_out_share": 0.02,
            "seed": 17,
        },
        uri=uri,
        sha256=sha(f"{name} {number}"),
        n_bytes=4_200_000,
        counts={
            "documents": 1200,
            "bytes": 9_000_000,
            "lines": 240_000,
            "languages": 1,
            "train": 1160,
            "held_out": 24,
            "held_out_source": 16,
            "dropped": 90,
            "redacted_values": 3,
        },
        summary=dataset_summary(),
    )


def dataset_summary() -> dict[str, Any]:
    """As worker.data.publish writes it."""
    figures = {"files": 1200, "bytes": 9_000_000, "lines": 240_000, "line_characters": 8_000_000}
    figures = {**figures, "mean_line_characters": 33.3}
    return {
        "layout": 1,
        "recipe": {"steps": cleaning.with_parameters({"language": {"languages": ["Python"]}})},
        "funnel": [
            {"step": "read", "rows_in": 1290, "rows_out": 1250, "bytes_in": 9_400_000, "bytes_out": 9_200_000},
            {"step": "deduplicate", "rows_in": 1250, "rows_out": 1200, "bytes_in": 9_200_000, "bytes_out": 9_000_000},
        ],
        "reasons": {
            "duplicate": {
                "step": "deduplicate",
                "text": "The same content as another file.",
                "unit": "",
                "rows": 50,
                "bytes": 200_000,
                "examples": [],
            }
        },
        "repairs": {},
        "redactions": {"email": 3},
        "languages": {"Python": figures},
        "sources": {"python-stdlib": figures},
        "splits": {"train": figures},
        "histograms": {
            "file_bytes_seen": [0, 0, 5, 40, 9],
            "file_bytes_kept": [0, 0, 4, 38, 8],
            "line_characters_kept": [10, 20, 90, 60, 5],
            "bin_upper_bounds": [0, 1, 3, 7, 15],
        },
    }


def make_tokenizer(version: Any, name: str = "python-code-4k") -> Any:
    from datasets_app.models import Tokenizer

    measured = {"bytes": 300_000, "tokens": 88_000, "bytes_per_token": 3.41}
    return Tokenizer.objects.create(
        project=version.project,
        job=finished_job(version.project, "train_tokenizer", name),
        name=name,
        dataset_version=version,
        parameters={"vocabulary_size": 4096, "sample_bytes": 1_000_000},
        uri="file:///nowhere/tokenizer",
        sha256=sha(f"tokenizer {name}"),
        n_bytes=300_000,
        counts={"vocabulary": 4096, "sample_bytes": 1_000_000, "sample_documents": 130},
        summary={
            "special_tokens": {"<|end_of_text|>": 0, "<|fim_prefix|>": 1, "<|reserved_0|>": 5},
            "fertility": {
                "held_out": {**measured, "languages": {"Python": measured}},
                "held_out_source": {"bytes": 0, "tokens": 0, "bytes_per_token": None, "languages": {}},
            },
            "snippet": [{"id": 300, "text": "def"}, {"id": 301, "text": " f"}],
            "longest_tokens": [{"id": 3000, "text": "NotImplementedError"}],
        },
    )


def make_shard_set(version: Any, tokenizer: Any) -> Any:
    from datasets_app.models import ShardSet

    samples, tokens = {"train": 9000, "held_out": 190}, {"train": 2_304_000, "held_out": 48_640}
    return ShardSet.objects.create(
        project=version.project,
        job=finished_job(version.project, "build_shards", f"{version} with {tokenizer}"),
        dataset_version=version,
        tokenizer=tokenizer,
        parameters={"sequence_length": 256, "units": "functions"},
        uri="file:///nowhere/shards",
        sha256=sha(f"shards {version} {tokenizer}"),
        n_bytes=4_700_000,
        counts={"samples": 9190, "tokens": 2_352_640, "units": 21_000, "duplicate_units": 400},
        summary={
            "meta": {
                "layout": 1,
                "tokenizer_sha256": tokenizer.sha256,
                "dataset_sha256": version.sha256,
                "vocabulary_size": 4096,
                "sequence_length": 256,
                "units": "functions",
                "seed": 17,
                "dtype": "uint16",
                "n_samples": samples,
                "n_tokens": tokens,
                "bytes_per_token": {"train": 3.4, "held_out": 3.3},
            },
            "splits": {},
        },
    )


def make_training_run(
    shards: Any,
    name: str = "brave-heron-1",
    model_name: str = "completer",
    metrics: dict[str, float] | None = None,
    batch_size: int = 16,
) -> Any:
    """A finished run with two points of each loss; its model is not registered (make_model_version does that)."""
    from controlplane.jobs.models import MetricPoint
    from training_app.models import Checkpoint, Model, TrainingRun

    project = shards.project
    model, _ = Model.objects.get_or_create(project=project, name=model_name)
    values = {"loss/train": 2.1, "loss/val": 2.2, "bits_per_byte/held_out": 0.93, "step": 400}
    training = TrainingRun.objects.create(
        project=project,
        job=finished_job(project, "train_model", name),
        name=name,
        shard_set=shards,
        model=model,
        recipe={
            "name": "first-model",
            "shape": {"layers": 4, "hidden_size": 256, "heads": 4},
            "optimiser": {"name": "muon", "learning_rate": 0.02},
            "schedule": {"warmup_share": 0.05, "cooldown_share": 0.3},
            "batch_size": batch_size,
            "max_steps": 400,
            "max_seconds": None,
            "fim_rate": 0.5,
            "precision": "fp32",
            "seed": 17,
        },
        tags=["baseline"],
        uri="file:///nowhere/model",
        sha256=sha(f"model {name}"),
        n_bytes=13_000_000,
        counts={"parameters": 3_400_000, "steps": 400},
        summary={},
        metrics=values if metrics is None else metrics,
    )
    Checkpoint.objects.create(run=training, step=400, path="/nowhere/ep0-ba400", n_bytes=40_000_000)
    MetricPoint.objects.bulk_create(
        MetricPoint(job=training.job, name=metric, step=step, value=value, at=timezone.now())
        for metric in ("loss/train", "loss/val")
        for step, value in ((1, 8.3), (400, 2.1))
    )
    return training


def make_model_version(run: Any, number: int = 1) -> Any:
    from training_app.models import ModelVersion

    return ModelVersion.objects.create(
        project=run.project,
        model=run.model,
        number=number,
        run=run,
        tokenizer=run.shard_set.tokenizer,
        step=400,
        uri=run.uri,
        sha256=run.sha256,
        n_parameters=3_400_000,
        decode_settings=DECODE,
    )


def make_imported_version(
    project: Project, model_name: str = "published", sha256: str = "", license: str = "mit"
) -> Any:
    """A model taken over from elsewhere with its tokenizer, whose content is `sha256`: asked for and finished."""
    from training_app import actions
    from training_app.models import ModelVersion
    from worker.manifest import Artifact

    location = f"/srv/models/{model_name}.gguf"
    row = actions.import_model(project=project, by=None, location=location, model_name=model_name)
    nothing = {"bytes": 0, "tokens": 0, "bytes_per_token": None, "languages": {}}
    account = {
        "origin": {"location": location, "revision": "", "format": "gguf", "stored_as": "3 Q4_1", "license": license},
        "architecture": "LlamaForCausalLM",
        "context_tokens": 8192,
        "fills_middle": False,
        "tokenizer": {
            "special_tokens": {"<|endoftext|>": 0},
            "fertility": {"held_out": nothing, "held_out_source": nothing},
            "baselines": {},
            "audit": [{"check": "fim_prefix", "level": "warning", "detail": "no token has this role"}],
            "tokens": {"tokens": 49_135, "never_in_held_out": None, "rare_in_sample": None, "unreachable": 3},
            "snippet": [{"id": 300, "text": "def"}],
            "longest_tokens": [],
        },
    }
    uri = f"file:///nowhere/{model_name}"
    receipt = manifest("import_model", "model", uri, account, parameters=134_515_008, vocabulary=49_152)
    receipt.outputs["tokenizer"] = Artifact(f"{uri}-tokenizer", sha256 or sha(f"tokenizer {model_name}"), 2000, 7)
    succeed(row.job, receipt)
    return ModelVersion.objects.select_related("project", "model", "tokenizer").get(imported=row.pk)


def make_suite(project: Project, name: str = "starter-python") -> Any:
    from eval_app.models import Suite

    return Suite.objects.get_or_create(project=project, name=name, defaults={"location": name})[0]


def make_admission(suite: Any, *, excluded: Any = (), n: int = 3, uri: str = "file:///nowhere/suite") -> Any:
    """Done: of `n` problems in Python those of `excluded` ({task_id, language, reason, why}) are left out, with their
    languages: one that is not Python is not available.
    """
    from eval_app.models import SuiteAdmission

    others = {row["language"] for row in excluded} - {"python"}
    mine = [row for row in excluded if row["language"] == "python"]
    reasons = {row["reason"]: sum(other["reason"] == row["reason"] for other in mine) for row in mine}
    languages = {
        "python": {"runtime": "Python", "version": "python 3.11.2", "detail": "", "n": n, "admitted": n - len(mine),
                   "excluded": reasons, "status": "admitted"},
    }  # fmt: skip
    for name in sorted(others):
        lacking = sum(row["language"] == name for row in excluded)
        languages[name] = {"runtime": name.title(), "version": "", "detail": f"no {name}", "n": lacking, "admitted": 0,
                           "excluded": {"not available": lacking}, "status": "not available"}  # fmt: skip
    total = sum(row["n"] for row in languages.values())
    return SuiteAdmission.objects.create(
        project=suite.project,
        job=finished_job(suite.project, "admit_suite", f"Admit {suite}"),
        suite=suite,
        parameters={"timeout_seconds": 5.0, "unproved": False},
        uri=uri,
        sha256=sha(f"admission {suite.pk}"),
        n_bytes=9_000,
        counts={"problems": total, "admitted": total - len(excluded), "excluded": len(excluded)},
        summary={
            "name": suite.name,
            "version": sha(suite.name)[:16],
            "state": {"isolation": {"level": "bubblewrap"}},
            "languages": languages,
            "excluded": list(excluded),
        },
    )


def make_baseline(project: Project, name: str = "gpt-9", **more: Any) -> Any:
    """A model behind an endpoint that nobody answers at, without a key."""
    from eval_app import actions

    told = {"base_url": "https://api.example.com/v1", "served_name": f"{name}-2026", "style": "chat"}
    return actions.add_baseline(project=project, by=None, name=name, **(told | more))


def subject_of(subject: Any) -> dict[str, Any]:
    """An evaluation's columns that say what it is of: a model version, which has held-out text, or a baseline."""
    if not hasattr(subject, "run"):
        return {"baseline": subject}
    return {"model_version": subject, "dataset_version": subject.run.shard_set.dataset_version if subject.run else None}


def make_evaluation(
    version: Any, suite: Any = None, pass_at_1: float = 0.4, bits_per_byte: float = 0.93, isolation: str = "bubblewrap"
) -> Any:
    """A finished evaluation with one passed sample."""
    from eval_app.models import Evaluation, SampleResult

    project = version.project
    suite = suite or make_suite(project)
    evaluation = Evaluation.objects.create(
        project=project,
        job=finished_job(project, "evaluate_model", f"{suite} of {version}"),
        suite=suite,
        **subject_of(version),
        parameters={"samples": 1, "ks": [1]},
        uri="file:///nowhere/evaluation",
        sha256=sha(f"evaluation {version.pk} {pass_at_1}"),
        n_bytes=90_000,
        counts={"samples": 40},
        summary={
            "pass_at_k": {"1": {"value": pass_at_1, "low": pass_at_1 - 0.1, "high": pass_at_1 + 0.1, "n_problems": 40}},
            "n_problems": 40,
            "n_samples": 40,
            "samples_per_problem": 1,
            "outcomes": {"passed": int(40 * pass_at_1), "failed": 40 - int(40 * pass_at_1)},
            "n_truncated": 2,
            "problems": [{"task_id": "starter/0", "n": 1, "c": 1, "n_truncated": 0}],
            "suite": {"name": suite.name, "version": sha(suite.name)},
            "isolation": {"level": isolation, "detail": "", "landlock_abi": 4, "seccomp": True, "uid": 65534},
            "engine": {"name": "openvino", "quantise": "int8"},
            "decode": getattr(version, "decode_settings", DECODE),
            "seed": 17,
            "versions": {"python": "3.11.2"},
            "held_out": {
                "held_out": {"all": {"bits_per_byte": bits_per_byte, "perplexity": 9.0}},
                "held_out_source": {"all": {"bits_per_byte": bits_per_byte + 0.1, "perplexity": 11.0}},
            },
        },
    )
    SampleResult.objects.create(
        evaluation=evaluation,
        task_id="starter/0",
        sample=0,
        outcome="passed",
        prompt="items = [1, 2",
        completion="]",
        output="",
        seconds=0.04,
    )
    return evaluation


CONTAMINATED = "starter/0"


def make_contamination_check(
    suite: Any, dataset_version: Any, problems: tuple[str, ...] = (CONTAMINATED,), suite_version: str = ""
) -> Any:
    """A finished check of a suite in a dataset version, in which each of `problems` has a verbatim and a renamed row.

    suite_version: that of make_evaluation's score unless another is given.
    """
    from eval_app.contamination_models import ContaminationCheck, ContaminationMatch

    worst = {task_id: {"similarity": 1.0, "kind": "verbatim", "part": "reference", "n_rows": 2} for task_id in problems}
    asked = {"languages": [], "n_gram": 13, "renamed_n_gram": 20, "min_tokens": 8}
    asked |= {"candidate_share": 0.25, "least_similarity": 0.7}
    check = ContaminationCheck.objects.create(
        project=dataset_version.project,
        job=finished_job(dataset_version.project, "find_contamination", f"Look for {suite} in {dataset_version}"),
        suite=suite,
        dataset_version=dataset_version,
        uri="file:///nowhere/contamination",
        sha256=sha(f"contamination {suite} {dataset_version.pk}"),
        n_bytes=9_000,
        counts={
            "documents": 1160,
            "bytes": 8_700_000,
            "not_compared": 0,
            "problems": 40,
            "contaminated": len(problems),
        },
        summary={
            "suite": {"name": suite.name, "version": suite_version or sha(suite.name)},
            "problems": worst,
            "n_problems": 40,
            "not_looked_for": {"starter/9": "fewer than 8 tokens"},
            "not_renamed": [],
            "asked": asked,
        },
    )
    ours = "def total(items):\n    found = 0\n    for item in items:\n        found += item.price\n    return found\n"
    theirs = ours.replace("items", "rows").replace("item.", "row.").replace(" item ", " row ").replace("found", "acc")
    for rank, (task_id, kind, text) in enumerate(
        ((task_id, kind, text) for task_id in problems for kind, text in (("verbatim", ours), ("renamed", theirs))), 1
    ):
        ContaminationMatch.objects.create(
            in_check=check,
            rank=rank,
            task_id=task_id,
            part="reference",
            kind=kind,
            similarity=1.0 if kind == "verbatim" else 0.95,
            overlap=1.0,
            ast_similarity=1.0,
            n_shared=18,
            n_grams=18,
            document_id=sha(f"document {rank}")[:32],
            path=f"shop/{kind}.py",
            source="python-stdlib",
            language="Python",
            line_from=12,
            line_to=16,
            excerpt=text,
            probe=ours,
        )
    return check


def make_deployment(version: Any, state: str = "ready", served_name: str = "") -> Any:
    """A deployment whose canary answered, in `state`; Triton is not asked."""
    from playground_app.models import Deployment

    deployment = Deployment(
        project=version.project,
        job=finished_job(version.project, "deploy_model", f"{version} on openvino"),
        model_version=version,
        engine="openvino",
        parameters={},
        state=state,
        uri="file:///nowhere/engine",
        sha256=sha(f"engine {version.sha256}"),
        n_bytes=4_000_000,
        counts={"version": 1, "canary_tokens": 4},
        summary={
            "canary": {"prompt": "def main():\n    ", "completion": "return 0", "n_tokens": 4},
            "phase_seconds": {"convert": 6.1, "load": 2.2, "canary": 0.1},
        },
    )
    deployment.served_name = served_name or f"{version.model.name}-v{version.number}-{deployment.pk}"
    deployment.save()
    return deployment


def make_promotion(version: Any, alias: str, from_version: Any = None) -> Any:
    """In force at once, the gate not asked."""
    from training_app.models import Promotion

    return Promotion.objects.create(
        model=version.model,
        alias=alias,
        from_version=from_version,
        to_version=version,
        reason="The test begins here.",
        applied_at=timezone.now(),
    )


def make_completion(deployment: Any, person: User | None = None, text: str = " len(self.items)") -> Any:
    from playground_app.models import Completion

    prompt = "def count(self):\n    return"
    return Completion.objects.create(
        project=deployment.project,
        deployment=deployment,
        user=person,
        audience="production",
        origin="playground",
        language="python",
        prompt=prompt,
        text=text,
        prompt_sha256=sha(prompt),
        settings={"max_tokens": 16},
        finish_reason="stop",
        n_prompt_tokens=8,
        n_tokens=5,
        first_token_ms=11.5,
        total_ms=40.25,
    )


@dataclass
class Chain:
    """One row of each noun, each made from the one before."""

    dataset_version: Any
    tokenizer: Any
    shard_set: Any
    run: Any
    version: Any
    evaluation: Any
    deployment: Any
    completion: Any


def make_chain(project: Project, name: str = "one", uri: str = "file:///nowhere/dataset") -> Chain:
    """Raw data to a completion; the version is registered under the model `name` and stands on no alias."""
    dataset_version = make_dataset_version(project, name=f"data-{name}", uri=uri)
    dataset_version.sources.add(make_source(project, f"source-{name}"))
    tokenizer = make_tokenizer(dataset_version, name=f"vocabulary-{name}")
    shard_set = make_shard_set(dataset_version, tokenizer)
    training = make_training_run(shard_set, name=f"run-{name}", model_name=name)
    version = make_model_version(training)
    evaluation, deployment = make_evaluation(version), make_deployment(version)
    completion = make_completion(deployment)
    return Chain(dataset_version, tokenizer, shard_set, training, version, evaluation, deployment, completion)


def manifest(
    stage: str, output: str, uri: str = "file:///nowhere/made", summary: dict[str, Any] | None = None, **counts: int
) -> Any:
    """The receipt of a stage that made one artifact; a training also has its record of batches."""
    from worker.manifest import Artifact, Manifest

    made = Artifact(uri, sha(f"{stage} {uri}"), 1000, 3)
    account = {"counts": counts, "summary": summary or {}}
    outputs = {output: made} | ({"batches": made} if stage == "train_model" else {})
    return Manifest(stage=stage, code_version="test", spec={}, key=sha(stage), outputs=outputs, **account)


def succeed(job: Any, receipt: Any) -> None:
    """What the queue does when a stage has written its receipt: the job ends, and its row gets what it made."""
    from controlplane.jobs import transitions
    from controlplane.jobs.models import Job

    later = timezone.now() + timedelta(minutes=1)
    Job.objects.filter(pk=job.pk).update(status="running", attempt=job.attempt + 1, lease_until=later)
    job.refresh_from_db()
    assert transitions.succeed(job, receipt)
