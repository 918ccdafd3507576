"""Result files of other harnesses, read as they are: what they say, and nothing that they do not.

    lm-evaluation-harness           results_DATE.json, and samples_TASK_DATE.jsonl beside it (--log_samples). Read from
                                    its result_schema.py and loggers/evaluation_tracker.py, version 0.4.
    bigcode-evaluation-harness      evaluation_results.json, and generations_TASK.json beside it. Read from its main.py
                                    and evaluator.py.

These scores were made by another sandbox, with other prompts, stops and time limits: this module judges nothing again
and compares nothing. Standard library only, since the control plane imports it too (a contract module).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LM_EVAL, BIGCODE = "lm-eval", "bigcode"

Raw = Mapping[str, Any]

_PASS = re.compile(r"pass(?:@|_at_)(\d+)")
_SAMPLES = re.compile(r"samples_(.+)_\d{4}-\d\d-\d\dT[\d.:-]+\.jsonl")
_GENERATIONS = re.compile(r"[^_]*_(.+)\.json")
# What belongs to decoding in each harness's own names; the rest of a config is about machines and files.
_LM_EVAL_DECODE = ("random_seed", "numpy_seed", "torch_seed", "fewshot_seed", "limit", "gen_kwargs")
_BIGCODE_DECODE = (
    "do_sample", "temperature", "top_p", "top_k", "n_samples", "seed", "eos", "prefix", "prompt",
    "max_length_generation", "precision", "limit", "limit_start",
)  # fmt: skip
_NO_METRICS = frozenset({"sample_len", "sample_count"})


class BadResult(ValueError):
    """A file that is no result of a known harness, or contradicts itself; the message is for whoever chose it."""


@dataclass(frozen=True)
class Metric:
    """As the file has it: a share from 0 to 1 for pass@k. `stderr` is the harness's own, None where it gives none."""

    value: float
    stderr: float | None = None


@dataclass(frozen=True)
class ImportedProblem:
    """One problem's completions as they came from the model (bigcode: the prompt and the completion in one).

    `n` samples, of which `n_passed` passed: None where the file does not say it.
    """

    task_id: str
    prompt: str
    completions: tuple[str, ...]
    n: int
    n_passed: int | None = None


@dataclass(frozen=True)
class ImportedResult:
    """One task of one run. `metrics` by name, pass@k always written so. `n_problems`: None where the file does not say.

    `harness` is LM_EVAL or BIGCODE; `version` is the harness's (a version or a commit) and `task_version` the task's,
    "" where not told. `decode` are the settings as the harness calls them, plain JSON. `problems` are empty without a
    file of samples.
    """

    harness: str
    version: str
    task: str
    task_version: str
    model: str
    metrics: Mapping[str, Metric]
    n_problems: int | None
    decode: Mapping[str, Any]
    problems: tuple[ImportedProblem, ...] = ()

    @property
    def pass_at_k(self) -> dict[int, Metric]:
        """The metrics that are pass@k, by k."""
        found = {_PASS.fullmatch(name): metric for name, metric in self.metrics.items()}
        return {int(match[1]): metric for match, metric in sorted(found.items(), key=_by_k) if match}


def read_results(files: Mapping[str, str]) -> tuple[ImportedResult, ...]:
    """Every task of one run: exactly one file of results, and files of samples or generations beside it.

    `files` are texts by name; names matter only for telling which task samples are of. Raises BadResult.
    """
    parsed = {name: _json(name, text) for name, text in files.items() if not name.endswith(".jsonl")}
    results = {name: raw for name, raw in parsed.items() if isinstance(raw, dict)}
    if len(results) != 1:
        raise BadResult(f"give exactly one file of results, not {len(results)}")
    name, raw = next(iter(results.items()))
    if isinstance(raw.get("results"), dict):
        return _read_lm_eval(raw, {name: text for name, text in files.items() if name.endswith(".jsonl")})
    if isinstance(raw.get("config"), dict):
        return _read_bigcode(raw, {name: raw for name, raw in parsed.items() if not isinstance(raw, dict)})
    raise BadResult(f"{name} has neither lm-evaluation-harness's `results` nor bigcode-evaluation-harness's `config`")


# ---- lm-evaluation-harness -------------------------------------------------------------------------------------------


def _read_lm_eval(raw: Raw, files: Mapping[str, str]) -> tuple[ImportedResult, ...]:
    groups = {name for name, tasks in _mapping(raw, "group_subtasks").items() if tasks}
    found = {name: _lm_eval_metrics(values) for name, values in raw["results"].items() if name not in groups}
    found = {name: metrics for name, metrics in found.items() if metrics}
    if not found:
        raise BadResult("the file of results holds no task with a number in it")
    samples = _samples_by_task(files, tuple(found))
    return tuple(_lm_eval_task(raw, name, metrics, samples.get(name, ())) for name, metrics in found.items())


def _lm_eval_task(
    raw: Raw, task: str, metrics: Mapping[str, Metric], problems: tuple[ImportedProblem, ...]
) -> ImportedResult:
    config, own = _mapping(raw, "config"), _mapping(_mapping(raw, "configs"), task)
    decode = dict(_mapping(own, "generation_kwargs"))
    decode |= {name: own[name] for name in ("repeats", "num_fewshot") if own.get(name) is not None}
    decode |= {name: config[name] for name in _LM_EVAL_DECODE if config.get(name) not in (None, "", {})}
    counted = _mapping(_mapping(raw, "n-samples"), task).get("effective", raw["results"][task].get("sample_len"))
    return ImportedResult(
        LM_EVAL,
        str(raw.get("lm_eval_version") or raw.get("git_hash") or ""),
        task,
        _told(_mapping(raw, "versions").get(task)),
        str(raw.get("model_name") or _lm_eval_model(config)),
        metrics,
        counted if isinstance(counted, int) else len(problems) or None,
        decode,
        problems,
    )


def _lm_eval_model(config: Raw) -> str:
    """What files of before 0.4.3 have in place of model_name."""
    arguments = config.get("model_args")
    if isinstance(arguments, str):
        arguments = dict(part.split("=", 1) for part in arguments.split(",") if "=" in part)
    named = arguments if isinstance(arguments, dict) else {}
    return _told(
        next((named[name] for name in ("pretrained", "model", "engine") if name in named), config.get("model"))
    )


def _lm_eval_metrics(values: Any) -> dict[str, Metric]:
    """Keys are "NAME,FILTER" and "NAME_stderr,FILTER". A filter is named only where two of them give one metric."""
    if not isinstance(values, dict):
        raise BadResult("a task of the file of results is not an object")
    split = {key: tuple(key.partition(",")[::2]) for key in values if key not in _NO_METRICS}
    numbers = {key: name for key, name in split.items() if _number(values[key]) is not None}
    shares = [name for name, _ in numbers.values() if not name.endswith("_stderr")]
    found = {}
    for key, (name, filtered) in numbers.items():
        if not name.endswith("_stderr"):
            shown = _name(name) if shares.count(name) == 1 else f"{_name(name)} ({filtered})"
            stderr = values.get(f"{name}_stderr,{filtered}" if "," in key else f"{name}_stderr")
            found[shown] = Metric(float(values[key]), _number(stderr))
    return found


def _samples_by_task(files: Mapping[str, str], tasks: Sequence[str]) -> dict[str, tuple[ImportedProblem, ...]]:
    by_task = {name: _task_of(name, _SAMPLES, tasks) for name in files}
    return {task: _lm_eval_problems(name, files[name], task) for name, task in by_task.items()}


def _lm_eval_problems(name: str, text: str, task: str) -> tuple[ImportedProblem, ...]:
    """A row a problem and filter; the first of each problem counts, since its completions are the same in all."""
    problems: dict[str, ImportedProblem] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            problem = _lm_eval_problem(_json(f"{name}, line {number}", line), f"{name}, line {number}", task)
            problems.setdefault(problem.task_id, problem)
    return tuple(problems.values())


def _lm_eval_problem(row: Any, where: str, task: str) -> ImportedProblem:
    if not isinstance(row, dict) or not isinstance(row.get("resps"), list):
        raise BadResult(f"{where} has no list called resps")
    identity = _mapping(row, "doc").get("task_id", row.get("doc_id"))
    completions = tuple(map(str, _flat(row["resps"])))
    return ImportedProblem(
        identity if isinstance(identity, str) else f"{task}/{identity}",
        _prompt(row.get("arguments")),
        completions,
        len(completions),
        _n_passed(row, len(completions)),
    )


def _prompt(arguments: Any) -> str:
    """The text that was asked with: {"gen_args_0": {"arg_0": ...}}, or the lists that files before 0.4.3 have."""
    for inner in (0, 0):
        values = list(arguments.values()) if isinstance(arguments, dict) else arguments
        arguments = values[inner] if isinstance(values, list) and values else ""
    return arguments if isinstance(arguments, str) else ""


def _n_passed(row: Raw, n: int) -> int | None:
    """From the row's pass@k with the least k, turned round: that many of n give this value, where only one number does."""
    told = {int(match[1]): row[name] for name in row for match in [_PASS.fullmatch(name)] if match}
    if not told or not n or _number(told[min(told)]) is None:
        return None
    k, value = min(told), told[min(told)]
    if k > n:
        return None
    fitting = [c for c in range(n + 1) if math.isclose(_pass_at_k(n, c, k), value, abs_tol=1e-9)]
    return fitting[0] if len(fitting) == 1 else None


def _pass_at_k(n: int, c: int, k: int) -> float:
    """Chen et al. 2021, equation 1; worker.evaluation.pass_at_k has it with numpy, which is not for this module."""
    return 1.0 - math.comb(n - c, k) / math.comb(n, k)


# ---- bigcode-evaluation-harness --------------------------------------------------------------------------------------


def _read_bigcode(raw: Raw, files: Mapping[str, Any]) -> tuple[ImportedResult, ...]:
    config = raw["config"]
    tasks = {name: values for name, values in raw.items() if name != "config" and isinstance(values, dict)}
    found = {name: _bigcode_metrics(values) for name, values in tasks.items()}
    found = {name: metrics for name, metrics in found.items() if metrics}
    if not found:
        raise BadResult("the file of results holds no task with a number in it")
    generations = _generations_by_task(files, tuple(found), config)
    decode = {name: config[name] for name in _BIGCODE_DECODE if config.get(name) is not None}
    model = _told(config.get("peft_model") or config.get("model"))
    return tuple(
        ImportedResult(
            BIGCODE, "", task, "", model, metrics, _bigcode_size(config, generations.get(task, ())), decode,
            generations.get(task, ()),
        )
        for task, metrics in found.items()
    )  # fmt: skip


def _bigcode_metrics(values: Raw) -> dict[str, Metric]:
    return {_name(name): Metric(float(value)) for name, value in values.items() if _number(value) is not None}


def _bigcode_size(config: Raw, problems: Sequence[ImportedProblem]) -> int | None:
    limit = config.get("limit")
    return len(problems) or (limit if isinstance(limit, int) else None)


def _generations_by_task(
    files: Mapping[str, Any], tasks: Sequence[str], config: Raw
) -> dict[str, tuple[ImportedProblem, ...]]:
    by_task = {name: _task_of(name, _GENERATIONS, tasks) for name in files}
    first = config.get("limit_start") or 0
    return {task: tuple(_bigcode_problems(name, files[name], task, first)) for name, task in by_task.items()}


def _bigcode_problems(name: str, rows: Any, task: str, first: int) -> Iterator[ImportedProblem]:
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise BadResult(f"{name} is no list of lists of generations")
    for number, row in enumerate(rows, start=first):
        completions = tuple(map(str, row))
        yield ImportedProblem(f"{task}/{number}", "", completions, len(completions))


# ---- both ------------------------------------------------------------------------------------------------------------


def _task_of(name: str, pattern: re.Pattern[str], tasks: Sequence[str]) -> str:
    """Which task a file of samples is of, by its name; with a single task any name will do."""
    match = pattern.fullmatch(name.rsplit("/", 1)[-1])
    if match and match[1] in tasks:
        return match[1]
    if (match and pattern is _SAMPLES) or len(tasks) > 1:
        raise BadResult(f"{name} is of none of the tasks in the file of results: {', '.join(tasks)}")
    return tasks[0]


def _json(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise BadResult(f"{name} is not JSON: {error}") from error


def _mapping(raw: Raw, name: str) -> Raw:
    """The object of that name; an empty one where it is missing or is something else."""
    value = raw.get(name)
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> float | None:
    """A finite number; None for "N/A", NaN and everything else."""
    finite = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if finite else None


def _name(metric: str) -> str:
    return _PASS.sub(r"pass@\1", metric)


def _told(value: Any) -> str:
    return "" if value is None else str(value)


def _flat(values: Any) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list):
            yield from _flat(value)
        else:
            yield value


def _by_k(item: tuple[re.Match[str] | None, Metric]) -> int:
    return int(item[0][1]) if item[0] else 0
