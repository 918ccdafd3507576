"""A training stage that does what a test tells it, speaking the protocol of python -m worker as the real one does.

It trains up to the step that the file `allowed` in its directory names, and waits there for more; a stop file ends it.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from worker.__main__ import _leave_with_parent
from worker.events import FileReporter, MetricsLogged, ProgressMade, StageEntered, StageStarted, StageStopped

STEPS = 8_000
BEFORE = 6_000  # steps that are behind it when somebody looks: more than a chart has pixels for


def main(folder: Path) -> int:
    reporter = FileReporter(folder, int(os.environ["YARD_ATTEMPT"]))
    reporter.report(StageStarted("train_model", "scripted", os.getpid()))
    reporter.report(StageEntered("train"))
    step = BEFORE
    while not (folder / "stop").exists():
        while step < allowed(folder):
            step += 1
            loss = 2.0 + 6.0 * 0.999**step
            values = {"loss/train": loss, "loss/val": loss + 0.1, "throughput/tokens_per_second": 5_400.0}
            reporter.report(MetricsLogged(step, values))
            reporter.report(ProgressMade(step, STEPS, "steps"))
        time.sleep(0.02)
    reporter.report(StageStopped(f"Saved at step {step}."))
    return 0


def allowed(folder: Path) -> int:
    path = folder / "allowed"
    return int(path.read_text() or 0) if path.exists() else 0


if __name__ == "__main__":
    _leave_with_parent()
    sys.exit(main(Path(sys.argv[2])))
