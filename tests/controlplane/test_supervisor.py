"""The supervisor with small real processes, and the files it is told by and tells with."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from controlplane.pipeline.services import environments, locks, logs, ports, status, supervisor
from controlplane.pipeline.services.accounts import ServiceError
from controlplane.pipeline.services.child import Child
from controlplane.pipeline.services.procfile import Entry, read_procfile
from controlplane.pipeline.services.startup import Address, child_environment, names_of, processes
from controlplane.pipeline.services.state import LOCK_FILE, YardState, is_running, read_state
from controlplane.pipeline.services.supervisor import Stopped, Supervisor

ROOT = Path(__file__).resolve().parents[2]
# A process with a child of its own in the same session, as an rqworker has its work horse.
WITH_HORSE = "sleep 600 & echo $! > horse; wait"
STUBBORN = "trap '' TERM; touch stubborn; while :; do sleep 0.05; done"
# Supervises one process that has a child, and says when it is up.
SUPERVISING = """
import os, sys
from pathlib import Path
from controlplane.pipeline.services.child import Child
from controlplane.pipeline.services.supervisor import Supervisor
folder = Path(sys.argv[1])
child = Child("one", "sleep", ["sleep", "600"], os.environ, folder, folder / "one.log")
with Supervisor(folder, "http://x", os.getpid(), print) as supervisor:
    supervisor.start([child])
    print(child.process.pid, flush=True)
    supervisor.run()
"""


def shell(folder: Path, name: str, script: str) -> Child:
    return Child(name, script, ["sh", "-c", script], os.environ, folder, folder / f"{name}.log")


def tend_until(yard: Supervisor, condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "gave up waiting"
        yard.tend(pause=0.02)


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def await_gone(pid: int) -> None:
    deadline = time.monotonic() + 30
    while not is_gone(pid):
        assert time.monotonic() < deadline, f"{pid} lives on"
        time.sleep(0.01)


def pid_of(child: Child) -> int:
    assert child.process is not None
    return child.process.pid


def state_of(folder: Path) -> YardState:
    state = read_state(folder)
    assert state is not None
    return state


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def yard(tmp_path: Path, said: list[str]) -> Iterator[Supervisor]:
    with Supervisor(tmp_path, "http://127.0.0.1:8000", os.getpid(), said.append) as running:
        yield running


def test_a_killed_process_is_started_again_and_the_restart_is_reported(
    yard: Supervisor, tmp_path: Path, said: list[str]
) -> None:
    worker = shell(tmp_path, "worker", "sleep 600")
    yard.start([worker])
    first = pid_of(worker)
    os.kill(first, signal.SIGKILL)
    tend_until(yard, lambda: worker.restarts == 1)
    (reported,) = state_of(tmp_path).processes
    assert (reported.name, reported.restarts, reported.last_exit) == ("worker", 1, "signal 9")
    assert reported.pid == pid_of(worker) != first
    assert "worker ended (signal 9)" in said[0]


def test_a_process_that_stays_up_is_reported_healthy(yard: Supervisor, tmp_path: Path) -> None:
    yard.start([shell(tmp_path, "worker", "sleep 600")])
    assert not state_of(tmp_path).processes[0].healthy
    yard.await_healthy({"worker"}, 30)
    assert state_of(tmp_path).processes[0].healthy


def test_what_a_killed_process_leaves_behind_is_killed_before_the_next_one_starts(
    yard: Supervisor, tmp_path: Path
) -> None:
    worker = shell(tmp_path, "worker", WITH_HORSE)
    yard.start([worker])
    tend_until(yard, lambda: (tmp_path / "horse").exists() and (tmp_path / "horse").read_text().endswith("\n"))
    horse = int((tmp_path / "horse").read_text())
    os.kill(pid_of(worker), signal.SIGKILL)
    tend_until(yard, lambda: worker.restarts == 1)
    await_gone(horse)


def test_pauses_between_restarts_grow(yard: Supervisor, tmp_path: Path) -> None:
    broken = shell(tmp_path, "broken", "exit 3")
    yard.start([broken])
    pauses = []
    for restarts in (1, 2):
        tend_until(yard, lambda wanted=restarts: broken.restarts == wanted)
        pauses.append(broken.pause)
    assert pauses == sorted(pauses)
    assert pauses[1] > pauses[0]
    assert broken.last_exit == "exit 3"


def test_a_process_that_cannot_start_is_one_line_with_its_last_words(
    yard: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "FAILED_STARTS", 1)
    yard.start([shell(tmp_path, "web", "echo 'no module named web' >&2; exit 1")])
    with pytest.raises(ServiceError, match=r"web does not start: no module named web \(all of it: .*web\.log\)"):
        yard.await_healthy({"web"}, 30)


def test_ctrl_c_stops_everything_users_first_and_servers_last(tmp_path: Path, said: list[str]) -> None:
    logged = "trap 'echo {0} >> order; exit' TERM INT; while :; do sleep 0.02; done"
    with Supervisor(tmp_path, "", os.getpid(), said.append) as yard:
        yard.start(
            [
                shell(tmp_path, name, "touch up-$0; ".replace("$0", name) + logged.format(name))
                for name in ("postgres", "web")
            ]
        )
        tend_until(yard, lambda: (tmp_path / "up-postgres").exists() and (tmp_path / "up-web").exists())
        pids = [pid_of(child) for child in yard.children]
        signal.raise_signal(signal.SIGINT)
        yard.run()
    assert (tmp_path / "order").read_text().split() == ["web", "postgres"]
    assert all(is_gone(pid) for pid in pids)
    assert state_of(tmp_path).phase == "stopped"
    assert all(process.pid is None for process in state_of(tmp_path).processes)


def test_a_second_ctrl_c_kills_what_does_not_want_to_stop(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "GRACE_SECONDS", 600)
    with Supervisor(tmp_path, "", os.getpid(), said.append) as yard:
        stubborn = shell(tmp_path, "stubborn", STUBBORN)
        yard.start([stubborn])
        tend_until(yard, (tmp_path / "stubborn").exists)
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(Stopped):
            yard.tend(pause=5)
        signal.raise_signal(signal.SIGINT)
    assert stubborn.last_exit == "signal 9"


def test_kill_9_of_the_supervisor_leaves_nothing_running(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SUPERVISING, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        child = int(running.stdout.readline())
        running.kill()
    await_gone(child)


def test_the_status_page_is_told_what_the_supervisor_knows(tmp_path: Path, settings: Any) -> None:
    settings.STATE_DIR = tmp_path
    assert status.processes() == []
    lock = locks.take(tmp_path / LOCK_FILE)
    with Supervisor(tmp_path, "", os.getpid(), print) as yard:
        yard.start([shell(tmp_path, "worker", "sleep 600"), shell(tmp_path, "broken", "exit 2")])
        yard.await_healthy({"worker"}, 30)
        tend_until(yard, lambda: yard.children[1].process is None)
        worker, broken = status.processes()
        assert (worker.name, worker.state, worker.restarts) == ("worker", "ready", 0)
        assert (broken.name, broken.state, broken.last_exit) == ("broken", "crashed", "exit 2")
    os.close(lock)
    assert status.processes() == []


def test_a_dead_supervisor_does_not_count_as_running(tmp_path: Path) -> None:
    assert not is_running(tmp_path)
    (tmp_path / "up.lock").touch()
    assert not is_running(tmp_path)


def test_a_log_that_has_grown_large_is_set_aside_and_its_writer_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "web.log"
    with logs.open_log(file) as writer:
        writer.write(b"x" * 100)
        writer.flush()
        assert logs.rotate(file, largest_bytes=50)
        writer.write(b"after\n")
    assert file.read_text() == "after\n"
    assert (tmp_path / "web.log.1").read_text() == "x" * 100


def test_the_procfile_of_this_project_can_be_read() -> None:
    names = [entry.name for entry in read_procfile(ROOT / "Procfile")]
    assert names[:3] == ["postgres", "valkey", "web"]
    assert {"triton", "reconciler", "conductor", "worker-cpu", "worker-gpu"} <= set(names)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("web: a\nnonsense\n", "line 2: expected `name: command`"),
        ("web: a\nweb: b\n", "line 2: there is a process 'web' already"),
    ],
)
def test_a_faulty_procfile_line_is_named_by_its_number(tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "Procfile"
    file.write_text(text)
    with pytest.raises(ServiceError, match=complaint):
        read_procfile(file)


def test_procfile_words_are_split_and_filled_in_without_a_shell() -> None:
    entry = Entry("web", "serve --port $PORT 'two words' ;")
    assert entry.argv({"PORT": "1; rm -rf"}) == ["serve", "--port", "1; rm -rf", "two words", ";"]
    with pytest.raises(ServiceError, match=r"web needs \$PORT"):
        entry.argv({})


def test_ports_are_kept_until_someone_else_takes_them(tmp_path: Path) -> None:
    first = ports.kept_ports(tmp_path, ["A", "B"])
    assert ports.kept_ports(tmp_path, ["A", "B"]) == first
    with socket.create_server(("127.0.0.1", first["A"])):
        second = ports.kept_ports(tmp_path, ["A", "B"])
    assert second["A"] != first["A"]
    assert second["B"] == first["B"]


@pytest.mark.parametrize(
    ("given", "left_out"),
    [("DATABASE_URL", "postgres"), ("REDIS_URL", "valkey"), ("TRITON_URL", "triton")],
)
def test_what_the_operator_brings_is_not_started(given: str, left_out: str) -> None:
    names = {child.name for child in processes(Address("127.0.0.1", 8000), {given: "theirs:1"})}
    assert left_out not in names
    assert names | {left_out} == {entry.name for entry in read_procfile(ROOT / "Procfile")}


def test_every_process_is_told_where_triton_is() -> None:
    told = child_environment(Address("127.0.0.1", 8000), {}, {"TRITON_GRPC_PORT": 4001})
    assert (told["TRITON_URL"], told["TRITON_GRPC_PORT"], told["PORT"]) == ("127.0.0.1:4001", "4001", "8000")


def test_listening_on_every_address_allows_this_machines_names_but_not_any_name() -> None:
    allowed = list(names_of("0.0.0.0"))
    assert socket.gethostname() in allowed
    assert "127.0.0.1" in allowed
    assert "*" not in allowed


def test_a_taken_port_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "manage.py", "up", "--port", str(port)]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr == f"CommandError: Port {port} is taken. Choose another one: ./yard up --port {port + 1}\n"


def test_a_missing_python_is_one_clear_line() -> None:
    environment = os.environ | {"PYTHON": "/nowhere/python"}
    ended = subprocess.run(["./yard", "up"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith("yard: needs Python 3.11")
    assert ended.stderr.count("\n") == 1


def test_an_environment_is_made_anew_when_a_requirement_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environments, "ROOT", tmp_path)
    (tmp_path / "requirements.txt").write_text("Django==5.2\n")
    environment = environments.Environment("x", "x", (environments.Step(("requirements.txt",)),))
    before = environment.stamp
    (tmp_path / "requirements.txt").write_text("Django==5.3\n")
    assert environment.stamp != before


def test_what_tests_and_benchmarks_need_comes_on_top_of_what_a_yard_needs() -> None:
    for purpose in environments.PURPOSES:
        for whole, least in zip(environments.environments(purpose), environments.environments("run"), strict=True):
            files = [file for step in whole.steps for file in step.files]
            assert {file for step in least.steps for file in step.files} <= set(files)
            assert all((ROOT / file).exists() for file in files)


def test_pips_noise_is_hidden_and_its_errors_are_shown(capfd: pytest.CaptureFixture[str]) -> None:
    script = "print('Collecting a'); print('noise'); print('ERROR: no such package'); raise SystemExit(1)"
    with pytest.raises(SystemExit, match="failed with exit code 1"):
        environments.run([sys.executable, "-c", script], environments.Progress())
    shown = capfd.readouterr()
    assert shown.err == "ERROR: no such package\n"
    assert "noise" not in shown.out


def test_pip_lines_become_progress_in_words() -> None:
    output = [
        "Collecting torch==2.13.0 (from -r worker/requirements.txt (line 6))\n",
        "  Downloading https://example.org/torch-2.13.0-cp311.whl (150.1 MB)\n",
        "Installing collected packages: a, b, c\n",
    ]
    assert list(environments.activities(iter(output), [])) == [
        "1 packages found, now torch==2.13.0",
        "1 packages found, loading torch (150.1 MB)",
        "installing 3 packages",
    ]
