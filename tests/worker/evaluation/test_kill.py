"""kill -9 in the middle of generating, and in the middle of judging in a slow sandbox: with real processes and a real
server that counts what it is asked.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.worker.evaluation.conftest import problem_line
from tests.worker.evaluation.openai_server import Json, Server, serving
from tests.worker.evaluation.test_stage import by_hand
from worker.sandbox import probe
from worker.specs import EndpointSpec, EvaluateModel, SuiteRef

SAMPLES = 14
SLOW_TEST = "def check(candidate):\n    import time\n    time.sleep(0.3)\n    assert candidate(3) == 6\n"


def lines(path: Path) -> list[bytes]:
    """Whole lines of a file that a process may be writing."""
    return path.read_bytes().splitlines(keepends=True) if path.exists() else []


def keys(records: list[bytes]) -> Counter[tuple[str, int]]:
    rows = [json.loads(line) for line in records]
    return Counter((row["task_id"], row["sample"]) for row in rows)


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["generations", "verdicts"])
def test_after_kill_9_no_sample_is_lost_generated_or_judged_twice(phase: str, tmp_path: Path) -> None:
    if probe().level == "none":
        pytest.skip(probe().detail)
    (tmp_path / "suite.jsonl").write_text(problem_line("double", test=SLOW_TEST))

    def answer(request: Json) -> str:
        time.sleep(0.2 if phase == "generations" else 0.0)
        return " n * 2"

    with serving(Server(answer)) as server:
        endpoint = EndpointSpec(server.url, "slow", concurrency=2)
        suite = SuiteRef("one", str(tmp_path / "suite.jsonl"))
        spec, job = EvaluateModel(suite, endpoint=endpoint, samples=SAMPLES), tmp_path / "job"
        kept = [_killed_at(spec, job, phase, n) for n in (4, 8)]
        assert by_hand(spec, job).wait(120) == 0
        asked = Counter(request["seed"] for request in server.requests)
    generations, verdicts = (lines(job / "work" / f"{name}.jsonl") for name in ("generations", "verdicts"))
    journal = generations if phase == "generations" else verdicts
    assert all(journal[: len(records)] == records for records in kept)
    assert keys(generations) == keys(verdicts) == Counter({("double", sample): 1 for sample in range(SAMPLES)})
    # Of completions only those may be asked for again that were on their way when the process was killed.
    assert sum(n - 1 for n in asked.values()) <= 2 * 2 and len(asked) == SAMPLES
    events = [json.loads(line) for line in lines(job / "events.jsonl")]
    assert set(keys([line for line in lines(job / "events.jsonl") if b'"sample.judged"' in line]).values()) == {1}
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    summary = json.loads((job / "manifest.json").read_text())["summary"]
    assert (summary["n_samples"], summary["pass_at_k"]["1"]["value"]) == (SAMPLES, 1.0)
    _cost_is_of_all_attempts(summary["cost"], generations, verdicts)


def _killed_at(spec: EvaluateModel, job: Path, journal: str, n_lines: int) -> list[bytes]:
    """Run until so many records are kept, kill, and return those: whole lines only."""
    process, path = by_hand(spec, job), job / "work" / f"{journal}.jsonl"
    while process.poll() is None and len(lines(path)) < n_lines:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    found = [line for line in lines(path) if line.endswith(b"\n")]
    assert n_lines <= len(found) < SAMPLES
    return found


def _cost_is_of_all_attempts(cost: dict[str, Any], generations: list[bytes], verdicts: list[bytes]) -> None:
    made, judged = ([json.loads(line) for line in records] for records in (generations, verdicts))
    assert cost["generate_seconds"] == pytest.approx(sum(row["generate_seconds"] for row in made), abs=0.002)
    assert cost["judge_seconds"] == pytest.approx(sum(row["judge_seconds"] for row in judged), abs=0.002)
    assert cost["completion_tokens"] == 7 * SAMPLES
    assert cost["judge_seconds"] >= 0.3 * SAMPLES / 2
