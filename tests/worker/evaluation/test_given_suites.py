"""HumanEvalPack, where its files are given: SUITES_DIR=FOLDER, and SUITES_PROBLEMS for more than the first few of each.

Of every language that this machine has: canonical solutions pass (but for those that need a library which is not here),
and no buggy one does, nor nothing at all.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from worker.context import Context
from worker.evaluation import admit
from worker.specs import AdmitSuite, SuiteRef

FOLDER = os.environ.get("SUITES_DIR", "")
N_PROBLEMS = int(os.environ.get("SUITES_PROBLEMS", "6"))
# Share of canonical solutions that must pass; the rest lack a library without saying so (js-md5, boost, openssl).
LEAST = {"python": 1.0, "js": 0.99, "java": 1.0, "cpp": 0.97, "go": 0.98, "rust": 0.94}


@pytest.mark.slow
@pytest.mark.skipif(not FOLDER, reason="SUITES_DIR names no folder with humanevalpack-*.jsonl")
@pytest.mark.parametrize("name", LEAST)
def test_canonical_solutions_pass_and_no_buggy_or_empty_one_does(name: str, context: Context) -> None:
    place = SuiteRef("pack", str(Path(FOLDER, f"humanevalpack-{name}.jsonl")))
    summary = admit.run(AdmitSuite(place, max_problems=N_PROBLEMS, timeout_seconds=10.0), context).summary
    (language,) = summary["languages"].values()
    if language["status"] == "not available":
        pytest.skip(language["detail"])
    verdicts = [json.loads(line) for line in (context.work / "admission" / "admission.jsonl").open()]
    assert [record for record in verdicts if record["sample"] and record["outcome"] == "passed"] == []
    lacking = [row for row in summary["excluded"] if "(it needs" not in row["why"]]
    assert len(lacking) <= (1 - LEAST[name]) * language["n"], lacking
