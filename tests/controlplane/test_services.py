"""The embedded servers, as real processes: what survives a kill, and what a start cleans up."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from controlplane.pipeline.services import accounts, layout
from controlplane.pipeline.services.accounts import Account, ServiceError
from controlplane.pipeline.services.postgres import Postgres, clear_stale_locks
from controlplane.pipeline.services.temporary import started, temporary_folder
from controlplane.pipeline.services.valkey import Valkey

ROOT = Path(__file__).resolve().parents[2]
POSTGRES = "controlplane.pipeline.services.postgres"
AS_ROOT = os.getuid() == 0
# A parent that starts a server and does nothing more: the supervisor's part when it is killed.
PARENT = f"""
import sys, time
from pathlib import Path
from controlplane.pipeline.services.temporary import started
from {POSTGRES} import Postgres
with started(Postgres(Path(sys.argv[1]))) as child:
    print(child.pid, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def state() -> Iterator[Path]:
    """Short, and open to the servers' user as pytest's own tmp_path is not."""
    with temporary_folder() as folder:
        yield folder


def await_that(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "gave up waiting"
        time.sleep(0.01)


def is_gone(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    return True


def start_module(folder: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", POSTGRES, str(folder), "--not-durable", *options]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True)


def start_parent(folder: Path) -> tuple[subprocess.Popen[str], int]:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    return parent, int(parent.stdout.readline())


def test_an_initdb_killed_halfway_leaves_nothing_half_made(state: Path) -> None:
    server = Postgres(state / "postgres", durable=False)
    starter = start_module(server.folder)
    await_that((server.folder / "data.new" / "PG_VERSION").exists)
    os.killpg(starter.pid, signal.SIGKILL)
    starter.wait()
    assert not server.data.exists()
    with started(server):
        assert server.is_ready()


def test_three_starters_at_once_end_with_one_server(state: Path) -> None:
    server = Postgres(state / "postgres", durable=False)
    starters = [start_module(server.folder, "--patience", "0") for _ in range(3)]
    await_that(lambda: sum(starter.poll() is not None for starter in starters) == 2)
    await_that(server.is_ready)
    (running,) = [starter for starter in starters if starter.poll() is None]
    refused = [starter for starter in starters if starter is not running]
    assert all("already running" in starter.communicate()[1] for starter in refused)
    running.send_signal(server.death_signal)
    assert running.wait() == 0
    assert running.stderr is not None
    running.stderr.close()


def test_rows_are_there_after_kill_9_of_server_and_parent(state: Path) -> None:
    server = Postgres(state / "postgres")
    parent, pid = start_parent(server.folder)
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        for victim in (parent.pid, pid):
            os.kill(victim, signal.SIGKILL)
    with started(server), psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
    parent.communicate()


def test_a_server_does_not_outlive_its_parent(state: Path) -> None:
    parent, pid = start_parent(state / "postgres")
    parent.kill()
    parent.communicate()
    await_that(lambda: is_gone(pid))


def test_rings_are_there_after_kill_9_of_valkey(state: Path) -> None:
    server = Valkey(state / "valkey")
    with started(server) as child:
        client = redis.Redis.from_url(server.url)
        client.rpush("bell", "rung")
        await_that(lambda: client.info("persistence")["aof_pending_bio_fsync"] == 0)
        child.kill()
        child.wait()
    with started(server):
        assert redis.Redis.from_url(server.url).lrange("bell", 0, -1) == [b"rung"]


def test_the_pid_of_a_stranger_or_of_a_zombie_does_not_keep_a_server_from_starting(state: Path) -> None:
    server = Postgres(state / "postgres", durable=False)
    server.data.mkdir(parents=True)
    server.sockets.mkdir()
    lock = server.sockets / ".s.PGSQL.5432.lock"
    zombie = subprocess.Popen(["true"])
    await_that(lambda: psutil.Process(zombie.pid).status() == psutil.STATUS_ZOMBIE)
    for pid in (os.getpid(), zombie.pid):
        (server.data / "postmaster.pid").write_text(f"{pid}\n{server.data}\n")
        lock.write_text(f"{pid}\n")
        clear_stale_locks(server)
        assert not (server.data / "postmaster.pid").exists()
        assert not lock.exists()
    zombie.wait()


def test_a_postgres_that_someone_else_runs_on_the_folder_is_left_alone(state: Path) -> None:
    server = Postgres(state / "postgres", durable=False)
    server.data.mkdir(parents=True)
    theirs = subprocess.Popen(["sleep", "60"], cwd=server.data)
    (server.data / "postmaster.pid").write_text(f"{theirs.pid}\n")
    with pytest.raises(ServiceError, match="did not start is running"):
        clear_stale_locks(server)
    assert (server.data / "postmaster.pid").exists()
    theirs.kill()
    theirs.wait()


def test_a_server_is_its_users_alone_never_roots_and_on_no_port(state: Path) -> None:
    server = Valkey(state / "valkey", durable=False)
    with started(server) as child:
        process = psutil.Process(child.pid)
        expected = pwd.getpwnam("nobody").pw_uid if AS_ROOT else os.getuid()
        assert process.uids().real == expected
        assert process.net_connections(kind="inet") == []
        assert stat.S_IMODE(server.folder.stat().st_mode) == 0o700
        assert server.folder.stat().st_uid == expected


def test_a_login_without_the_password_is_refused() -> None:
    url = os.environ["DATABASE_URL"]
    before, _, after = url.partition("@")
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(f"{before.rpartition(':')[0]}:wrong@{after}")


def test_a_deep_checkout_gets_a_short_socket_folder() -> None:
    assert layout.socket_dir(Path("/srv/yard")) == Path("/srv/yard/sock")
    deep = layout.socket_dir(Path("/srv") / ("d" * 120))
    assert str(deep).startswith(f"/tmp/yard-{os.getuid()}-")
    assert deep != layout.socket_dir(Path("/srv") / ("e" * 120))


def test_a_secret_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "secrets" / "key"
    assert layout.kept_secret(file) == layout.kept_secret(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(file.parent.iterdir()) == [file]


def test_a_folder_that_another_user_made_first_is_refused(state: Path) -> None:
    trap = state / "trap"
    trap.symlink_to(state)
    with pytest.raises(ServiceError, match="belongs to another user"):
        accounts.own_folder(trap, None)


@pytest.mark.skipif(not AS_ROOT, reason="only root's servers run as another user")
def test_a_yard_below_roots_home_keeps_its_servers_data_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "SYSTEM_STATE", tmp_path / "system")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    chosen = layout.services_dir(closed / "var")
    assert chosen.parent == tmp_path / "system"
    assert chosen == layout.services_dir(closed / "var")
    shutil.rmtree(closed / "var")
    assert chosen != layout.services_dir(closed / "var")


@pytest.mark.skipif(not AS_ROOT, reason="only root's servers run as another user")
def test_programs_out_of_reach_of_the_servers_user_are_copied_beside_their_libraries(state: Path) -> None:
    closed = state / "venv"
    for name in ("server", "server.libs"):
        (closed / name).mkdir(parents=True)
        (closed / name / "file").write_text(name)
    closed.chmod(0o700)
    nobody = pwd.getpwnam("nobody")
    copy = accounts.reachable_copy(
        [closed / "server", closed / "server.libs"], state / "copies", Account(nobody.pw_uid, nobody.pw_gid)
    )
    assert (copy / "file").read_text() == "server"
    assert (copy.parent / "server.libs" / "file").read_text() == "server.libs"
    assert layout.closed_parent(copy / "file") is None
