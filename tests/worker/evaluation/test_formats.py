"""Rows in the fields of each published format; all rows here are this project's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from worker.evaluation.suites import FUNCTION_STOPS, Problem, load_suite
from worker.evaluation.suites.formats import read_row
from worker.evaluation.suites.problem import BadProblem
from worker.failures import StageFailure
from worker.specs import SuiteRef

CHECK = "def check(candidate):\n    assert candidate(2) == 4\n"
PYTHON = {"task_id": "T/1", "prompt": "def double(n):\n", "entry_point": "double", "test": CHECK}
PYTHON_REFERENCE = {**PYTHON, "canonical_solution": "    return n * 2\n"}

HUMAN_EVAL = PYTHON_REFERENCE
INFILLING = {**PYTHON, "canonical_solution": "    n = n * 2\n", "suffix": "    return n\n"}
SANTA_CODER = {
    "language": "js", "prompt": "function double(n) {\n", "suffix": "\n}\n", "canonical_solution": "  return n * 2;",
}  # fmt: skip
MBPP = {
    "text": "Write a function to double a number.", "code": "def double(n):\r\n    return n * 2", "task_id": 7,
    "test_setup_code": "", "test_list": ["assert double(2) == 4", "assert double(0) == 0"], "challenge_test_list": [],
}  # fmt: skip
SANITIZED_MBPP = {
    "source_file": "a.ipynb", "task_id": 8, "prompt": "Write a function to find the root.", "test_imports": ["import math"],
    "code": "def root(n):\n    return n ** 0.5", "test_list": ["assert math.isclose(root(4), 2.0)"],
}  # fmt: skip
MULTIPL_E = {
    "name": "Double_0_double", "language": "cpp", "prompt": "#include<assert.h>\nlong twice(long n) {\n", "doctests": "keep",
    "original": "double.py", "prompt_terminology": "verbatim", "stop_tokens": ["\n}"],
    "tests": "}\nint main() {\n    assert(twice((2)) == (4));\n}\n",
}  # fmt: skip
MXEVAL_PYTHON = {**PYTHON_REFERENCE, "language": "python", "description": "Double it."}
MXEVAL_JAVASCRIPT = {
    "task_id": "J/1", "prompt": "function double(n) {\n", "entry_point": "double", "language": "javascript",
    "test": 'const _ = require("lodash")\nif (!_.isEqual(double(2), 4)) { throw "1" }\n', "description": "Double it.",
    "canonical_solution": "  return n * 2;\n}",
}  # fmt: skip
PACK_GO = {
    "task_id": "Go/0", "prompt": 'import (\n    "math"\n)\n\nfunc Root(n float64) float64 {\n', "import": 'import (\n    "math"\n)\n',
    "canonical_solution": "    return math.Sqrt(n)\n}\n", "buggy_solution": "    return math.Abs(n)\n}\n", "declaration": "",
    "test_setup": 'package main\n\nimport (\n    "testing"\n)\n', "bug_type": "operator misuse", "entry_point": "Root",
    "test": 'func TestRoot(t *testing.T) {\n    if Root(4) != 2 {\n        t.Fatal("root")\n    }\n}\n',
}  # fmt: skip
PACK_RUST = {
    "task_id": "Rust/0", "prompt": "use std::cmp::max;\nuse rand::Rng;\nuse regex::Regex;\nuse md5;\nfn double(n: i32) -> i32 {\n",
    "canonical_solution": "    n * 2\n}\n", "buggy_solution": "    n + 1\n}\n", "entry_point": "double",
    "test": "#[test]\nfn doubles() { assert_eq!(double(2), 4); }\n",
}  # fmt: skip
ODEX = {
    "task_id": 11, "prompt": "def f_11(text):\n\t", "suffix": "\n\treturn number", "canonical_solution": "number = float(text)",
    "test_start": "\nimport math\n\ndef check(candidate):",
    "test": ["\n    assert candidate('2') == 2\n", "\n    assert math.isnan(candidate('nan'))\n"],
    "entry_point": "f_11", "intent": 'make a number of `text`, such as "2"', "library": ["math"],
}  # fmt: skip
OWN = {"task_id": "o/1", "language": "bash", "prompt": "double() {\n  echo", "reference": " $(( $1 * 2 ))", "before": "}\n",
       "tests": "[[ $(double 2) == 4 ]]\n", "stop": ["\n"]}  # fmt: skip


@pytest.mark.parametrize(
    ("row", "language", "kind", "task_id"),
    [
        (HUMAN_EVAL, "python", "complete", "T/1"),
        (INFILLING, "python", "infill", "T/1"),
        (MBPP, "python", "complete", "MBPP/7"),
        (SANITIZED_MBPP, "python", "complete", "MBPP/8"),
        (MULTIPL_E, "cpp", "complete", "cpp/Double_0_double"),
        (MXEVAL_PYTHON, "python", "complete", "T/1"),
        (MXEVAL_JAVASCRIPT, "javascript", "complete", "J/1"),
        (PACK_GO, "go", "complete", "Go/0"),
        (PACK_RUST, "rust", "complete", "Rust/0"),
        (ODEX, "python", "complete", "ODEX/11"),
        (OWN, "bash", "complete", "o/1"),
    ],
)
def test_the_fields_of_a_row_say_its_format(row: dict[str, Any], language: str, kind: str, task_id: str) -> None:
    problem = read_row(row)
    assert (problem.language, problem.kind, problem.task_id, problem.scorer) == (language, kind, task_id, "execution")


@pytest.mark.parametrize("row", [HUMAN_EVAL, INFILLING, MBPP, SANITIZED_MBPP, MXEVAL_PYTHON, ODEX])
def test_python_programs_hold_with_their_reference_and_not_with_nothing(row: dict[str, Any]) -> None:
    problem = read_row(row)
    assert problem.reference is not None
    exec(compile(problem.program(problem.reference), "reference", "exec"), {})
    with pytest.raises((SyntaxError, NameError, TypeError, AssertionError)):
        exec(compile(problem.program(""), "empty", "exec"), {})


def test_santa_coders_middles_are_compared_with_the_reference_and_named_by_their_text() -> None:
    problem = read_row(SANTA_CODER)
    assert (problem.language, problem.kind, problem.scorer) == ("javascript", "infill", "exact_match")
    assert problem.task_id == read_row(SANTA_CODER).task_id != read_row({**SANTA_CODER, "prompt": "other"}).task_id


def test_a_completion_that_writes_its_own_brace_is_not_stopped_by_it() -> None:
    assert not any("}" in stop for stop in read_row(PACK_GO).stop + read_row(MXEVAL_JAVASCRIPT).stop)
    assert read_row(MULTIPL_E).stop == ("\n}",)
    assert read_row(HUMAN_EVAL).stop == FUNCTION_STOPS


def test_mbpp_shows_the_task_and_its_first_test_as_a_docstring() -> None:
    assert read_row(MBPP).prompt == '"""\nWrite a function to double a number.\nassert double(2) == 4\n"""\n'
    assert "\r" not in (read_row(MBPP).reference or "")


def test_gos_package_comes_first_and_is_not_shown() -> None:
    problem = read_row(PACK_GO)
    assert problem.program("").startswith("package main") and problem.prompt.startswith("import")
    assert problem.buggy == "    return math.Abs(n)\n}\n"


def test_gos_packages_are_there_once_for_completions_that_use_them() -> None:
    program = read_row(PACK_GO).program("")
    assert program.count('"math"') == program.count('"strings"') == 1
    assert "var _ = strings.ToLower" in program and "var _ = rand.Int" in program


def test_rusts_unused_crates_are_left_out() -> None:
    assert "use std::cmp::max;\nfn double" in read_row(PACK_RUST).prompt


def test_libraries_that_a_test_needs_are_named() -> None:
    assert read_row(MXEVAL_JAVASCRIPT).requires == ("lodash",)
    assert read_row(ODEX).requires == ("math",)


def test_odex_shows_the_intent_and_hides_what_follows() -> None:
    problem = read_row(ODEX)
    assert problem.prompt == 'def f_11(text):\n    """make a number of `text`, such as \'2\'"""\n    '
    assert problem.program("X").count("\n    X\n    return number\n") == 1


def test_our_own_format_is_the_record() -> None:
    problem = Problem(
        "a", "perl", "sub f {", " 1 }", tests="f();", buggy="}", stop=("\n",), timeout_seconds=2.0, requires=("x",)
    )
    assert read_row(json.loads(json.dumps(problem.to_json()))) == problem
    assert "kind" not in problem.to_json()


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"surprise": 1}, "unknown fields: surprise"),
        ({"kind": "guess"}, "kind must be one of"),
        ({"scorer": "vibes"}, "scorer must be one of"),
        ({"stop": [""]}, "stop must be a list"),
        ({"tests": " "}, "has no tests"),
        ({"timeout_seconds": "long"}, "timeout_seconds must be"),
        ({"timeout_seconds": 0}, "must be positive"),
        ({"scorer": "exact_match", "reference": None}, "has no reference"),
    ],
)
def test_a_record_that_does_not_hold_together_is_refused(changed: dict[str, Any], complaint: str) -> None:
    with pytest.raises(BadProblem, match=complaint):
        read_row({**OWN, **changed})


def test_an_array_of_rows_is_read_too_and_odexs_second_question_of_a_number_gets_a_name(tmp_path: Path) -> None:
    other = {**ODEX, "canonical_solution": "number = float(text.strip())"}
    (tmp_path / "odex.json").write_text(json.dumps([ODEX, other], indent=1))
    suite = load_suite(SuiteRef("odex", str(tmp_path / "odex.json")))
    assert [problem.task_id for problem in suite.problems] == ["ODEX/11", "ODEX/11#2"]


def test_a_folder_of_files_is_one_suite_of_several_languages(tmp_path: Path) -> None:
    (tmp_path / "go.jsonl").write_text(json.dumps(PACK_GO))
    (tmp_path / "rust.jsonl").write_text(json.dumps(PACK_RUST))
    (tmp_path / "README.md").write_text("not a suite")
    whole = load_suite(SuiteRef("pack", str(tmp_path)))
    assert whole.languages == ("go", "rust")
    only = load_suite(SuiteRef("pack", str(tmp_path)), languages=("rust",))
    assert [problem.task_id for problem in only.problems] == ["Rust/0"] and only.version == whole.version
    with pytest.raises(StageFailure, match="no problems in lua"):
        load_suite(SuiteRef("pack", str(tmp_path)), languages=("lua",))


def test_a_bad_row_of_a_folder_is_named_by_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps(PACK_GO))
    (tmp_path / "b.jsonl").write_text(json.dumps(PACK_RUST) + "\n{}\n")
    with pytest.raises(StageFailure, match=r"b\.jsonl, line 2: its fields fit no known format"):
        load_suite(SuiteRef("pack", str(tmp_path)))
