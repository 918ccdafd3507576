"""A real model through the whole house: SmolLM2-135M-Instruct, imported from its GGUF file and scored on HumanEval.

Both stages run as a yard runs them, each in its own process: import_model, then evaluate_model on all 164 problems with
the engine that serves (OpenVINO, 8-bit weights), greedily, at most 384 new tokens: the longest reference solution has
268. The file's weights have four bits, so this is a score of that file and not of the model as it was published.

No published figure was found to stand beside it: the model cards of SmolLM2-135M and of its Instruct version
(huggingface.co/HuggingFaceTB) name other benchmarks, and the HumanEval of the paper (Ben Allal et al. 2025,
arXiv:2502.02737) is of the 1.7B model. So the peer is nan and there is no goal.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.worker.pretrained import smollm2
from worker.specs import ArtifactRef, DecodeSettings, EvaluateModel, ImportModel, SuiteRef, to_dict

ROOT = Path(__file__).parents[1]
NAME = "evaluation_smollm2_pass_at_1"


def score(max_problems: int | None = None) -> dict[str, Any]:
    """The evaluation's summary (worker.evaluation.score). Raises SystemExit when a stage fails."""
    with tempfile.TemporaryDirectory(prefix="smollm2-") as name:
        folder = Path(name)
        made = _run("import_model", ImportModel(str(smollm2.file())), folder)["outputs"]["model"]
        spec = EvaluateModel(
            SuiteRef("human-eval", "human-eval"),
            ArtifactRef(made["uri"], made["sha256"]),
            ks=(1,),
            decode=DecodeSettings(max_tokens=smollm2.MAX_TOKENS),
            max_problems=max_problems,
        )
        summary: dict[str, Any] = _run("evaluate_model", spec, folder)["summary"]
    return summary


def figure(max_problems: int | None = None) -> dict[str, object]:
    found = score(max_problems)
    one, cost = found["pass_at_k"]["1"], found.get("cost", {})
    print(
        f"SmolLM2-135M-Instruct Q4_1, {one['n_problems']} problems: {one['low']:.3f} to {one['high']:.3f}, "
        f"{found['n_truncated']} cut off, {cost.get('completion_tokens')} tokens in "
        f"{cost.get('generate_cpu_seconds')} cpu-s",
        flush=True,
    )
    print(f"figure {NAME} ours={one['value']:.4g} peer=nan ratio=nan goal=nan unit=share", flush=True)
    return {"figure": NAME, "ours": one["value"], "peer": None, "ratio": None, "goal": None, "unit": "share"}


def _run(stage: str, spec: Any, folder: Path) -> dict[str, Any]:
    job = folder / stage
    job.mkdir()
    (job / "spec.json").write_text(json.dumps(to_dict(spec)))
    environment = {**os.environ, "STORAGE_URL": str(folder / "storage")}
    with (job / "output.log").open("wb") as log:
        command = [sys.executable, "-m", "worker", stage, str(job)]
        done = subprocess.run(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        raise SystemExit(f"{stage} failed: {(job / 'output.log').read_text(errors='replace')[-1500:]}")
    found: dict[str, Any] = json.loads((job / "manifest.json").read_text())
    return found
