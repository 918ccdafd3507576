"""Each test of the attack list runs at every level of isolation that this machine has."""

from __future__ import annotations

import dataclasses
import textwrap

import pytest

from worker.sandbox import Isolation, Limits, Program, Verdict, probe, run

QUICK = Limits(cpu_seconds=0.8, wall_seconds=1.5)


class Box:
    """Runs a piece of Python at one level."""

    def __init__(self, isolation: Isolation) -> None:
        self.isolation = isolation

    def __call__(self, source: str, limits: Limits | None = None) -> Verdict:
        return run(Program(textwrap.dedent(source)), limits or Limits(), self.isolation)


@pytest.fixture(params=["bubblewrap", "landlock"])
def box(request: pytest.FixtureRequest) -> Box:
    found = probe()
    if found.level == "none" or (request.param == "bubblewrap" and found.level != "bubblewrap"):
        pytest.skip(f"this machine has no {request.param}: {found.detail}")
    if request.param == "landlock" and found.landlock_abi < 4:
        pytest.skip(f"Landlock ABI {found.landlock_abi}")
    return Box(dataclasses.replace(found, level=request.param))


@pytest.fixture
def namespaces(box: Box) -> Box:
    """For what only namespaces can hold."""
    if box.isolation.level != "bubblewrap":
        pytest.skip("a matter of namespaces")
    return box


@pytest.fixture
def quick() -> Limits:
    return QUICK
