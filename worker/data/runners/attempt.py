"""A task as it travels to an engine: runs for one name, answers in one line of JSON.

Exceptions do not survive the way back from every engine (Spark gives their text alone), so a refusal comes home as its
code and values and is raised again where the job is. What else a task raises is the engine's to report.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from worker.data.limits import telling_ends
from worker.failures import StageFailure


@dataclass(frozen=True)
class Attempt:
    """`task` must hold data only: no open file, no lock. Once `stop_file` is there no other task begins."""

    task: Callable[[str], None]
    stop_file: Path

    def __call__(self, name: str) -> str:
        if self.stop_file.exists():
            return json.dumps({"done": None})
        try:
            with telling_ends(self.stop_file.parent):
                self.task(name)
        except StageFailure as failure:
            values = {key: str(value) for key, value in failure.values.items()}
            return json.dumps({"code": failure.code, "values": values})
        return json.dumps({"done": name})


def settle(answer: str) -> str | None:
    """The name of a task that was done, None of one that was not begun. Raises the StageFailure of one that refused."""
    said = json.loads(answer)
    if "code" in said:
        raise StageFailure(said["code"], **said["values"])
    done: str | None = said["done"]
    return done
