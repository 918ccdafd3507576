from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.worker.evaluation.conftest import PROBLEMS, Answer, TableEngine, problem_line
from tests.worker.evaluation.test_held_out import write_dataset
from tests.worker.serving.tiny_model import make_model
from worker.context import Context, Stopped
from worker.evaluation import scorers, stage
from worker.evaluation.generate import sample_seed
from worker.events import ListReporter, MessageLogged, MetricsLogged, SampleJudged
from worker.failures import StageFailure
from worker.sandbox import Isolation, Verdict, probe
from worker.specs import ArtifactRef, DecodeSettings, EvaluateModel, SuiteRef, to_dict

UseEngine = Callable[[TableEngine], TableEngine]
ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _needs_a_sandbox() -> None:
    if probe().level == "none":
        pytest.skip(probe().detail)


def read_samples(outcome: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (outcome.outputs["evaluation"] / "samples.jsonl").read_text().splitlines()]


def events(context: Context, kind: type) -> list[Any]:
    assert isinstance(context.reporter, ListReporter)
    return [event for event in context.reporter.events if isinstance(event, kind)]


def test_the_score_and_every_sample_are_written(spec: EvaluateModel, context: Context, use_engine: UseEngine) -> None:
    answers = {prompt: Answer(reference) for prompt, reference, _ in PROBLEMS.values()}
    answers[PROBLEMS["greet"][0]] = Answer(" name", finish_reason="length")
    use_engine(TableEngine(answers))
    outcome = stage.run(spec, context)
    score = json.loads((outcome.outputs["evaluation"] / "score.json").read_text())
    assert score["pass_at_k"]["1"]["value"] == pytest.approx(2 / 3)
    assert (score["n_problems"], score["n_samples"], score["n_truncated"]) == (3, 3, 1)
    assert {row["task_id"]: row["c"] for row in score["problems"]} == {"double": 1, "first": 1, "greet": 0}
    assert score["outcomes"]["passed"] == 2 and score["outcomes"]["failed"] == 1
    assert score["isolation"]["level"] == probe().level and score["isolation"]["limits"]["cpu_seconds"] == 5.0
    assert score["suite"]["name"] == "small" and score["decode"]["max_tokens"] == 64 and score["seed"] == 17
    asked = (outcome.outputs["evaluation"] / "problems.jsonl").read_text().splitlines()
    assert [json.loads(line)["reference"] for line in asked] == [reference for _, reference, _ in PROBLEMS.values()]
    greet = read_samples(outcome)[2]
    assert (greet["task_id"], greet["completion"], greet["outcome"], greet["truncated"]) == (
        "greet", " name", "failed", True,
    )  # fmt: skip
    assert len(greet["program"]) == 64 and greet["seconds"] > 0 and "AssertionError" in greet["stderr"]
    assert outcome.counts["passed"] == 2 and json.loads(json.dumps(outcome.summary)) == score


def test_verdicts_progress_and_metrics_are_reported(
    spec: EvaluateModel, context: Context, use_engine: UseEngine
) -> None:
    use_engine(TableEngine())
    stage.run(spec, context)
    assert sorted(event.task_id for event in events(context, SampleJudged)) == sorted(PROBLEMS)
    assert events(context, MetricsLogged) == [MetricsLogged(3, {"pass@1": 1.0})]


def test_each_sample_has_a_seed_of_its_own_that_does_not_depend_on_the_others(
    spec: EvaluateModel, context: Context, use_engine: UseEngine
) -> None:
    engine = use_engine(TableEngine())
    outcome = stage.run(dataclasses.replace(spec, samples=3, ks=(1, 2, 10)), context)
    seeds = [seed for _, seed in engine.asked]
    assert len(set(seeds)) == 9
    assert seeds[4] == sample_seed(17, "first", 1)
    assert set(outcome.summary["pass_at_k"]) == {"1", "2"}


def test_the_models_stops_and_the_problems_apply_together(
    spec: EvaluateModel, context: Context, use_engine: UseEngine, suite_path: Path
) -> None:
    suite_path.write_text(problem_line("double", stop=["\n"]) + problem_line("first"))
    engine = use_engine(TableEngine())
    stage.run(dataclasses.replace(spec, decode=DecodeSettings(stop=("<end>",))), context)
    assert [decode.stop[:2] for decode in engine.decodes] == [("<end>", "\n"), ("<end>", "\nclass ")]


def test_a_second_attempt_generates_and_judges_nothing_again(
    spec: EvaluateModel, context: Context, use_engine: UseEngine
) -> None:
    use_engine(TableEngine())
    first = read_samples(stage.run(spec, context))
    shutil.rmtree(context.out)
    second_engine, second = use_engine(TableEngine()), dataclasses.replace(context, reporter=ListReporter())
    assert read_samples(stage.run(spec, second)) == first
    assert second_engine.asked == []
    assert events(second, SampleJudged) == []


def test_another_suite_file_under_the_same_job_starts_afresh(
    spec: EvaluateModel, context: Context, use_engine: UseEngine, suite_path: Path
) -> None:
    use_engine(TableEngine())
    stage.run(spec, context)
    shutil.rmtree(context.out)
    suite_path.write_text(problem_line("double", test="def check(candidate):\n    assert candidate(4) == 8\n"))
    assert stage.run(spec, context).summary["n_samples"] == 1


def test_a_stop_keeps_what_is_done(spec: EvaluateModel, context: Context, use_engine: UseEngine) -> None:
    class Stopping(TableEngine):
        def complete_many(self, *arguments: Any, **named: Any) -> list[Answer]:
            (context.job_dir / "stop").touch()
            return super().complete_many(*arguments, **named)

    use_engine(Stopping())
    with pytest.raises(Stopped):
        stage.run(spec, context)
    assert len((context.work / "generations.jsonl").read_text().splitlines()) == 3
    (context.job_dir / "stop").unlink()
    engine = use_engine(TableEngine())
    assert stage.run(spec, context).summary["pass_at_k"]["1"]["value"] == 1.0
    assert engine.asked == []


def test_without_isolation_it_refuses_before_generating(
    spec: EvaluateModel, context: Context, use_engine: UseEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "probe", lambda: Isolation("none", "namespaces: no; Landlock: no", 0, False, 1))
    engine = use_engine(TableEngine())
    with pytest.raises(StageFailure, match="no code was run") as failure:
        stage.run(spec, context)
    assert failure.value.code == "evaluation:app:sandbox-unavailable"
    assert engine.asked == []


def test_unsafe_runs_only_when_asked_for_and_is_stamped_on_the_score(
    spec: EvaluateModel, context: Context, use_engine: UseEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "probe", lambda: Isolation("none", "no", 0, False, 1))
    use_engine(TableEngine())
    outcome = stage.run(dataclasses.replace(spec, allow_unsafe=True), context)
    assert outcome.summary["isolation"]["level"] == "unsafe"
    assert outcome.summary["pass_at_k"]["1"]["value"] == 1.0
    assert any(event.level == "error" and "unsafe" in event.text for event in events(context, MessageLogged))


def test_a_failing_sandbox_is_no_failure_of_the_model(
    spec: EvaluateModel, context: Context, use_engine: UseEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = scorers.run

    def flaky(program: Any, limits: Any, isolation: Any) -> Verdict:
        return Verdict("sandbox_failed") if "'hi'" in program.source else real(program, limits, isolation)

    monkeypatch.setattr(scorers, "run", flaky)
    answers = {prompt: Answer(reference) for prompt, reference, _ in PROBLEMS.values()}
    use_engine(TableEngine({**answers, PROBLEMS["greet"][0]: Answer(" 'hi'")}))
    summary = stage.run(spec, context).summary
    assert summary["pass_at_k"]["1"]["value"] == 1.0 and summary["pass_at_k"]["1"]["n_problems"] == 2
    assert summary["outcomes"]["sandbox_failed"] == 1


def test_a_k_that_a_failing_sandbox_left_too_few_samples_for_is_not_reported(
    spec: EvaluateModel, context: Context, use_engine: UseEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, failed = scorers.run, []

    def once(program: Any, limits: Any, isolation: Any) -> Verdict:
        if "'hello ' + name + ''" in program.source and not failed:
            failed.append(program)
            return Verdict("sandbox_failed")
        return real(program, limits, isolation)

    monkeypatch.setattr(scorers, "run", once)
    answers = {prompt: Answer(reference) for prompt, reference, _ in PROBLEMS.values()}
    use_engine(TableEngine({**answers, PROBLEMS["greet"][0]: Answer(" 'hello ' + name + ''")}))
    summary = stage.run(dataclasses.replace(spec, samples=2, ks=(1, 2)), context).summary
    assert set(summary["pass_at_k"]) == set(summary["by_language"]["python"]) == {"1"}
    assert [(row["n"], row["c"]) for row in summary["problems"]] == [(2, 2), (2, 2), (1, 1)]


def test_a_body_that_closed_its_braces_is_not_truncated_whatever_came_after(
    spec: EvaluateModel, context: Context, use_engine: UseEngine, suite_path: Path
) -> None:
    prompt, rest = "function twice(n) {\n", "\n\nfunction other() { // it's"
    row = {"task_id": "js", "language": "javascript", "prompt": prompt, "reference": "  return n * 2;\n}\n"}
    suite_path.write_text(json.dumps({**row, "tests": "require('assert').strictEqual(twice(3), 6);\n"}) + "\n")
    use_engine(TableEngine({prompt: Answer(f"  return n * 2;\n}}{rest}", finish_reason="length")}))
    try:
        outcome = stage.run(spec, context)
    except StageFailure as failure:
        if failure.code != "evaluation:app:runtime-missing":
            raise
        pytest.skip(failure.message)
    (sample,) = read_samples(outcome)
    assert (sample["completion"], sample["outcome"], sample["truncated"]) == ("  return n * 2;\n}", "passed", False)
    assert outcome.summary["n_truncated"] == 0


def test_a_sandbox_that_fails_for_every_program_is_a_refusal_and_no_score(
    spec: EvaluateModel, context: Context, use_engine: UseEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = scorers.run

    def failing(program: Any, limits: Any, isolation: Any) -> Verdict:
        return Verdict("sandbox_failed") if "return None" in program.source else real(program, limits, isolation)

    monkeypatch.setattr(scorers, "run", failing)
    use_engine(TableEngine({prompt: Answer(" None") for prompt, _, _ in PROBLEMS.values()}))
    with pytest.raises(StageFailure, match="failed for 3 of 3"):
        stage.run(spec, context)


def test_middles_are_filled_in_between_both_sides_and_measured(
    spec: EvaluateModel, context: Context, use_engine: UseEngine, suite_path: Path
) -> None:
    middles = {"double": "    n = n * 2\n", "first": "    items = items[:1]\n"}
    rests = {"double": "    return n\n", "first": "    return items[0]\n"}
    heads = {name: PROBLEMS[name][0].removesuffix("    return") for name in middles}
    lines = [
        problem_line(name, prompt=heads[name], canonical_solution=middles[name], suffix=rests[name]) for name in middles
    ]
    # The empty middle leaves first() right, so that one is not admitted.
    suite_path.write_text("".join(lines))
    engine = use_engine(TableEngine({heads["double"]: Answer("    n = n + n\n    return n\n")}))
    summary = stage.run(spec, context).summary
    assert engine.suffixes == [rests["double"]]
    assert [entry["task_id"] for entry in summary["excluded"]] == ["first"]
    assert summary["outcomes"]["passed"] == 1
    assert (summary["infilling"]["n"], summary["infilling"]["over_generation"]) == (1, 1.0)
    assert summary["infilling"]["exact_match"] == 0.0 and 0.3 < summary["infilling"]["edit_similarity"] < 0.7


def test_a_spec_that_gives_no_score_is_refused(spec: EvaluateModel, context: Context) -> None:
    with pytest.raises(StageFailure, match="give no score"):
        stage.run(dataclasses.replace(spec, ks=(10,)), context)


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("evaluated") / "model")


def by_hand(spec: EvaluateModel, job: Path) -> subprocess.Popen[bytes]:
    job.mkdir(exist_ok=True)
    (job / "spec.json").write_text(json.dumps(to_dict(spec)))
    return subprocess.Popen([sys.executable, "-m", "worker", "evaluate_model", str(job)], cwd=ROOT)


def real_spec(tiny_model: Path, tmp_path: Path, **changed: Any) -> EvaluateModel:
    held_out = [("python", "held_out", "def f(x):\n    return x\n" * 4)] * 2
    dataset = write_dataset(tmp_path / "dataset", held_out)
    spec = EvaluateModel(
        SuiteRef("starter-python", "starter-python"),
        ArtifactRef(str(tiny_model), "0" * 64),
        decode=DecodeSettings(max_tokens=8, temperature=0.8),
        dataset=ArtifactRef(str(dataset), "1" * 64),
        engine="transformers",
        quantise="fp32",
    )
    return dataclasses.replace(spec, **changed)


def test_by_hand_a_real_model_is_scored_with_held_out_figures(tiny_model: Path, tmp_path: Path) -> None:
    job = tmp_path / "job"
    assert by_hand(real_spec(tiny_model, tmp_path, max_problems=4), job).wait(120) == 0
    manifest = json.loads((job / "manifest.json").read_text())
    assert manifest["counts"]["problems"] == 4
    figures = manifest["summary"]["held_out"]["held_out"]
    assert figures["python"]["bits_per_byte"] == pytest.approx(figures["all"]["bits_per_byte"])
    assert figures["all"]["perplexity"] > 1.0 and manifest["summary"]["engine"]["name"] == "transformers"


@pytest.mark.slow
def test_after_kill_9_nothing_is_generated_or_judged_twice(tiny_model: Path, tmp_path: Path) -> None:
    spec, job = real_spec(tiny_model, tmp_path, samples=4), tmp_path / "job"
    for n_lines in (40, 150):
        process = by_hand(spec, job)
        while process.poll() is None and _count(job / "work" / "verdicts.jsonl") < n_lines:
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert not (job / "manifest.json").exists()
    assert by_hand(spec, job).wait(120) == 0
    lines = [json.loads(line) for line in (job / "events.jsonl").read_text().splitlines()]
    judged = Counter((line["task_id"], line["sample"]) for line in lines if line["event"] == "sample.judged")
    assert max(judged.values()) == 1
    for name in ("generations", "verdicts"):
        keys = [(raw["task_id"], raw["sample"]) for raw in map(json.loads, (job / "work" / f"{name}.jsonl").open())]
        assert len(keys) == len(set(keys)) == 52 * 4
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))


def _count(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0
