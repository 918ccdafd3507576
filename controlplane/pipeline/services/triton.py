"""The embedded Triton: the tritonserver binary of nvidia-pytriton's wheel, on a plain model repository.

Two settings look optional and are not (seen with 2.51 and Python 3.11). LD_LIBRARY_PATH must name the folder of
the worker's own libpython, else the Python backend loads the system's under another standard library, or does not
start. And the worker environment must come first on PATH: the backend's process runs the first python3 it finds there.

A model that does not load neither stops the server (exit-on-error=false) nor makes it unready
(strict-readiness=false).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from controlplane.pipeline.services.accounts import ServiceError
from controlplane.pipeline.services.ports import LOOPBACK

DEFAULT_PORTS = {"TRITON_GRPC_PORT": 8001, "TRITON_HTTP_PORT": 8000, "TRITON_METRICS_PORT": 8002}
EXIT_SECONDS = 5  # for running completions at SIGTERM; Triton's default of 30 keeps the ports busy for a restart
UNLOADED = "unloaded"  # worker.serving.repository: taken out of service by somebody
# Models are programs: they get no way into the control plane's own servers.
WITHHELD = {"DATABASE_URL", "REDIS_URL", "SECRET_KEY", "SECRET_KEY_FILE"}
ASK = """
import importlib.metadata, json, sys, sysconfig
print(json.dumps({
    "packages": sysconfig.get_path("purelib"), "libraries": sysconfig.get_config_var("LIBDIR"),
    "python": "%d.%d" % sys.version_info[:2], "version": importlib.metadata.version("nvidia-pytriton")}))
"""


@dataclass(frozen=True)
class Launch:
    """What to hand to execve."""

    argv: list[str]
    environment: dict[str, str]


@dataclass(frozen=True)
class Wheel:
    """Where the worker keeps Triton. `packages`: its site-packages; `libraries`: the folder of its libpython."""

    packages: Path
    libraries: Path
    python: str
    version: str

    @property
    def server(self) -> Path:
        return self.packages / "pytriton" / "tritonserver"


@dataclass(frozen=True)
class Triton:
    """`folder` holds the runtime, `repository` the models; `worker_python` is the interpreter that models run under."""

    folder: Path
    repository: Path
    worker_python: Path

    def prepare(self, environment: Mapping[str, str]) -> Launch:
        """Make the runtime folder. Raises ServiceError when the wheel is missing or a port is no number."""
        wheel = self._wheel()
        self.repository.mkdir(parents=True, exist_ok=True)
        backends = self._backends(wheel)
        return Launch(self._argv(wheel, backends, _ports(environment)), self._environment(wheel, environment))

    def deployed(self) -> Iterator[str]:
        """Served names that a start brings back: with a configuration and a version, not taken out of service."""
        for config in sorted(self.repository.glob("*/config.pbtxt")):
            versions = [path for path in config.parent.iterdir() if path.name.isdigit()]
            if versions and not (config.parent / UNLOADED).exists():
                yield config.parent.name

    def _wheel(self) -> Wheel:
        try:
            done = subprocess.run(
                [str(self.worker_python), "-c", ASK], capture_output=True, text=True, check=True, timeout=60
            )
        except (OSError, subprocess.SubprocessError) as error:
            detail = (getattr(error, "stderr", "") or str(error)).strip().splitlines()[-1]
            raise ServiceError(f"Triton needs the worker environment at {self.worker_python}: {detail}") from error
        raw = json.loads(done.stdout)
        return Wheel(Path(raw["packages"]), Path(raw["libraries"]), raw["python"], raw["version"])

    def _backends(self, wheel: Wheel) -> Path:
        """The Python backend with the stub of the worker's Python version beside it, where the server looks for it."""
        target = self.folder / f"backends-{wheel.version}-{wheel.python}"
        if target.exists():
            return target
        source = wheel.server / "backends" / "python"
        stub = wheel.server / "python_backend_stubs" / wheel.python / "triton_python_backend_stub"
        if not stub.exists():
            raise ServiceError(f"nvidia-pytriton {wheel.version} has no stub for Python {wheel.python}.")
        draft = target.with_name(f"{target.name}.{os.getpid()}.partial")
        (draft / "python").mkdir(parents=True)
        for file in (source / "libtriton_python.so", source / "triton_python_backend_utils.py", stub):
            shutil.copy2(file, draft / "python")
        draft.rename(target)
        return target

    def _argv(self, wheel: Wheel, backends: Path, ports: Mapping[str, int]) -> list[str]:
        addresses = [f"--{name}-address={LOOPBACK}" for name in ("http", "grpc", "metrics")]
        listening = [f"--{name}-port={ports[f'TRITON_{name.upper()}_PORT']}" for name in ("http", "grpc", "metrics")]
        return [
            str(wheel.server / "bin" / "tritonserver"),
            f"--model-repository={self.repository}",
            f"--backend-directory={backends}",
            f"--cache-directory={wheel.server / 'caches'}",
            "--model-control-mode=explicit",
            *(f"--load-model={name}" for name in self.deployed()),
            *addresses,
            *listening,
            "--allow-gpu-metrics=false",
            "--strict-readiness=false",
            "--exit-on-error=false",
            f"--exit-timeout-secs={EXIT_SECONDS}",
        ]

    def _environment(self, wheel: Wheel, environment: Mapping[str, str]) -> dict[str, str]:
        ours = {name: value for name, value in environment.items() if name not in WITHHELD}
        # A path of the control plane's would reach into the models' processes, which bring their own code.
        ours.pop("PYTHONPATH", None)
        libraries = [str(wheel.packages / "nvidia_pytriton.libs"), str(wheel.libraries)]
        ours["LD_LIBRARY_PATH"] = os.pathsep.join([*libraries, *filter(None, [environment.get("LD_LIBRARY_PATH")])])
        ours["PATH"] = os.pathsep.join([str(self.worker_python.parent), environment.get("PATH", os.defpath)])
        return ours | {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}


def _ports(environment: Mapping[str, str]) -> dict[str, int]:
    ports = {}
    for name, default in DEFAULT_PORTS.items():
        raw = environment.get(name) or str(default)
        if not raw.isdigit():
            raise ServiceError(f"{name} must be a port number, not {raw!r}.")
        ports[name] = int(raw)
    return ports
