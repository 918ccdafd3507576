"""Each test of the attack list runs by every driver that this machine has, as root and as an ordinary user."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from worker.sandbox import Isolation, Limits, Program, Verdict, probe, run

ROOT = Path(__file__).parents[3]
QUICK = Limits(cpu_seconds=0.4, wall_seconds=0.8)
PLAIN_UID = 61235  # no account of anyone's
DRIVERS = ("zygote", "bubblewrap", "landlock")
# Serves like Box.run below, in a process that has never been root: it may have to use another Python than ours, since
# one under a closed home folder cannot be reached.
_PLAIN_SERVER = """
import dataclasses, json, sys
from worker.sandbox import Isolation, Limits, Program, probe, run
print(json.dumps(dataclasses.asdict(probe())), flush=True)
for line in sys.stdin:
    source, limits, isolation = json.loads(line)
    verdict = run(Program(source), Limits(**limits), Isolation(**isolation))
    print(json.dumps(dataclasses.asdict(verdict)), flush=True)
"""


class PlainUser:
    """Runs programs from a process of an ordinary user, one at a time: with one pipe, threads would get each other's."""

    def __init__(self) -> None:
        packages = [path for path in sys.path if path.endswith("site-packages")]
        self.process = subprocess.Popen(
            ["/usr/bin/python3", "-c", _PLAIN_SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            user=PLAIN_UID, group=PLAIN_UID, extra_groups=[], cwd=ROOT,
            env={"PYTHONPATH": ":".join([str(ROOT), *packages]), "PATH": "/usr/bin:/bin"},
        )  # fmt: skip
        self.isolation = Isolation(**self._answer())
        self.pipe = threading.Lock()

    def run(self, source: str, limits: Limits, isolation: Isolation) -> Verdict:
        assert self.process.stdin is not None
        request = [source, dataclasses.asdict(limits), dataclasses.asdict(isolation)]
        with self.pipe:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            return Verdict(**self._answer())

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(10)

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            pytest.skip("no Python here that an ordinary user could run the sandbox with")
        answer: dict[str, Any] = json.loads(line)
        return answer


class Box:
    """Runs a piece of Python by one driver, as one user."""

    def __init__(self, driver: str, plain: PlainUser | None) -> None:
        self.driver = driver
        self.plain = plain
        found = plain.isolation if plain else probe()
        have = {"zygote": found.zygote, "bubblewrap": found.level == "bubblewrap", "landlock": found.landlock_abi >= 4}
        if not have[driver]:
            pytest.skip(f"this machine has no {driver}: {found.detail}")
        level = "landlock" if driver == "landlock" else "bubblewrap"
        self.isolation = dataclasses.replace(found, level=level, zygote=driver == "zygote")

    def __call__(self, source: str, limits: Limits | None = None) -> Verdict:
        source, limits = textwrap.dedent(source), limits or Limits()
        if self.plain is not None:
            return self.plain.run(source, limits, self.isolation)
        return run(Program(source), limits, self.isolation)


@pytest.fixture(scope="session")
def plain_user() -> Iterator[PlainUser | None]:
    if os.geteuid() != 0:
        yield None  # all of these tests run as one anyway
        return
    plain = PlainUser()
    yield plain
    plain.close()


VARIANTS = [f"{driver}-ours" for driver in DRIVERS] + [
    pytest.param(f"{driver}-plain", marks=pytest.mark.slow) for driver in DRIVERS
]


@pytest.fixture(params=VARIANTS)
def box(request: pytest.FixtureRequest) -> Box:
    driver, _, user = request.param.partition("-")
    plain = request.getfixturevalue("plain_user") if user == "plain" else None
    if user == "plain" and plain is None:
        pytest.skip("we are an ordinary user already")
    return Box(driver, plain)


@pytest.fixture
def namespaces(box: Box) -> Box:
    """For what only namespaces can hold."""
    if box.driver == "landlock":
        pytest.skip("a matter of namespaces")
    return box


@pytest.fixture
def quick() -> Limits:
    return QUICK
