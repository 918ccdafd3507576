"""`./yard up` as someone at a terminal sees it: the real Procfile, a fresh state folder, and the signals they send."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from controlplane.pipeline.services.ports import kept_ports
from controlplane.pipeline.services.state import ProcessState, read_state
from controlplane.pipeline.services.temporary import temporary_folder

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = {"DJANGO_SETTINGS_MODULE": "controlplane.settings"}


@pytest.fixture
def state() -> Iterator[Path]:
    with temporary_folder() as folder:
        yield folder


def command(state: Path) -> tuple[list[str], dict[str, str]]:
    """An `up` with servers of its own. A Triton of someone else's is named: starting one is another test's business."""
    kept = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL"}}
    port = kept_ports(state, ["WEB"])["WEB"]
    environment = kept | SETTINGS | {"YARD_STATE": str(state), "TRITON_URL": "127.0.0.1:1"}
    return [sys.executable, "manage.py", "up", "--no-demo", "--port", str(port)], environment


@contextmanager
def running(state: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The supervisor, ready, and the sign-in link that it printed."""
    argv, environment = command(state)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(argv, cwd=ROOT, env=environment, text=True, start_new_session=True, **pipes) as up:
        try:
            assert up.stdout is not None
            said = []
            for line in up.stdout:
                said.append(line)
                if line.strip().startswith("http"):
                    break
            else:
                pytest.fail("".join(said))
            yield up, line.strip()
        finally:
            up.kill()


def process(state: Path, name: str) -> ProcessState:
    yard = read_state(state)
    assert yard is not None
    return next(found for found in yard.processes if found.name == name)


def pids(state: Path) -> list[int]:
    yard = read_state(state)
    assert yard is not None
    return [found.pid for found in yard.processes if found.pid]


def await_that(condition: Callable[[], bool], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "gave up waiting"
        time.sleep(0.05)


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.slow
def test_up_prints_a_link_repairs_what_is_killed_and_stops_at_ctrl_c(state: Path) -> None:
    with running(state) as (up, link):
        assert "/sign-in/once/" in link
        argv, environment = command(state)
        second = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        assert second.stdout.startswith("Already running at http://127.0.0.1:")
        await_that(lambda: len(pids(state)) >= 5)
        for name in ("postgres", "web"):
            victim = process(state, name).pid
            assert victim is not None
            os.kill(victim, signal.SIGKILL)
        for name in ("postgres", "web"):
            await_that(lambda name=name: process(state, name).restarts == 1 and process(state, name).healthy)
        everything = pids(state)
        up.send_signal(signal.SIGINT)
        assert up.wait() == 0
        assert all(is_gone(pid) for pid in everything)


@pytest.mark.slow
def test_kill_9_of_up_leaves_nothing_running_and_the_next_one_starts(state: Path) -> None:
    with running(state) as (up, _):
        everything = pids(state)
        up.kill()
        up.wait()
        await_that(lambda: all(is_gone(pid) for pid in everything))
    with running(state) as (up, link):
        assert "/sign-in/once/" in link
        up.send_signal(signal.SIGINT)
        assert up.wait() == 0
