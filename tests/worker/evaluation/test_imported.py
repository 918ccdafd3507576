"""LM_EVAL and its samples are what lm-evaluation-harness 0.4.13 wrote for three problems and four samples of each (one
problem never solved, one once, one always), without what is not read.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from worker.evaluation.imported import BIGCODE, LM_EVAL, BadResult, ImportedResult, Metric, read_results

ROOT = Path(__file__).parents[3]
RESULTS, SAMPLES = "results_2026-11-24T15-46-58.973679.json", "samples_humaneval_small_2026-11-24T15-46-58.973679.jsonl"
DECODE = {"until": ["\nclass", "\ndef"], "max_gen_toks": 16, "do_sample": True, "temperature": 0.2}
WRITTEN: dict[str, Any] = {
    "results": {
        "humaneval_small": {
            "name": "humaneval_small", "alias": "humaneval_small", "sample_len": 3,
            "pass@1,create_test": 0.4166666666666667, "pass@1_stderr,create_test": 0.3004626062886658,
            "pass@2,create_test": 0.5, "pass@2_stderr,create_test": 0.2886751345948129,
        }
    },
    "group_subtasks": {},
    "configs": {"humaneval_small": {"num_fewshot": 0, "generation_kwargs": DECODE, "repeats": 4}},
    "versions": {"humaneval_small": 1.0},
    "n-samples": {"humaneval_small": {"original": 3, "effective": 3}},
    "config": {
        "model": "dummy", "model_args": {}, "batch_size": 1, "device": "cuda:0", "limit": None, "gen_kwargs": {},
        "random_seed": 0, "numpy_seed": 1234, "torch_seed": 1234, "fewshot_seed": 1234,
    },
    "git_hash": None,
    "lm_eval_version": "0.4.13",
    "model_name": "coder-1b",
}  # fmt: skip


def sample(number: int, name: str, at_1: float, at_2: float) -> dict[str, Any]:
    prompt = f"def {name}():\n"
    return {
        "doc_id": number, "doc": {"task_id": f"HumanEval/{number}", "prompt": prompt}, "target": "check()",
        "arguments": {"gen_args_0": {"arg_0": prompt, "arg_1": DECODE}}, "resps": [["a", "b", "c", "d"]],
        "filtered_resps": [["a", "b", "c", "d"]], "filter": "create_test", "metrics": ["pass@1", "pass@2"],
        "pass@1": at_1, "pass@2": at_2,
    }  # fmt: skip


ROWS = [sample(0, "one", 0.0, 0.0), sample(1, "two", 0.25, 0.5), sample(2, "three", 1.0, 1.0)]


def lm_eval(written: dict[str, Any] = WRITTEN, rows: list[dict[str, Any]] = ROWS) -> tuple[ImportedResult, ...]:
    return read_results({RESULTS: json.dumps(written), SAMPLES: "".join(json.dumps(row) + "\n" for row in rows)})


def bigcode(config: dict[str, Any], **files: Any) -> tuple[ImportedResult, ...]:
    results = {"humaneval": {"pass@1": 0.5, "pass@10": 0.75}, "config": {"model": "org/m", "device": "cuda"} | config}
    more = {name.replace("__", "."): json.dumps(raw) for name, raw in files.items()}
    return read_results({"evaluation_results.json": json.dumps(results), **more})


def test_what_lm_eval_wrote_is_read() -> None:
    (result,) = lm_eval()
    assert (result.harness, result.version, result.task, result.task_version) == (
        LM_EVAL,
        "0.4.13",
        "humaneval_small",
        "1.0",
    )
    assert (result.model, result.n_problems) == ("coder-1b", 3)
    assert result.pass_at_k == {1: Metric(0.4166666666666667, 0.3004626062886658), 2: Metric(0.5, 0.2886751345948129)}
    seeds = {"random_seed": 0, "numpy_seed": 1234, "torch_seed": 1234, "fewshot_seed": 1234}
    assert result.decode == {**DECODE, "repeats": 4, "num_fewshot": 0, **seeds}


def test_each_problems_samples_come_with_how_many_passed() -> None:
    (result,) = lm_eval()
    assert [(row.task_id, row.n, row.n_passed) for row in result.problems] == [
        ("HumanEval/0", 4, 0),
        ("HumanEval/1", 4, 1),
        ("HumanEval/2", 4, 4),
    ]
    assert (result.problems[1].prompt, result.problems[1].completions) == ("def two():\n", ("a", "b", "c", "d"))


def test_how_many_passed_is_not_guessed() -> None:
    rows = [{name: value for name, value in row.items() if name != "pass@1"} for row in ROWS]
    (result,) = lm_eval(rows=rows)
    assert [row.n_passed for row in result.problems] == [0, 1, None]  # pass@2 is 1 for three of four and for all


def test_a_problem_of_several_filters_counts_once() -> None:
    (result,) = lm_eval(rows=[*ROWS, ROWS[0] | {"filter": "other"}])
    assert len(result.problems) == 3


def test_groups_and_what_is_no_number_are_left_out() -> None:
    values = {"alias": "m", "pass_at_1,none": 0.5, "pass_at_1_stderr,none": "N/A", "bleu,none": float("nan")}
    results = {
        "mbpp": values,
        "code": {"alias": "code", "pass@1,none": 0.5},
        "empty": {"alias": "e", "acc,none": "N/A"},
    }
    (result,) = read_results(
        {RESULTS: json.dumps({"results": results, "group_subtasks": {"code": ["mbpp"], "mbpp": []}})}
    )
    assert (result.task, result.metrics, result.n_problems) == ("mbpp", {"pass@1": Metric(0.5)}, None)


def test_a_metric_of_two_filters_keeps_their_names() -> None:
    values = {"exact_match,strict": 0.1, "exact_match,loose": 0.2, "exact_match_stderr,loose": 0.01}
    (result,) = read_results({RESULTS: json.dumps({"results": {"t": values}})})
    assert result.metrics == {"exact_match (strict)": Metric(0.1), "exact_match (loose)": Metric(0.2, 0.01)}
    assert result.pass_at_k == {}


def test_older_files_name_the_model_in_its_arguments_and_list_theirs() -> None:
    written = {name: value for name, value in WRITTEN.items() if name not in ("model_name", "lm_eval_version")}
    config = WRITTEN["config"] | {"model": "hf", "model_args": "pretrained=org/m,dtype=float"}
    (result,) = lm_eval(written | {"config": config}, [ROWS[0] | {"arguments": [["def one():\n", DECODE]]}])
    assert (result.model, result.version, result.problems[0].prompt) == ("org/m", "", "def one():\n")


def test_what_bigcode_wrote_is_read() -> None:
    settings = {"temperature": 0.2, "top_p": 0.95, "n_samples": 20, "do_sample": True, "limit_start": 5, "limit": 2}
    generations = [["def one():\n    return 1", "def one():\n    pass"], ["def two():"]]
    (result,) = bigcode(settings, generations_humaneval__json=generations)
    assert (result.harness, result.version, result.model, result.n_problems) == (BIGCODE, "", "org/m", 2)
    assert result.pass_at_k == {1: Metric(0.5), 10: Metric(0.75)} and result.decode == settings
    assert [(row.task_id, row.n, row.n_passed) for row in result.problems] == [
        ("humaneval/5", 2, None),
        ("humaneval/6", 1, None),
    ]
    assert bigcode({})[0].n_problems is None


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "exactly one file of results"),
        ({"a.json": "{}", "b.json": "{}"}, "exactly one file of results, not 2"),
        ({"a.json": "{"}, "a.json is not JSON"),
        ({"a.json": "{}"}, "neither lm-evaluation-harness"),
        ({"a.json": '{"results": {}}'}, "no task with a number"),
        ({"a.json": '{"config": {}, "humaneval": {"pass@1": null}}'}, "no task with a number"),
        ({"a.json": '{"results": {"t": [1]}}'}, "not an object"),
        ({RESULTS: json.dumps(WRITTEN), SAMPLES: '{"doc_id": 0}'}, "line 1 has no list called resps"),
        ({RESULTS: json.dumps(WRITTEN), SAMPLES.replace("small", "large"): ""}, "of none of the tasks"),
        ({"e.json": '{"config": {}, "t": {"pass@1": 1}}', "generations_t.json": "[1]"}, "no list of lists"),
    ],
)
def test_what_is_no_result_is_refused_with_the_reason(files: dict[str, str], said: str) -> None:
    with pytest.raises(BadResult, match=said):
        read_results(files)


def test_the_control_plane_can_import_it_without_any_package() -> None:
    code = "import worker.evaluation.imported"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = [{str(ROOT)!r}]; {code}"], check=False
    )
    assert done.returncode == 0
