"""Spreads tasks over the job's engine: names go in, names come out, content never crosses.

Content that goes through the engine costs memory without bound (479 MB of source took 1.4-1.7 GB, 1.9 GB took 3.5
GB, and Daft aborts when an allocation fails); one task a shard stayed under 0.85 GB for both. Which machine or thread
does a task, how often, and in what order they end, changes nothing in the files they write.

The engine is this machine, unless the environment names another: RAY_ADDRESS or SPARK_REMOTE. There is no falling back:
a cluster that does not answer, or whose machines differ from this one in what decides bytes, ends the job with a code.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pyarrow as pa

from worker import cleaning
from worker.context import Context
from worker.data.runners import Runner, on_ray, on_spark
from worker.data.runners.attempt import Attempt, settle
from worker.data.runners.native import Native
from worker.data.runners.reaching import Unreachable, brief
from worker.events import MessageLogged
from worker.failures import StageFailure


def map_tasks(task: Callable[[str], None], names: Sequence[str], stop_file: Path) -> Iterator[str]:
    """Run `task` once for each name; yield names as they are done. Once `stop_file` is there no other task begins.

    `task` is pickled, so it must hold data only: no open file, no lock. Raises the StageFailure of a task, and those of
    `runner`.
    """
    for answer in runner().map(Attempt(task, stop_file), names):
        name = settle(answer)
        if name is not None:
            yield name


def prepare(context: Context) -> dict[str, str]:
    """Reach the engine and see that it can do this job's work, before the work is listed; its name and address.

    Raises StageFailure data:app:two-engines, engine-unreachable or engine-unfit.
    """
    chosen = runner()
    if chosen.name != "native":
        _refuse_unfit(chosen, context.work)
        context.reporter.report(MessageLogged(f"the tasks run on {chosen.name} at {chosen.address}"))
    return {"name": chosen.name, "address": chosen.address}


@cache
def runner() -> Runner:
    """The process's one engine: Daft takes one runner a process, and a cluster one client a job."""
    ray, spark = os.environ.get(on_ray.VARIABLE), os.environ.get(on_spark.VARIABLE)
    if ray and spark:
        raise StageFailure("data:app:two-engines")
    try:
        return on_ray.Ray(ray) if ray else on_spark.Spark(spark) if spark else Native()
    except Unreachable as error:
        name, variable = ("ray", on_ray.VARIABLE) if ray else ("spark", on_spark.VARIABLE)
        raise StageFailure(
            "data:app:engine-unreachable", engine=name, address=error.address, detail=error.detail, variable=variable
        ) from error


@dataclass(frozen=True)
class Inspection:
    """Run on the cluster: what decides the bytes of the output there, and whether the job's folder can be seen."""

    folder: Path

    def __call__(self, name: str) -> str:
        return json.dumps(surroundings() | {"folder": "seen" if self.folder.is_dir() else "not there"})


def surroundings() -> dict[str, str]:
    steps = ",".join(f"{name}={step.version}" for name, step in cleaning.STEPS.items())
    return {
        "python": ".".join(platform.python_version_tuple()[:2]),
        "pyarrow": pa.__version__,
        "steps": steps,
    }


def _refuse_unfit(chosen: Runner, folder: Path) -> None:
    try:
        (answer,) = chosen.map(Inspection(folder), ["inspection"])
    except Exception as error:  # what a cluster without this package raises: the engines' errors share no base class
        raise _unfit(chosen, brief(error)) from error
    there, here = json.loads(answer), surroundings() | {"folder": "seen"}
    unlike = [f"{name} is {there.get(name)}, not {value}" for name, value in here.items() if there.get(name) != value]
    if unlike:
        raise _unfit(chosen, "; ".join(unlike))


def _unfit(chosen: Runner, detail: str) -> StageFailure:
    return StageFailure("data:app:engine-unfit", engine=chosen.name, address=chosen.address, detail=detail)
