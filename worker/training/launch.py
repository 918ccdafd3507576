"""Several processes, one for each GPU: Composer's own launcher starts them, and this process speaks for them.

The stage's process stays the only writer of the job's events: rank 0 appends its own to a file under work/launch,
and they are passed on from there. It leaves its outcome, its refusal or its stop in result.json beside it.

    work/launch/spec.json      what to train
    work/launch/events.jsonl   rank 0's events
    work/launch/result.json    {"outcome": ...} or {"failure": ...} or {"stopped": ...}
    work/launch/rank*.log      what the other ranks print

Run on two CPU processes by its test. On GPUs it has not been run by us.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

import torch
from composer.utils import dist

from worker import manifest, specs
from worker.context import Context, Outcome, Stopped
from worker.events import EVENTS, Event, FileReporter, Reporter
from worker.failures import StageFailure
from worker.specs import TrainModel
from worker.training import rank

SECONDS_BETWEEN_READS = 0.5
# `composer -n`, in a process prepared as worker.training says: the plain command dies where torchvision's C++ does.
LAUNCHER = "import worker.training; from composer.cli.launcher import main; raise SystemExit(main())"
HEAD = ("v", "seq", "attempt", "at", "event")


def processes_needed() -> int:
    """One for each GPU of this machine; one where there is none, or inside a launch that somebody else made."""
    return 1 if "RANK" in os.environ else max(1, torch.cuda.device_count())


def run(spec: TrainModel, context: Context, processes: int) -> Outcome:
    """Train on `processes` ranks. Raises what rank 0 raised; ChildProcessError when a rank died without a word."""
    folder = context.work / "launch"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "spec.json").write_text(json.dumps(specs.to_dict(spec)))
    (folder / "events.jsonl").touch()
    launcher = subprocess.Popen(_command(context.job_dir, folder, processes), env=_environment(spec, context))
    previous = signal.signal(signal.SIGTERM, lambda number, frame: launcher.terminate())
    try:
        _pass_on(folder / "events.jsonl", launcher, context.reporter)
    finally:
        signal.signal(signal.SIGTERM, previous)
        if launcher.poll() is None:
            launcher.terminate()
            launcher.wait()
    return _result(folder / "result.json", launcher.returncode)


def _command(job_dir: Path, folder: Path, processes: int) -> list[str]:
    logs = ["--stdout", str(folder / "rank{rank}.log"), "--stderr", str(folder / "rank{rank}.log")]
    launcher = [sys.executable, "-c", LAUNCHER, "-n", str(processes), *logs]
    return [*launcher, "-m", "worker.training.launch", str(job_dir)]


def _environment(spec: TrainModel, context: Context) -> dict[str, str]:
    # Composer's FSDP 1 cannot export whole weights from under its wrappers; 2 shards in place.
    sharding = {"FSDP_VERSION": "2"} if spec.recipe.shard_parameters else {}
    return {**os.environ, **sharding, "YARD_ATTEMPT": str(context.attempt)}


def _pass_on(path: Path, launcher: subprocess.Popen[bytes], reporter: Reporter) -> None:
    """Report rank 0's events as they come, until the launcher has ended and its last line is read."""
    with path.open(encoding="utf-8") as file:
        alive = True
        while alive:
            alive = _is_running(launcher)
            for raw in _whole_lines(file):
                fields = {name: value for name, value in raw.items() if name not in HEAD}
                reporter.report(EVENTS[raw["event"]](**fields))


def _is_running(launcher: subprocess.Popen[bytes]) -> bool:
    try:
        launcher.wait(SECONDS_BETWEEN_READS)
    except subprocess.TimeoutExpired:
        return True
    return False


def _whole_lines(file: TextIO) -> Iterator[dict[str, Any]]:
    """Lines that are complete; half of one is left for the next read."""
    while True:
        position = file.tell()
        line = file.readline()
        if not line.endswith("\n"):
            file.seek(position)
            return
        yield json.loads(line)


def _result(path: Path, returncode: int) -> Outcome:
    if not path.exists():
        raise ChildProcessError(f"the training processes ended with code {returncode} and without a result")
    result = json.loads(path.read_text())
    if "failure" in result:
        raise StageFailure(result["failure"]["code"], **result["failure"]["values"])
    if "stopped" in result:
        raise Stopped(result["stopped"])
    outcome = result["outcome"]
    return Outcome(**{**outcome, "outputs": {noun: Path(path) for noun, path in outcome["outputs"].items()}})


class Silent:
    """The reporter of all ranks but the first."""

    def report(self, event: Event) -> None:
        return


def main(job_dir: Path) -> None:
    """What each rank runs."""
    folder = job_dir / "work" / "launch"
    spec = specs.from_dict("train_model", json.loads((folder / "spec.json").read_text()))
    leads, attempt = dist.get_global_rank() == 0, int(os.environ["YARD_ATTEMPT"])
    reporter: Reporter = FileReporter(folder, attempt) if leads else Silent()
    result = _run_rank(spec, Context(job_dir, reporter, storage_url="", attempt=attempt))
    if leads:
        manifest.write_atomically(folder / "result.json", json.dumps(result, default=str))


def _run_rank(spec: TrainModel, context: Context) -> dict[str, Any]:
    try:
        return {"outcome": asdict(rank.run(spec, context))}
    except StageFailure as failure:
        return {"failure": {"code": failure.code, "values": failure.values}}
    except Stopped as stopped:
        return {"stopped": str(stopped)}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
