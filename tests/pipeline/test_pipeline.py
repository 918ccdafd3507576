"""A pipeline goes through its verbs as their jobs succeed; it stops where one fails, and goes on from there."""

from __future__ import annotations

import json

import pytest

from controlplane.access.refusals import Refused
from controlplane.jobs import transitions
from controlplane.jobs.models import Status
from controlplane.pipeline import actions
from controlplane.pipeline.clock import clock
from controlplane.pipeline.lineage import steps
from controlplane.pipeline.management.commands.conduct import conduct
from controlplane.pipeline.models import Pipeline
from datasets_app.models import Source
from playground_app import gate
from tests import factories

PLAN = {
    "sources": [
        {"name": "stdlib", "location": "/srv/stdlib", "is_held_out": False},
        {"name": "django", "location": "/srv/django", "is_held_out": True},
    ],
    "dataset": "python-here",
    "model": "first-model",
    "ingest_dataset": {"held_out_share": 0.03},
    "train_tokenizer": {"vocabulary_size": 512},
    "build_shards": {"sequence_length": 64},
    "train_model": {"recipe": "first-model", "max_seconds": 30.0},
    "evaluate_model": {"suite": "starter-python", "samples": 1, "ks": [1]},
    "promote_model": {"alias": "staff", "reason": "The first model of this yard."},
}
OUTPUTS = {
    "ingest_dataset": "dataset",
    "train_tokenizer": "tokenizer",
    "build_shards": "shards",
    "train_model": "model",
    "evaluate_model": "evaluation",
    "deploy_model": "engine",
}
SCORE = {"pass_at_k": {"1": {"value": 0.4, "low": 0.3, "high": 0.5, "n_problems": 40}}}


@pytest.fixture
def pipeline(project, ada):
    return actions.start_pipeline(project=project, by=ada, name="First model", plan=PLAN)


@pytest.fixture
def do_next(pipeline, tmp_path):
    """`do_next()` lets the conductor move, and then the job that it began succeed; it tells the verb."""
    sample = {"task_id": "a", "sample": 0, "outcome": "passed", "prompt": "", "completion": "", "seconds": 0.1}
    (tmp_path / "samples.jsonl").write_text(json.dumps({**sample, "truncated": False}))

    def do():
        conduct()
        job = pipeline.project.jobs.active().get()
        receipt = factories.manifest(job.kind, OUTPUTS[job.kind], tmp_path.as_uri(), SCORE, parameters=3_400_000)
        factories.succeed(job, receipt)
        return job.kind

    return do


def now(pipeline):
    return Pipeline.objects.for_clock(pipeline.project).get(pk=pipeline.pk)


def test_the_verbs_follow_one_another_until_the_model_is_on_staff(pipeline, do_next):
    assert [do_next() for _ in range(6)] == list(OUTPUTS)
    conduct()
    done = now(pipeline)
    assert (done.outcome, done.detail) == ("succeeded", "")
    assert [tick.status for tick in clock(done).ticks] == ["succeeded"] * 4 + ["done"] + ["succeeded"] * 2
    assert gate.standing(done.model_version.model, "staff") == done.model_version
    assert done.run.job.created_by.username == "ada"


def test_a_step_waits_while_its_job_runs(pipeline):
    conduct()
    assert actions.advance(pipeline.pk) is False
    assert pipeline.project.jobs.count() == 1


def test_a_pipeline_fails_with_the_message_of_the_job(pipeline, do_next):
    do_next()
    conduct()
    fail_the_job()
    conduct()
    failed = now(pipeline)
    assert (failed.outcome, failed.detail) == ("failed", "train_tokenizer failed. The vocabulary is too small.")
    assert [tick.status for tick in clock(failed).ticks][:3] == ["succeeded", "failed", "waiting"]


def test_a_refused_step_fails_with_the_sentence(pipeline, do_next):
    do_next()
    factories.make_tokenizer(now(pipeline).dataset_version, name="python-here-v1")
    conduct()
    assert now(pipeline).detail == (
        "train_tokenizer was refused: There is a tokenizer called python-here-v1 already; choose another name."
    )


def test_a_failed_pipeline_is_resumed_as_a_retry_of_its_job(pipeline, do_next, ada):
    conduct()
    fail_the_job()
    conduct()
    actions.resume_pipeline(pipeline=now(pipeline), by=ada)
    assert now(pipeline).finished_at is None
    assert [do_next() for _ in range(2)] == ["ingest_dataset", "train_tokenizer"]


def test_a_stopped_pipeline_stops_its_job_and_goes_on_where_it_was(pipeline, do_next, ada):
    do_next()
    conduct()
    actions.stop_pipeline(pipeline=now(pipeline), by=ada)
    stopped = now(pipeline)
    assert (stopped.outcome, stopped.detail) == ("cancelled", "Stopped by ada.")
    assert stopped.tokenizer.job.status == "cancelled"
    conduct()
    assert not pipeline.project.jobs.active().exists()
    actions.resume_pipeline(pipeline=stopped, by=ada)
    assert do_next() == "train_tokenizer"


def test_what_has_ended_is_not_stopped_and_what_runs_is_not_resumed(pipeline, ada):
    with pytest.raises(Refused, match="Only a failed or stopped"):
        actions.resume_pipeline(pipeline=pipeline, by=ada)
    actions.stop_pipeline(pipeline=pipeline, by=ada)
    with pytest.raises(Refused, match="ended already"):
        actions.stop_pipeline(pipeline=pipeline, by=ada)


def test_a_pipeline_that_breaks_ends_alone(pipeline, project):
    broken = actions.start_pipeline(project=project, by=None, name="no plan", plan={})
    conduct()
    assert (now(broken).outcome, now(broken).detail) == ("failed", "It cannot go on: KeyError: 'sources'")
    assert now(pipeline).dataset_version is not None
    conduct()
    assert now(pipeline).outcome == ""


def test_two_pipelines_share_their_sources(pipeline, project):
    other = actions.start_pipeline(project=project, by=None, name="again", plan=PLAN)
    conduct()
    assert Source.objects.count() == 2
    assert [str(now(row).dataset_version) for row in (pipeline, other)] == ["python-here v1", "python-here v2"]


def test_pages_stop_and_resume(pipeline, grace_client):
    page = pipeline.get_absolute_url()
    grace_client.post(f"{page}stop")
    assert now(pipeline).outcome == "cancelled"
    grace_client.post(f"{page}resume")
    assert now(pipeline).outcome == ""
    answer = grace_client.post(f"{page}resume", follow=True)
    assert "Only a failed or stopped pipeline" in answer.content.decode()


def test_a_viewer_may_not_stop_one(pipeline, victor_client):
    assert victor_client.post(f"{pipeline.get_absolute_url()}stop").status_code == 403


def fail_the_job():
    job = transitions.claim("cpu", "worker", "here")
    message = "The vocabulary is too small."
    assert transitions.end(job, Status.FAILED, code="tokenizer:user:vocabulary-too-small", message=message)


# ---- lineage ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def chain(project):
    return factories.make_chain(project, name="one")


KINDS = {
    "dataset": "dataset_version",
    "tokenizer": "tokenizer",
    "shards": "shard_set",
    "run": "run",
    "model": "version",
    "evaluation": "evaluation",
    "deployment": "deployment",
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_shows_the_whole_chain_both_ways(chain, kind):
    found = steps(getattr(chain, KINDS[kind]))
    assert [(step.kind, step.label) for step in found] == [
        ("sources", "source-one"),
        ("dataset", "data-one v1"),
        ("tokenizer", "vocabulary-one"),
        ("shards", "2.4 M tokens"),
        ("run", "run-one"),
        ("model", "one v1"),
        ("evaluation", "starter-python 40.0%"),
        ("deployment", "ready"),
    ]
    assert [step.kind for step in found if step.here] == [kind]
    assert all(step.url for step in found)


def test_what_is_not_made_yet_is_said_so(project):
    version = factories.make_dataset_version(project)
    assert [step.kind for step in steps(version) if step.missing] == [
        "tokenizer",
        "shards",
        "run",
        "model",
        "evaluation",
        "deployment",
    ]


def test_up_is_exact_and_down_is_the_newest(chain):
    newer = factories.make_training_run(chain.shard_set, name="newer", model_name="one")
    labels = {step.kind: step.label for step in steps(chain.shard_set)}
    assert labels["run"] == "newer"
    assert {step.kind: step.label for step in steps(chain.version)}["run"] == "run-one"
    assert {step.kind: step.label for step in steps(newer)}["model"] == "not yet"


# ---- search ----------------------------------------------------------------------------------------------------------


def test_the_palette_finds_every_kind_by_name(chain, project, grace_client):
    actions.start_pipeline(project=project, by=None, name="one more", plan={})
    found = grace_client.get("/projects/demo/search", {"q": "One"}).json()
    kinds = ["run", "model", "dataset", "tokenizer", "evaluation", "deployment", "pipeline"]
    assert [row["kind"] for row in found] == kinds
    assert all(grace_client.get(row["url"]).status_code == 200 for row in found)


@pytest.mark.parametrize("text", ["", "  ", "\0", "nothing is called so"])
def test_what_finds_nothing_is_an_empty_list(chain, grace_client, text):
    assert grace_client.get("/projects/demo/search", {"q": text}).json() == []


def test_what_is_archived_or_anothers_is_not_found(chain, project, other_project, grace_client):
    factories.make_chain(other_project, name="theirs")
    type(chain.run).objects.filter(pk=chain.run.pk).update(archived_at=chain.run.created_at)
    assert grace_client.get("/projects/demo/search", {"q": "theirs"}).json() == []
    assert grace_client.get("/projects/demo/search", {"q": "run-one"}).json() == []
