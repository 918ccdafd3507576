"""From a state folder to a running yard: which processes, in which environment, asked how they are.

It needs Django's settings but no model; the order, the sign-in link and the first model are the `up` command's.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
from django.conf import settings

from controlplane.pipeline.services.child import Child
from controlplane.pipeline.services.health import Probe, answers_http
from controlplane.pipeline.services.ports import LOOPBACK, TRITON_PORTS, kept_ports
from controlplane.pipeline.services.postgres import Postgres
from controlplane.pipeline.services.procfile import Entry, read_procfile
from controlplane.pipeline.services.valkey import Valkey

REPLACED_BY = {"postgres": "DATABASE_URL", "valkey": "REDIS_URL", "triton": "TRITON_URL"}
REPLACEMENTS = (*REPLACED_BY.values(), "STORAGE_URL")
EVERY_ADDRESS = {"0.0.0.0", "::"}  # noqa: S104 (only asked for, never a default)


@dataclass(frozen=True)
class Address:
    host: str
    port: int

    @property
    def reached_by(self) -> str:
        """A host that a client on this machine can connect to."""
        return LOOPBACK if self.host in EVERY_ADDRESS else self.host

    @property
    def url(self) -> str:
        host = f"[{self.reached_by}]" if ":" in self.reached_by else self.reached_by
        return f"http://{host}:{self.port}"


def replaced_parts(environment: Mapping[str, str]) -> list[str]:
    """The variables that put something of the operator's own in the place of an embedded part."""
    return [name for name in REPLACEMENTS if environment.get(name)]


def processes(address: Address, environment: Mapping[str, str]) -> list[Child]:
    """The Procfile's processes, without those that `environment` replaces. Raises ServiceError for a bad file."""
    entries = read_procfile(settings.BASE_DIR / "Procfile")
    wanted = [entry for entry in entries if not environment.get(REPLACED_BY.get(entry.name, ""))]
    ports = {} if environment.get("TRITON_URL") else kept_ports(settings.STATE_DIR, TRITON_PORTS)
    ours = child_environment(address, environment, ports)
    probes = probes_by_name(address, ports)
    return [child(entry, ours, probes.get(entry.name)) for entry in wanted]


def child(entry: Entry, environment: Mapping[str, str], probe: Probe | None) -> Child:
    log = settings.STATE_DIR / "log" / f"{entry.name}.log"
    argv = entry.argv(environment)
    stop_signal = Postgres.death_signal if entry.name == "postgres" else Valkey.death_signal
    return Child(entry.name, entry.command, argv, environment, settings.BASE_DIR, log, probe, stop_signal)


def child_environment(address: Address, environment: Mapping[str, str], ports: Mapping[str, int]) -> dict[str, str]:
    """Ours, with this environment's programs first on the path and the addresses that were chosen."""
    ours = dict(environment)
    ours["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", os.defpath)])
    ours |= {"HOST": address.host, "PORT": str(address.port), "PYTHONUNBUFFERED": "1"}
    ours |= {name: str(port) for name, port in ports.items()}
    if ports:
        ours["TRITON_URL"] = f"{LOOPBACK}:{ports['TRITON_GRPC_PORT']}"
    if not environment.get("ALLOWED_HOSTS") and not settings.PRODUCTION:
        ours["ALLOWED_HOSTS"] = ",".join(dict.fromkeys([*settings.ALLOWED_HOSTS, *names_of(address.host)]))
    return ours


def names_of(host: str) -> Iterator[str]:
    """The Host headers that a request to `host` may carry: for all addresses, each of this machine's and its name.

    Never `*`: that would let any web page reach a laptop's yard by a DNS name that it points there.
    """
    if host not in EVERY_ADDRESS:
        yield f"[{host}]" if ":" in host else host
        return
    yield socket.gethostname()
    for addresses in psutil.net_if_addrs().values():
        for found in addresses:
            if found.family == socket.AF_INET:
                yield found.address
            elif found.family == socket.AF_INET6:
                yield f"[{found.address.split('%')[0]}]"


def probes_by_name(address: Address, ports: Mapping[str, int]) -> dict[str, Probe]:
    probes = {
        "postgres": Postgres(settings.POSTGRES_DIR).is_ready,
        "valkey": Valkey(settings.VALKEY_DIR).is_ready,
        "web": answers_http(address.reached_by, address.port, "/healthz"),
    }
    if ports:
        probes["triton"] = answers_http(LOOPBACK, ports["TRITON_HTTP_PORT"], "/v2/health/live", below=300)
    return probes
