from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.worker.evaluation.conftest import PROBLEMS, Answer, TableEngine, problem_line
from worker.context import Context
from worker.evaluation import completions, stage
from worker.events import ListReporter, MessageLogged
from worker.failures import StageFailure
from worker.sandbox import probe
from worker.specs import ArtifactRef, DecodeSettings, EvaluateModel, SuiteRef

UseEngine = Callable[[TableEngine], TableEngine]

WRONG_TEST = "def check(candidate):\n    assert candidate(3) == 7\n"
SLOW = " n * 2 if [i for i in range(10**7)] else 0"


@pytest.fixture(autouse=True)
def _needs_a_sandbox() -> None:
    if probe().level == "none":
        pytest.skip(probe().detail)


@pytest.fixture
def earlier(
    spec: EvaluateModel, context: Context, use_engine: UseEngine, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., EvaluateModel]:
    """Evaluate with these answers by problem; returns the spec that judges that evaluation's samples again. From then on
    no engine can be had.
    """

    def evaluate(answers: dict[str, str] | None = None, **changed: Any) -> EvaluateModel:
        texts = {name: reference for name, (_, reference, _) in PROBLEMS.items()} | (answers or {})
        use_engine(TableEngine({PROBLEMS[name][0]: Answer(text) for name, text in texts.items()}))
        made = stage.run(dataclasses.replace(spec, **changed), context).outputs["evaluation"]
        kept = shutil.move(made, context.job_dir / "earlier")
        monkeypatch.setattr(completions, "engine_of", no_engine)
        return EvaluateModel(spec.suite, generations=ArtifactRef(str(kept), "a" * 64), ks=spec.ks)

    return evaluate


def no_engine(*asked: Any) -> None:
    raise AssertionError("an engine was asked for")


@pytest.fixture
def again(tmp_path: Path) -> Context:
    """A job of its own."""
    return Context(tmp_path / "again", ListReporter(), str(tmp_path / "storage"))


def outcomes(summary: Any) -> dict[str, int]:
    return {problem["task_id"]: problem["c"] for problem in summary["problems"]}


def test_the_same_judge_says_the_same_and_no_engine_is_loaded(
    earlier: Callable[..., EvaluateModel], again: Context
) -> None:
    spec = earlier({"greet": " name"}, decode=DecodeSettings(max_tokens=48, seed=5), samples=2)
    summary = stage.run(spec, again).summary
    assert outcomes(summary) == {"double": 2, "first": 2, "greet": 0}
    assert summary["pass_at_k"]["1"]["value"] == pytest.approx(2 / 3) and summary["samples_per_problem"] == 2
    assert (summary["decode"]["max_tokens"], summary["seed"], summary["engine"]["name"]) == (48, 5, "openvino")
    told = {"kind": "model", "sha256": "0" * 64}
    assert summary["subject"] == {"kind": "generations", "sha256": "a" * 64, "of": told}
    assert summary["cost"]["generate_seconds"] == summary["cost"]["completion_tokens"] == 0
    assert summary["cost"]["judge_cpu_seconds"] > 0 and summary["missing"] == []


def test_a_mended_test_file_changes_the_verdict(
    earlier: Callable[..., EvaluateModel], again: Context, suite_path: Path
) -> None:
    suite_path.write_text(problem_line("double", test=WRONG_TEST, canonical_solution=" n * 2 + 1"))
    spec = earlier()
    suite_path.write_text(problem_line("double"))
    assert stage.run(spec, again).summary["pass_at_k"]["1"]["value"] == 1.0
    before = json.loads((Path(spec.generations.uri) / "score.json").read_text())  # type: ignore[union-attr]
    assert before["pass_at_k"]["1"]["value"] == 0.0


def test_another_timeout_changes_the_verdict(earlier: Callable[..., EvaluateModel], again: Context) -> None:
    spec = earlier({"double": SLOW}, timeout_seconds=30.0)
    summary = stage.run(dataclasses.replace(spec, timeout_seconds=0.15), again).summary
    assert summary["outcomes"]["timeout"] == 1 and outcomes(summary)["double"] == 0


def test_stops_that_hold_now_cut_what_was_generated(
    earlier: Callable[..., EvaluateModel], again: Context, suite_path: Path
) -> None:
    suite_path.write_text(problem_line("double", stop=["<never>"]))
    spec = earlier({"double": " n * 2\nraise SystemExit"})
    suite_path.write_text(problem_line("double", stop=["\nraise"]))
    assert stage.run(spec, again).summary["pass_at_k"]["1"]["value"] == 1.0


def test_problems_without_a_completion_are_named_and_do_not_count(
    earlier: Callable[..., EvaluateModel], again: Context, suite_path: Path
) -> None:
    suite_path.write_text(problem_line("double") + problem_line("first"))
    spec = earlier()
    other = problem_line("first", prompt="def first(items):\n    # of several\n    return")
    suite_path.write_text(problem_line("double") + other + problem_line("greet"))
    summary = stage.run(spec, again).summary
    assert [(row["task_id"], row["why"].split(":")[0]) for row in summary["missing"]] == [
        ("first", "it asks another thing now"),
        ("greet", "it was not generated for"),
    ]
    assert (summary["n_problems"], outcomes(summary)) == (1, {"double": 1})
    assert isinstance(again.reporter, ListReporter)
    texts = [event.text for event in again.reporter.events if isinstance(event, MessageLogged)]
    assert "2 of 3 problems have no completion in the earlier evaluation" in texts


def test_samples_of_other_problems_alone_are_refused(
    earlier: Callable[..., EvaluateModel], again: Context, suite_path: Path
) -> None:
    suite_path.write_text(problem_line("double"))
    spec = earlier()
    suite_path.write_text(problem_line("greet"))
    with pytest.raises(StageFailure) as failure:
        stage.run(spec, again)
    assert failure.value.code == "evaluation:user:bad-generations"


def test_a_k_beyond_the_samples_there_are_is_refused(earlier: Callable[..., EvaluateModel], again: Context) -> None:
    with pytest.raises(StageFailure, match="1 samples of a problem at most"):
        stage.run(dataclasses.replace(earlier(), ks=(10,)), again)


def test_what_is_no_evaluation_is_refused(spec: EvaluateModel, again: Context, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    asked = EvaluateModel(spec.suite, generations=ArtifactRef(str(tmp_path / "empty"), "a" * 64))
    with pytest.raises(StageFailure) as failure:
        stage.run(asked, again)
    assert failure.value.code == "evaluation:user:bad-generations"


def test_held_out_text_is_read_by_the_model_beside(
    earlier: Callable[..., EvaluateModel], again: Context, tmp_path: Path
) -> None:
    dataset = ArtifactRef(str(tmp_path / "dataset"), "d" * 64)
    with pytest.raises(StageFailure, match="held-out text is read by a model"):
        stage.run(dataclasses.replace(earlier(), dataset=dataset), again)


def test_a_second_attempt_judges_nothing_again(earlier: Callable[..., EvaluateModel], again: Context) -> None:
    spec = earlier()
    first = stage.run(spec, again)
    verdicts = (again.work / "verdicts.jsonl").read_bytes()
    shutil.rmtree(again.out)
    second = stage.run(spec, again)
    assert (again.work / "verdicts.jsonl").read_bytes() == verdicts
    assert second.summary == first.summary


def test_completions_that_were_judged_again_can_be_judged_again(
    earlier: Callable[..., EvaluateModel], again: Context, tmp_path: Path
) -> None:
    spec = earlier()
    made = stage.run(spec, again).outputs["evaluation"]
    third = dataclasses.replace(again, job_dir=tmp_path / "third")
    suite = SuiteRef("renamed", spec.suite.location)
    asked = EvaluateModel(suite, generations=ArtifactRef(str(made), "b" * 64))
    assert stage.run(asked, third).summary["pass_at_k"]["1"]["value"] == 1.0
