"""python -m worker STAGE DIR: run one stage in one directory. This docstring is the protocol.

    read    DIR/spec.json                       what is asked (worker.specs)
    append  DIR/events.jsonl                    what happens (worker.events), one JSON object a line
    print   stdout and stderr                   for people; the control plane keeps them as DIR/output.log
    watch   DIR/stop                            when it appears: save, leave
    keep    DIR/work                            what a later attempt continues from
    write   <storage>/<noun>/<sha>/             the outputs
    write   DIR/manifest.json                   the receipt, last

    exit 0  with manifest.json                  succeeded
    exit 0  without manifest.json               stopped as asked
    exit 3  after a stage.failed event          failed: the stage said no, with a code
    else                                        crashed

From the environment: STORAGE_URL (default DIR/storage), YARD_ATTEMPT (default 1), TRITON_URL, TRITON_MODEL_REPOSITORY,
YARD_PARENT_PID (when set, the stage leaves as soon as that process is no longer its parent), MODELYARD_ENDPOINT_KEY
(taken out of the environment at once: neither a program in the sandbox nor anything else started here inherits it).
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from worker import manifest, specs
from worker.context import Context, Outcome, Stopped
from worker.events import (
    ArtifactWritten,
    FileReporter,
    StageFailed,
    StageFinished,
    StageStarted,
    StageStopped,
    WorkReused,
)
from worker.failures import StageFailure

# Each module has VERSION (part of the work's key), run(spec, context) -> Outcome, and may set REUSES_RECEIPT = False or
# have reuses_receipt(spec) -> bool, where some of its specs name what may change. A stage whose spec names its inputs only
# by place has state_of(spec) -> JSON, which goes into the key: unchanged, they are not worked through again.
STAGES = {
    "ingest_dataset": "worker.data.ingest",
    "train_tokenizer": "worker.tokenizer.train",
    "build_shards": "worker.shards.build",
    "train_model": "worker.training.stage",
    "import_model": "worker.pretrained.stage",
    "admit_suite": "worker.evaluation.admit",
    "evaluate_model": "worker.evaluation.stage",
    "find_contamination": "worker.contamination.stage",
    "deploy_model": "worker.serving.deploy",
    "export_feedback": "worker.data.feedback",
}
FAILED = 3


def main(argv: list[str]) -> int:
    if len(argv) != 2 or argv[0] not in STAGES:
        print(f"usage: python -m worker STAGE DIR\nstages: {', '.join(STAGES)}", file=sys.stderr)
        return 2
    stage, job_dir = argv[0], Path(argv[1]).resolve()
    _leave_with_parent()
    context = _context(job_dir)
    try:
        return _run(stage, context)
    except Stopped as stopped:
        context.reporter.report(StageStopped(str(stopped)))
        return 0
    except StageFailure as failure:
        context.reporter.report(StageFailed(failure.code, failure.message, failure.values))
        return FAILED


def _context(job_dir: Path) -> Context:
    attempt = int(os.environ.get("YARD_ATTEMPT", "1"))
    repository = os.environ.get("TRITON_MODEL_REPOSITORY")
    return Context(
        job_dir=job_dir,
        reporter=FileReporter(job_dir, attempt),
        storage_url=os.environ.get("STORAGE_URL") or str(job_dir / "storage"),
        attempt=attempt,
        triton_url=os.environ.get("TRITON_URL", ""),
        model_repository=Path(repository) if repository else None,
        endpoint_key=os.environ.pop(specs.ENDPOINT_KEY, ""),
    )


def _run(stage: str, context: Context) -> int:
    started = time.monotonic()
    module = importlib.import_module(STAGES[stage])
    raw = _read_spec(context.job_dir)
    spec = specs.from_dict(stage, raw)
    context.reporter.report(StageStarted(stage, module.VERSION, os.getpid()))
    key = manifest.work_key(stage, module.VERSION, specs.to_dict(spec) | _state_of(module, spec))
    receipt = _find_receipt(module, context, stage, key) if _reuses_receipt(module, spec) else None
    reusable = True
    if receipt is None:
        outcome = _fresh_run(module, spec, context)
        reusable = outcome.complete
        receipt = _publish(
            stage, module.VERSION, specs.to_dict(spec), key, outcome, context, time.monotonic() - started
        )
    manifest.write_receipt(receipt, context.storage_url, context.job_dir, reusable)
    context.reporter.report(StageFinished(round(time.monotonic() - started, 3)))
    return 0


def _read_spec(job_dir: Path) -> Mapping[str, Any]:
    try:
        raw: Mapping[str, Any] = json.loads((job_dir / "spec.json").read_text())
    except (OSError, ValueError) as error:
        raise StageFailure("spec:app:invalid", detail=error) from error
    return raw


def _state_of(module: ModuleType, spec: Any) -> dict[str, Any]:
    by_spec = getattr(module, "state_of", None)
    return {"state": by_spec(spec)} if by_spec else {}


def _reuses_receipt(module: ModuleType, spec: Any) -> bool:
    by_spec = getattr(module, "reuses_receipt", None)
    return bool(by_spec(spec)) if by_spec else bool(getattr(module, "REUSES_RECEIPT", True))


def _find_receipt(module: ModuleType, context: Context, stage: str, key: str) -> manifest.Manifest | None:
    receipt = manifest.find_receipt(context.storage_url, stage, key)
    if receipt is not None:
        context.reporter.report(WorkReused(key))
    return receipt


def _fresh_run(module: ModuleType, spec: Any, context: Context) -> Outcome:
    shutil.rmtree(context.job_dir / "out", ignore_errors=True)
    # An attempt that was stopped early may have left one; it must not speak for this attempt.
    (context.job_dir / "manifest.json").unlink(missing_ok=True)
    outcome: Outcome = module.run(spec, context)
    return outcome


def _publish(
    stage: str, version: str, spec: Mapping[str, Any], key: str, outcome: Outcome, context: Context, seconds: float
) -> manifest.Manifest:
    outputs = {}
    for noun, folder in outcome.outputs.items():
        artifact = manifest.publish(folder, context.storage_url, noun)
        context.reporter.report(ArtifactWritten(noun, artifact.uri, artifact.sha256, artifact.n_bytes))
        outputs[noun] = artifact
    return manifest.Manifest(
        stage, version, spec, key, outputs, outcome.counts, outcome.summary, round(seconds, 3), manifest.now()
    )


def _leave_with_parent() -> None:
    """Die with the queue worker. The kernel's death signal covers Linux; the watch covers a parent that died before it was set."""
    parent = os.environ.get("YARD_PARENT_PID")
    if parent is None:
        return
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG

    def watch() -> None:
        while os.getppid() == int(parent):
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True, name="parent-watch").start()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
