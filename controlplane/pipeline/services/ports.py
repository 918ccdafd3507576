"""Ports of this machine. Those that nobody types are chosen once and kept, so that two yards run side by side."""

from __future__ import annotations

import contextlib
import errno
import json
import socket
import time
from collections.abc import Sequence
from pathlib import Path

from controlplane.pipeline.services.state import write_whole

PORTS_FILE = "ports.json"
TRITON_PORTS = ("TRITON_GRPC_PORT", "TRITON_HTTP_PORT", "TRITON_METRICS_PORT")
LOOPBACK = "127.0.0.1"


def is_free(host: str, port: int, wait_seconds: float = 0) -> bool:
    """Whether a server could listen on host:port now, or within `wait_seconds` (the last one's may be just closing).

    Raises OSError when `host` is no address of this machine or the port is reserved.
    """
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    deadline = time.monotonic() + wait_seconds
    while True:
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(address)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
            else:
                return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.1)


def kept_ports(state_dir: Path, names: Sequence[str]) -> dict[str, int]:
    """A free port for each of `names`: the one used last time, unless someone else has taken it since."""
    kept = read_ports(state_dir)
    ports = {name: kept[name] for name in names if name in kept and is_free(LOOPBACK, kept[name])}
    with contextlib.ExitStack() as held:  # hold each until all are chosen, or the kernel may offer one twice
        for name in [name for name in names if name not in ports]:
            probe = held.enter_context(socket.socket())
            probe.bind((LOOPBACK, 0))
            ports[name] = probe.getsockname()[1]
    write_whole(state_dir / PORTS_FILE, json.dumps(kept | ports))
    return ports


def read_ports(state_dir: Path) -> dict[str, int]:
    file = state_dir / PORTS_FILE
    return dict(json.loads(file.read_text())) if file.exists() else {}


def triton_address(state_dir: Path) -> str:
    """host:port of the embedded Triton's gRPC endpoint; empty before the first `up`."""
    port = read_ports(state_dir).get("TRITON_GRPC_PORT")
    return f"{LOOPBACK}:{port}" if port else ""
