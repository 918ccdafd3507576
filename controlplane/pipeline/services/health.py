"""Whether a process does its work, asked from outside: a login, a ping, a page; for the rest, that it stays up."""

from __future__ import annotations

import http.client
from collections.abc import Callable

Probe = Callable[[], bool]


def answers_http(host: str, port: int, path: str, below: int = 500) -> Probe:
    """A probe that asks for `path` and is content with any status under `below`: a redirect to sign-in is an answer."""

    def probe() -> bool:
        connection = http.client.HTTPConnection(host, port, timeout=2)
        try:
            connection.request("GET", path, headers={"Host": "localhost"})
            return connection.getresponse().status < below
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return probe
