"""Whether an engine answers at its address, found out in seconds.

Ray's client and Spark's would both try for minutes, the first printing pages and the second nothing.
"""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

SECONDS = 10.0


class Unreachable(Exception):
    """`address` holds no credentials."""

    def __init__(self, address: str, detail: str) -> None:
        self.address, self.detail = address, detail
        super().__init__(f"{address}: {detail}")


def knock(url: str, default_port: int) -> str:
    """The address without user, token and parameters, once something accepts a connection there. Raises Unreachable."""
    scheme, _, rest = url.rpartition("://")
    try:
        parts = urlsplit(f"//{rest.split(';')[0]}")
        host, port = parts.hostname or "", parts.port or default_port
    except ValueError as error:
        raise Unreachable("its address", f"it is no host and port: {error}") from error
    address = f"{scheme}://{host}:{port}" if scheme else f"{host}:{port}"
    try:
        socket.create_connection((host, port), timeout=SECONDS).close()
    except OSError as error:
        raise Unreachable(address, error.strerror or str(error)) from error
    return address


def brief(error: BaseException) -> str:
    """The last line of a message that has text: a remote traceback ends with what went wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300]
