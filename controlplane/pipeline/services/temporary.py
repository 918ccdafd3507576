"""Postgres and Valkey for the life of one process, in a folder below /tmp that goes with them: for tests and bench."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from controlplane.pipeline.services.accounts import ServiceError
from controlplane.pipeline.services.postgres import Postgres
from controlplane.pipeline.services.server import Server
from controlplane.pipeline.services.valkey import Valkey

ROOT = Path(__file__).resolve().parents[3]
READY_SECONDS = 60


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A short folder below /tmp (a socket's path is limited), passable for the servers' user where we are root."""
    folder = Path(tempfile.mkdtemp(prefix="yard-", dir="/tmp"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def temporary_servers(folder: Path) -> Iterator[tuple[Postgres, Valkey]]:
    """Both servers, ready, not durable. They die with this process. Raises ServiceError if one does not start."""
    postgres, valkey = Postgres(folder / "postgres", durable=False), Valkey(folder / "valkey", durable=False)
    with contextlib.ExitStack() as running:
        for server in (postgres, valkey):
            running.enter_context(started(server))
        yield postgres, valkey


@contextlib.contextmanager
def started(server: Server) -> Iterator[subprocess.Popen[bytes]]:
    """`server` as a child of ours, ready when the block begins and gone when it ends."""
    module = type(server).__module__
    log = server.folder.with_suffix(".log")
    with log.open("ab") as out:
        child = subprocess.Popen(
            [sys.executable, "-m", module, str(server.folder), *([] if server.durable else ["--not-durable"])],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd=ROOT,
            start_new_session=True,  # Ctrl-C is for us: we still talk to it while we tidy up
        )
    try:
        await_ready(server, child, log)
        yield child
    finally:
        child.send_signal(server.death_signal)
        child.wait()


def await_ready(server: Server, child: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not (server.folder.exists() and server.is_ready()):
        if child.poll() is not None or time.monotonic() > deadline:
            said = log.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
            raise ServiceError(f"{type(server).__name__} did not start: {said[-1]}")
        time.sleep(0.03)
