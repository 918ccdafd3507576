from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from worker.evaluation.scorers import (
    Judge,
    Judgement,
    edit_similarity,
    exact_match,
    limits_for,
    limits_of,
    over_generates,
)
from worker.evaluation.suites import Problem, Suite, load_suite
from worker.failures import StageFailure
from worker.sandbox import probe
from worker.specs import SuiteRef

INFILL = Problem(
    "i", "python", "def f(n):\n    m = ", "n * 2", suffix="\n    return m\n", kind="infill", scorer="exact_match"
)
SHORTER = "import json\nsample = json.load(open('sample.json'))\nassert len(sample['completion']) < len(sample['reference'])\n"


def judged(suite: Suite, completion: str) -> Judgement:
    if probe().level == "none":
        pytest.skip(probe().detail)
    return Judge(probe(), limits_for(5.0), suite.scripts)(suite.problems[0], completion)


def by_text(completion: str, **changed: Any) -> Judgement:
    problem = Problem(**{**INFILL.to_json(), "stop": (), **changed})
    return Judge(probe(), limits_for(5.0), {})(problem, completion)


def test_an_exact_match_does_not_see_white_space_around() -> None:
    assert [exact_match(INFILL, text) for text in (" n * 2\n", "n*2", "")] == [1.0, 0.0, 0.0]


def test_edit_similarity_is_one_minus_the_distance_over_the_longer() -> None:
    assert edit_similarity(INFILL, "n * 3") == pytest.approx(0.8)
    assert edit_similarity(INFILL, "n * 2") == 1.0
    assert edit_similarity(INFILL, "") == 0.0


def test_a_judgement_by_text_keeps_its_score() -> None:
    close = by_text("n * 3", scorer="edit_similarity")
    assert (close.verdict.outcome, close.score) == ("failed", pytest.approx(0.8))
    assert by_text("n * 2", scorer="edit_similarity").verdict.outcome == "passed"


@pytest.mark.parametrize(
    ("completion", "over"),
    [
        ("n * 2", False),
        ("n", False),
        ("n * 2\n    print(m)", True),
        ("3\n    return m\n", True),
        ("3\n    return 4", False),
    ],
)
def test_going_on_past_the_reference_or_into_the_suffix_is_over_generation(completion: str, over: bool) -> None:
    assert over_generates(INFILL, completion) is over


@pytest.mark.parametrize(
    ("language", "prompt", "right", "wrong"),
    [
        ("python", "def f(n):\n    return", " n + 1\n", " n +\n"),
        ("javascript", "function f(n) {\n  return", " n + 1; }", " n + 1;"),
        ("cpp", "int f(int n) {\n  return", " n + 1; }", " n + ; }"),
    ],
)
def test_code_parses_or_not(language: str, prompt: str, right: str, wrong: str) -> None:
    problem = Problem("p", language, prompt, right, scorer="parses")
    outcomes = [Judge(probe(), limits_for(5.0), {})(problem, text).verdict.outcome for text in (right, wrong, "")]
    assert outcomes == ["passed", "failed", "failed"]


def suite_with(folder: Path, scripts: dict[str, str], scorer: str) -> Path:
    (folder / "scorers").mkdir()
    for name, source in scripts.items():
        (folder / "scorers" / name).write_text(source)
    problem = Problem("own", "lua", "return", " 1 + 1", scorer=scorer)
    (folder / "problems.jsonl").write_text(json.dumps(problem.to_json()))
    return folder


def test_a_script_of_the_suites_judges_in_the_sandbox(tmp_path: Path) -> None:
    suite = load_suite(SuiteRef("own", str(suite_with(tmp_path, {"shorter.py": SHORTER}, "command:shorter"))))
    assert [judged(suite, text).verdict.outcome for text in (" 2", " 1 + 1 + 0")] == ["passed", "failed"]


def test_a_script_in_another_language_gives_a_score(tmp_path: Path) -> None:
    script = "grep -q completion sample.json\necho 'score: 0.25'\n"
    suite = load_suite(SuiteRef("own", str(suite_with(tmp_path, {"quarter.sh": script}, "command:quarter"))))
    judgement = judged(suite, " 2")
    assert (judgement.verdict.outcome, judgement.score) == ("passed", 0.25)


def test_a_script_is_part_of_the_suites_version_and_must_be_there(tmp_path: Path) -> None:
    folder = suite_with(tmp_path, {"shorter.py": SHORTER}, "command:shorter")
    before = load_suite(SuiteRef("own", str(folder))).version
    (folder / "scorers" / "shorter.py").write_text(SHORTER + "assert True\n")
    assert load_suite(SuiteRef("own", str(folder))).version != before
    (folder / "scorers" / "shorter.py").rename(folder / "scorers" / "longer.py")
    with pytest.raises(StageFailure, match="names scorers that are not in its folder scorers: shorter"):
        load_suite(SuiteRef("own", str(folder)))
    (folder / "scorers" / "notes.txt").write_text("?")
    with pytest.raises(StageFailure, match=r"notes\.txt is in no language"):
        load_suite(SuiteRef("own", str(folder)))


def test_a_problems_own_timeout_counts() -> None:
    slow = Problem("s", "python", "", "", "pass", timeout_seconds=30.0)
    assert limits_of(slow, limits_for(5.0)).cpu_seconds == 30.0
    assert limits_of(INFILL, limits_for(5.0)) == limits_for(5.0)
