"""The stage on a model of two layers: it learns, repeats itself, stops, goes on, and exports what it trained."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from transformers import LlamaForCausalLM

from tests.worker.training.conftest import TOKENIZER_SHA256, write_shards
from worker import recipes, specs
from worker.context import Context, Stopped
from worker.events import CheckpointWritten, ListReporter, MessageLogged, MetricsLogged, ProgressMade
from worker.failures import StageFailure
from worker.specs import ArtifactRef, Optimiser, TrainModel
from worker.training import callbacks, data, launch, stage

# Of these a resumed run must repeat every bit; the others are times and memory.
LEARNED = ("loss/train", "loss/val", "bits_per_byte/held_out", "bits_per_byte/held_out_source", "learning_rate")
LEARNED = (*LEARNED, "gradient_norm", "tokens/seen")


def curve(events, names=LEARNED):
    """{(step, name): value}; what a later attempt repeats overwrites the earlier one."""
    metrics = [event for event in events if isinstance(event, MetricsLogged)]
    return {(event.step, name): event.values[name] for event in metrics for name in names if name in event.values}


def after(events, step):
    return {key: value for key, value in curve(events).items() if key[0] > step}


def of_type(context, cls):
    return [event for event in context.reporter.events if isinstance(event, cls)]


@pytest.fixture(scope="module")
def straight(tmp_path_factory, shards_folder, tokenizer_folder):
    """One uninterrupted run of the tiny recipe that the other runs are compared with: (spec, context, outcome)."""
    recipe = replace(recipes.tiny_test(), max_steps=60)
    shards = ArtifactRef(str(shards_folder), "b" * 64)
    spec = TrainModel(shards, ArtifactRef(str(tokenizer_folder), TOKENIZER_SHA256), recipe)
    context = Context(tmp_path_factory.mktemp("straight"), ListReporter(), storage_url="")
    return spec, context, stage.run(spec, context)


def test_the_loss_falls(straight):
    _, context, _ = straight
    losses = curve(context.reporter.events, ["loss/val"])
    assert losses[60, "loss/val"] < losses[10, "loss/val"] - 0.5


def test_the_same_seed_gives_the_same_curve_and_another_one_does_not(make_spec, tmp_path):
    curves = []
    for index, seed in enumerate((17, 17, 18)):
        context = Context(tmp_path / str(index), ListReporter(), storage_url="")
        stage.run(make_spec(seed=seed, max_steps=5), context)
        curves.append(curve(context.reporter.events))
    assert curves[0] == curves[1]
    assert curves[0] != curves[2]


def test_microbatches_only_change_rounding(make_spec, tmp_path):
    curves = []
    for microbatch in (None, 2):
        context = Context(tmp_path / str(microbatch), ListReporter(), storage_url="")
        stage.run(make_spec(microbatch_size=microbatch, max_steps=3), context)
        curves.append(curve(context.reporter.events, ["loss/train"]))
    assert curves[0] == pytest.approx(curves[1], abs=1e-4)


def test_every_step_reports_its_metrics_and_its_progress(straight):
    _, context, _ = straight
    by_step = [event for event in of_type(context, MetricsLogged) if "loss/train" in event.values]
    assert [event.step for event in by_step] == list(range(1, 61))
    logged = {name for event in of_type(context, MetricsLogged) for name in event.values}
    assert logged == set(callbacks.METRICS) - ({"memory/gpu_peak_bytes"} if not torch.cuda.is_available() else set())
    assert of_type(context, ProgressMade)[-1] == ProgressMade(60, 60, "steps")
    assert any("tokens/s" in event.text for event in of_type(context, MessageLogged))


def test_bits_per_byte_are_the_splits_own(straight):
    _, context, _ = straight
    last = curve(context.reporter.events)
    assert last[60, "bits_per_byte/held_out"] == pytest.approx(last[60, "loss/val"] / math.log(2) / 3.0)


def test_the_batches_file_names_the_samples_of_every_step(straight):
    spec, _, outcome = straight
    rows = pq.read_table(outcome.outputs["batches"] / "batches.parquet").to_pylist()
    assert [row["step"] for row in rows] == list(range(1, 61))
    for row in rows:
        assert row["sample_ids"] == data.sample_ids_for_step(spec.recipe.seed, 50, spec.recipe.batch_size, row["step"])


def test_the_losses_of_a_steps_samples_are_recorded_and_average_to_its_loss(straight):
    _, context, outcome = straight
    losses = curve(context.reporter.events, ["loss/train"])
    for row in pq.read_table(outcome.outputs["batches"] / "batches.parquet").to_pylist():
        assert len(row["losses"]) == len(row["sample_ids"])
        assert sum(row["losses"]) / len(row["losses"]) == pytest.approx(losses[row["step"], "loss/train"], rel=1e-5)


def test_the_export_gives_the_trained_models_losses_in_transformers(straight):
    spec, context, outcome = straight
    llama = LlamaForCausalLM.from_pretrained(outcome.outputs["model"])
    samples = data.ChosenSamples(
        data.ShardSet.open(Path(spec.shards.uri), spec.tokenizer.sha256).samples(data.HELD_OUT), 8
    )
    ids = torch.stack([samples[i]["input_ids"] for i in range(len(samples))])
    with torch.no_grad():
        loss = llama(input_ids=ids, labels=ids).loss.item()
    assert loss == pytest.approx(curve(context.reporter.events)[60, "loss/val"], abs=1e-5)


def test_the_model_folder_says_where_it_came_from(straight):
    spec, _, outcome = straight
    folder = outcome.outputs["model"]
    origin = json.loads((folder / "modelyard.json").read_text())
    assert origin["tokenizer_sha256"] == spec.tokenizer.sha256 and origin["shards_sha256"] == spec.shards.sha256
    assert origin["recipe"] == specs.to_dict(spec)["recipe"]
    assert origin["steps"] == 60 and origin["tokens_seen"] == 60 * 8 * 32
    assert origin["special_ids"]["end_of_text"] == 0
    assert (folder / "tokenizer.json").exists() and not (folder / "fertility.json").exists()
    assert outcome.complete and outcome.summary["stopped"] is False
    assert outcome.counts["parameters"] == outcome.summary["n_parameters"] > 0


class Acting(ListReporter):
    """A reporter that does something when a step is reached."""

    def __init__(self, step, action):
        super().__init__()
        self.step, self.action = step, action

    def report(self, event):
        super().report(event)
        if isinstance(event, ProgressMade) and event.done == self.step:
            self.action()


def test_a_stopped_run_is_a_usable_result_and_can_be_continued_to_the_same_end(straight, tmp_path):
    spec, reference, _ = straight
    stop = tmp_path / "stop"
    context = Context(tmp_path, Acting(27, stop.touch), storage_url="")
    outcome = stage.run(spec, context)
    assert outcome.summary["stopped"] is True and not outcome.complete
    # Loggers come last at the end of a step, so what happens upon a report of step 27 is noticed in step 28.
    assert outcome.counts["steps"] == 28 and outcome.summary["planned_steps"] == 60
    assert of_type(context, CheckpointWritten)[-1].step == 28
    assert LlamaForCausalLM.from_pretrained(outcome.outputs["model"]) is not None

    stop.unlink()
    later = Context(tmp_path, ListReporter(), storage_url="", attempt=2)
    outcome = stage.run(spec, later)
    assert outcome.complete and outcome.counts["steps"] == 60
    assert curve(later.reporter.events) == after(reference.reporter.events, 28)
    rows = pq.read_table(outcome.outputs["batches"] / "batches.parquet")
    assert rows["step"].to_pylist() == list(range(1, 61))


def test_sigterm_saves_and_leaves_without_a_result(straight, tmp_path):
    spec, reference, _ = straight
    context = Context(tmp_path, Acting(13, lambda: os.kill(os.getpid(), signal.SIGTERM)), storage_url="")
    with pytest.raises(Stopped, match="step 14"):
        stage.run(spec, context)
    assert of_type(context, CheckpointWritten)[-1].step == 14
    later = Context(tmp_path, ListReporter(), storage_url="", attempt=2)
    stage.run(spec, later)
    assert curve(later.reporter.events) == after(reference.reporter.events, 14)


def test_a_run_that_is_asked_to_stop_before_its_first_step_has_no_result(make_spec, context):
    (context.job_dir / "stop").touch()
    with pytest.raises(Stopped, match="before the first step"):
        stage.run(make_spec(), context)


def test_an_attempt_that_died_after_the_last_step_only_evaluates_and_exports(make_spec, tmp_path):
    spec = make_spec(max_steps=10)
    first = Context(tmp_path, ListReporter(), storage_url="")
    stage.run(spec, first)
    second = Context(tmp_path, ListReporter(), storage_url="", attempt=2)
    outcome = stage.run(spec, second)
    assert outcome.counts["steps"] == 10
    held_out = [(10, "loss/val"), (10, "bits_per_byte/held_out"), (10, "bits_per_byte/held_out_source")]
    assert curve(second.reporter.events) == {key: curve(first.reporter.events)[key] for key in held_out}


def test_a_run_bounded_by_seconds_cools_down_and_ends_where_it_settled(make_spec, context):
    outcome = stage.run(make_spec(max_steps=None, max_seconds=1.5), context)
    assert outcome.counts["steps"] == outcome.summary["planned_steps"]
    rates = [value for (_, name), value in sorted(curve(context.reporter.events).items()) if name == "learning_rate"]
    assert rates[-1] < max(rates) and rates.index(max(rates)) < len(rates) - 1
    assert any("cool-down begins" in event.text for event in of_type(context, MessageLogged))


def test_a_loss_that_is_not_finite_is_refused_with_its_step(make_spec, context):
    runaway = Optimiser(name="adamw", learning_rate=1e30, adamw_learning_rate=1e30)
    with pytest.raises(StageFailure) as failure:
        stage.run(make_spec(optimiser=runaway, checkpoint_every=1), context)
    assert failure.value.code == "training:user:not-finite"
    assert failure.value.values["step"] > max([0, *(event.step for event in of_type(context, CheckpointWritten))])


def test_bf16_is_refused_where_it_would_be_emulated(make_spec, context):
    if torch.cuda.is_available():
        pytest.skip("this machine has the device that bf16 needs")
    with pytest.raises(StageFailure, match="needs a CUDA device"):
        stage.run(make_spec(precision="amp_bf16"), context)


def test_a_split_that_does_not_exist_is_said_and_not_measured(make_spec, context, tmp_path_factory):
    folder = write_shards(tmp_path_factory.mktemp("no-source"), {"train": 20, "held_out": 4})
    spec = replace(make_spec(max_steps=2), shards=ArtifactRef(str(folder), "d" * 64))
    stage.run(spec, context)
    assert any("held_out_source is empty" in event.text for event in of_type(context, MessageLogged))
    assert not any("bits_per_byte/held_out_source" in event.values for event in of_type(context, MetricsLogged))


def start_process(job_dir, attempt):
    environment = {**os.environ, "YARD_ATTEMPT": str(attempt)}
    command = [sys.executable, "-m", "worker", "train_model", str(job_dir)]
    with (job_dir / f"output-{attempt}.log").open("wb") as log:
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log)


def read_events(job_dir):
    lines = (job_dir / "events.jsonl").read_text().splitlines() if (job_dir / "events.jsonl").exists() else []
    whole = []
    for line in lines:
        try:
            whole.append(json.loads(line))
        except ValueError:
            continue
    return whole


def test_a_run_killed_without_warning_goes_on_to_the_identical_curve(straight, tmp_path):
    spec, reference, _ = straight
    (tmp_path / "spec.json").write_text(json.dumps(specs.to_dict(spec)))
    process = start_process(tmp_path, attempt=1)
    while not any(event["event"] == "metrics.logged" and event["step"] >= 33 for event in read_events(tmp_path)):
        assert process.poll() is None, (tmp_path / "output-1.log").read_text()
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert not (tmp_path / "manifest.json").exists()

    again = start_process(tmp_path, attempt=2)
    assert again.wait() == 0, (tmp_path / "output-2.log").read_text()
    raw = [event for event in read_events(tmp_path) if event["event"] == "metrics.logged"]
    resumed = [MetricsLogged(event["step"], event["values"]) for event in raw]
    assert curve(resumed) == curve(reference.reporter.events)
    assert min(event["step"] for event in raw if event["attempt"] == 2) > 10
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    rows = pq.read_table(Path(manifest["outputs"]["batches"]["uri"].removeprefix("file://")) / "batches.parquet")
    assert rows["step"].to_pylist() == list(range(1, 61))


@pytest.mark.slow
@pytest.mark.parametrize("sharded", [False, True], ids=["replicated", "sharded"])
def test_two_processes_train_as_one_and_speak_through_their_parent(straight, tmp_path, sharded):
    spec, _, _ = straight
    adamw = Optimiser(name="adamw", learning_rate=3e-3)
    recipe = replace(spec.recipe, max_steps=20, optimiser=adamw, checkpoint_every=20)
    alone = Context(tmp_path / "alone", ListReporter(), storage_url="")
    stage.run(replace(spec, recipe=recipe), alone)
    together = Context(tmp_path / "together", ListReporter(), storage_url="")
    outcome = launch.run(replace(spec, recipe=replace(recipe, shard_parameters=sharded)), together, processes=2)
    assert outcome.counts["steps"] == 20
    one, two = (curve(context.reporter.events, ["loss/train", "gradient_norm"]) for context in (alone, together))
    assert two == pytest.approx(one, abs=1e-4)
    rows = pq.read_table(outcome.outputs["batches"] / "batches.parquet").to_pylist()
    assert rows[4]["sample_ids"] == data.sample_ids_for_step(17, 50, 8, 5)
    models = [LlamaForCausalLM.from_pretrained(context.out / "model") for context in (alone, together)]
    for left, right in zip(*(model.parameters() for model in models), strict=True):
        assert torch.allclose(left, right, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("compiled", [False, True])
def test_bf16_learns_on_a_gpu(make_spec, context, compiled):
    outcome = stage.run(make_spec(precision="amp_bf16", compile=compiled, max_steps=60), context)
    assert outcome.summary["metrics"]["loss/val"] < curve(context.reporter.events)[10, "loss/val"] - 0.5
