"""What may count: problems whose reference passes here, and whose empty and buggy completions do not."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.worker.evaluation.conftest import TableEngine, problem_line
from worker.context import Context, Stopped
from worker.evaluation import admit, runtimes, scorers, stage
from worker.evaluation.runtimes import Readiness
from worker.evaluation.suites import Problem, load_suite
from worker.events import ListReporter
from worker.failures import StageFailure
from worker.sandbox import Isolation, Verdict, probe
from worker.specs import AdmitSuite, EvaluateModel, SuiteRef, to_dict

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _needs_a_sandbox() -> None:
    if probe().level == "none":
        pytest.skip(probe().detail)


def double(task_id: str, **changed: Any) -> Problem:
    problem = Problem(
        task_id,
        "python",
        "def double(n):\n    return",
        " n * 2",
        "assert double(3) == 6\n",
        buggy=" n + 2",
        stop=("\n",),
    )
    return dataclasses.replace(problem, **changed)


def write(folder: Path, *problems: Problem) -> AdmitSuite:
    folder.mkdir(exist_ok=True)
    path = folder / "problems.jsonl"
    path.write_text("".join(json.dumps(problem.to_json()) + "\n" for problem in problems))
    return AdmitSuite(SuiteRef("mine", str(path)))


def why(spec: AdmitSuite, context: Context) -> dict[str, str]:
    """By task_id, of the problems that are refused; each for a reason that can be counted."""
    shutil.rmtree(context.out, ignore_errors=True)
    summary = admit.run(spec, context).summary
    counted = Counter(entry["reason"] for entry in summary["excluded"])
    assert summary["languages"]["python"]["excluded"] == counted and "" not in counted
    return {entry["task_id"]: entry["why"] for entry in summary["excluded"]}


def test_what_does_not_tell_right_from_wrong_is_excluded_with_the_reason(tmp_path: Path, context: Context) -> None:
    spec = write(
        tmp_path / "suite",
        double("good"),
        double("wrong-reference", reference=" n * 3"),
        double("blind", tests="assert double\n"),
        double("loose", tests="assert double(2) == 4\n"),
        double("unknown-library", reference=" __import__('no_such_library').f(n)", requires=("no_such_library",)),
        double("nobody-solved", reference=None, buggy=None),
    )
    found = why(spec, context)
    assert set(found) == {"wrong-reference", "blind", "loose", "unknown-library", "nobody-solved"}
    assert found["wrong-reference"].startswith("the reference does not pass: failed")
    assert (found["blind"], found["loose"]) == ("an empty completion passes", "its buggy completion passes")
    assert "it needs no_such_library" in found["unknown-library"] and "ModuleNotFoundError" in found["unknown-library"]
    assert found["nobody-solved"] == "it has no reference"


def test_problems_keep_the_suites_order(tmp_path: Path, context: Context) -> None:
    spec = write(tmp_path / "suite", double("d10"), double("d2"), double("d1"))
    admission = json.loads((admit.run(spec, context).outputs["suite"] / "admission.json").read_text())
    assert list(admission["problems"]) == ["d10", "d2", "d1"]


def test_an_empty_completion_that_passes_excludes_a_problem(tmp_path: Path, context: Context) -> None:
    spec = write(tmp_path / "suite", double("empty", tests="assert double(3) != 5\n", buggy=None))
    assert why(spec, context) == {"empty": "an empty completion passes"}


def test_without_references_a_suite_is_admitted_only_when_asked_for_and_says_so(
    tmp_path: Path, context: Context
) -> None:
    spec = write(tmp_path / "suite", double("solved"), double("unsolved", reference=None, buggy=None))
    outcome = admit.run(dataclasses.replace(spec, unproved=True), context)
    assert outcome.summary["excluded"] == []
    admission = json.loads((outcome.outputs["suite"] / "admission.json").read_text())
    unsolved = {"admitted": True, "language": "python", "reason": "", "why": "unproved: it has no reference"}
    assert admission["problems"]["unsolved"] == unsolved


def test_a_language_that_is_not_here_is_not_available_and_never_zero(
    tmp_path: Path, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = runtimes.readiness

    def without_perl(language: str, isolation: Isolation) -> Readiness:
        return Readiness("missing", "no perl", {}) if language == "perl" else real(language, isolation)

    monkeypatch.setattr(runtimes, "readiness", without_perl)
    monkeypatch.setattr(runtimes.judged, "readiness", without_perl)
    perl = double(
        "p", language="perl", prompt="sub f { return", reference=" 1;", buggy=None, before="}\n", tests="f();\n"
    )
    summary = admit.run(write(tmp_path / "suite", double("good"), perl), context).summary
    lacking = {"status": "not available", "detail": "no perl", "excluded": {"not available": 1}, "admitted": 0}
    assert summary["languages"]["perl"].items() >= lacking.items()
    assert summary["languages"]["python"] == {
        "runtime": "Python", "version": f"python {sys.version.split()[0]}", "detail": "", "n": 1, "admitted": 1,
        "excluded": {}, "status": "admitted",
    }  # fmt: skip
    why = {"reason": "not available", "why": "perl is not available: missing: no perl"}
    assert summary["excluded"] == [{"task_id": "p", "language": "perl", **why}]


def test_what_is_admitted_is_a_suite_again_with_the_same_version(tmp_path: Path, context: Context) -> None:
    outcome = admit.run(write(tmp_path / "suite", double("good"), double("bad", reference=" n")), context)
    again = load_suite(SuiteRef("again", str(outcome.outputs["suite"])))
    assert again.version == outcome.summary["version"] and len(again.problems) == 2
    assert again.admission["problems"]["good"] == {"admitted": True, "language": "python", "reason": "", "why": ""}


def test_a_stop_keeps_every_verdict(tmp_path: Path, context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    real, n_runs = scorers.run, 0

    def counting(*arguments: Any) -> Verdict:
        nonlocal n_runs
        n_runs += 1
        (context.job_dir / "stop").touch()
        return real(*arguments)

    monkeypatch.setattr(scorers, "run", counting)
    spec = write(tmp_path / "suite", *(double(f"d{number}") for number in range(8)))
    with pytest.raises(Stopped):
        admit.run(spec, context)
    monkeypatch.setattr(Context, "stop_requested", lambda self: False)
    assert 0 < n_runs < 8
    assert admit.run(spec, context).counts["admitted"] == 8
    assert n_runs == 8 * 3


def test_a_failing_sandbox_excludes_for_now_and_leaves_no_receipt(
    tmp_path: Path, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scorers, "run", lambda program, limits, isolation: Verdict("sandbox_failed", "no helper"))
    outcome = admit.run(write(tmp_path / "suite", double("good")), context)
    why = {"reason": "sandbox failed", "why": "the sandbox failed: no helper"}
    assert outcome.summary["excluded"] == [{"task_id": "good", "language": "python", **why}]
    assert not outcome.complete


def test_without_isolation_nothing_is_run(tmp_path: Path, context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admit, "probe", lambda: Isolation("none", "namespaces: no", 0, False, 1))
    with pytest.raises(StageFailure, match="no code was run"):
        admit.run(write(tmp_path / "suite", double("good")), context)


def test_an_evaluation_scores_admitted_problems_only_and_lists_the_others(
    spec: EvaluateModel, context: Context, use_engine: Callable[[TableEngine], TableEngine], suite_path: Path
) -> None:
    bad = problem_line("greet", canonical_solution=" name")
    suite_path.write_text(problem_line("double") + problem_line("first") + bad)
    engine = use_engine(TableEngine())
    summary = stage.run(spec, context).summary
    assert summary["n_problems"] == 2 and len(engine.asked) == 2
    assert [entry["task_id"] for entry in summary["excluded"]] == ["greet"]
    assert summary["by_language"]["python"]["1"]["value"] == 1.0


def test_an_admission_is_found_again_by_another_job_and_not_with_other_limits(
    spec: EvaluateModel,
    context: Context,
    use_engine: Callable[[TableEngine], TableEngine],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    use_engine(TableEngine())
    stage.run(spec, context)
    tried, real = [], admit.admit

    def counting(*arguments: Any) -> dict[str, dict[str, Any]]:
        tried.append(1)
        return real(*arguments)

    monkeypatch.setattr(admit, "admit", counting)
    other = Context(tmp_path / "other", ListReporter(), context.storage_url)
    assert stage.run(spec, other).summary["n_problems"] == 3 and tried == []
    shutil.rmtree(other.out)
    stage.run(dataclasses.replace(spec, timeout_seconds=4.0), other)
    assert tried == [1]


def test_a_suite_of_which_nothing_is_admitted_gives_no_score(
    spec: EvaluateModel, context: Context, use_engine: Callable[[TableEngine], TableEngine], suite_path: Path
) -> None:
    engine = use_engine(TableEngine())
    suite_path.write_text(problem_line("double", test="def check(candidate):\n    assert False\n"))
    with pytest.raises(StageFailure, match="the reference does not pass") as failure:
        stage.run(spec, context)
    assert failure.value.code == "evaluation:user:nothing-admitted" and engine.asked == []


def test_by_hand_a_suite_is_admitted_and_the_same_work_is_found_again(tmp_path: Path) -> None:
    spec = write(tmp_path / "suite", double("good"), double("bad", reference=" n"))
    manifests = []
    for name in ("one", "two"):
        job = tmp_path / name
        job.mkdir()
        (job / "spec.json").write_text(json.dumps(to_dict(spec)))
        environment = {**os.environ, "STORAGE_URL": str(tmp_path / "storage")}
        command = [sys.executable, "-m", "worker", "admit_suite", str(job)]
        assert subprocess.run(command, cwd=ROOT, env=environment, timeout=120, check=False).returncode == 0
        manifests.append(json.loads((job / "manifest.json").read_text()))
    assert manifests[0]["counts"] == {"problems": 2, "admitted": 1, "excluded": 1}
    assert manifests[1]["outputs"] == manifests[0]["outputs"]
    assert "work.reused" in (tmp_path / "two" / "events.jsonl").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("language", load_suite(SuiteRef("starter", "starter")).languages)
def test_every_starter_problem_whose_language_is_here_is_admitted(language: str, context: Context) -> None:
    summary = admit.run(AdmitSuite(SuiteRef("starter", "starter"), (language,)), context).summary
    if summary["languages"][language]["status"] == "not available":
        pytest.skip(summary["excluded"][0]["why"])
    assert summary["excluded"] == []
