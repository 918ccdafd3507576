"""A suite of three small problems, an engine that answers from a table, and a stage's surroundings."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from worker.context import Context
from worker.evaluation import completions
from worker.events import ListReporter
from worker.specs import ArtifactRef, DecodeSettings, EvaluateModel, SuiteRef

PROBLEMS = {
    "double": ("def double(n):\n    return", " n * 2", "assert candidate(3) == 6"),
    "first": ("def first(items):\n    return", " items[0]", "assert candidate([5]) == 5"),
    "greet": ("def greet(name):\n    return", " 'hello ' + name", "assert candidate('ada') == 'hello ada'"),
}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: end-to-end flows; still run in CI")


def problem_line(name: str, **changed: object) -> str:
    prompt, reference, test = PROBLEMS[name]
    raw = {
        "task_id": name,
        "prompt": prompt,
        "entry_point": name,
        "canonical_solution": reference,
        "test": f"def check(candidate):\n    {test}\n",
    }
    return json.dumps(raw | changed) + "\n"


@dataclass(frozen=True)
class Answer:
    text: str
    n_tokens: int = 5
    finish_reason: str = "stop"
    n_prompt_tokens: int = 9


class TableEngine:
    """Answers by prompt; counts what it was asked and may fall over after some batches."""

    def __init__(self, answers: Mapping[str, Answer] | None = None) -> None:
        self.answers = answers or {prompt: Answer(reference) for prompt, reference, _ in PROBLEMS.values()}
        self.asked: list[tuple[str, int]] = []
        self.decodes: list[DecodeSettings] = []
        self.suffixes: list[str | None] = []

    def complete_many(
        self,
        prompts: Sequence[str],
        decode: DecodeSettings | None = None,
        seeds: Sequence[int] | None = None,
        suffixes: Sequence[str | None] | None = None,
    ) -> list[Answer]:
        assert decode is not None and seeds is not None
        self.suffixes += suffixes or [None] * len(prompts)
        self.asked += zip(prompts, seeds, strict=True)
        self.decodes.append(decode)
        return [self.answers[prompt] for prompt in prompts]


@pytest.fixture
def suite_path(tmp_path: Path) -> Path:
    path = tmp_path / "suite.jsonl"
    path.write_text("".join(map(problem_line, PROBLEMS)))
    return path


@pytest.fixture
def spec(suite_path: Path, tmp_path: Path) -> EvaluateModel:
    (tmp_path / "model").mkdir(exist_ok=True)
    return EvaluateModel(SuiteRef("small", str(suite_path)), ArtifactRef(str(tmp_path / "model"), "0" * 64))


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(tmp_path / "job", ListReporter(), str(tmp_path / "storage"))


@pytest.fixture
def use_engine(monkeypatch: pytest.MonkeyPatch) -> Callable[[TableEngine], TableEngine]:
    def use(engine: TableEngine) -> TableEngine:
        monkeypatch.setattr(completions, "engine_of", lambda spec, asked, context: engine)
        return engine

    return use
