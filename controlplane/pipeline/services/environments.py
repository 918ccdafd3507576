"""Makes the two Python environments, .venv/controlplane and .venv/worker, when their requirements have changed.

`./yard` runs this file with the system's Python before there is any environment: standard library only.
An environment's stamp is written last: one that was interrupted is finished the next time.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
ENVIRONMENTS = ROOT / ".venv"
PURPOSES = ("run", "test", "bench")
PYTHON_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
ERROR_LINES = 15  # of pip's last words: the cause is in there, and it fits a screen
SILENT_SECONDS = 20  # between progress lines where the output is no terminal


@dataclass(frozen=True)
class Step:
    """One pip call. Its parts resolve together; `without_dependencies` is for pins that would contradict each other."""

    files: tuple[str, ...]
    without_dependencies: bool = False

    def arguments(self) -> list[str]:
        named = [part for file in self.files for part in ("-r", str(ROOT / file))]
        return [*(["--no-deps"] if self.without_dependencies else []), *named]


@dataclass(frozen=True)
class Environment:
    name: str
    title: str
    steps: tuple[Step, ...]

    @property
    def folder(self) -> Path:
        return ENVIRONMENTS / self.name

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def stamp(self) -> Path:
        """A file whose name says what is installed: the hash of the requirements' text, the Python and the place."""
        return self.folder / f".installed-{self.digest()}"

    def digest(self) -> str:
        content = hashlib.sha256(f"{PYTHON_VERSION} {self.folder}".encode())
        for step in self.steps:
            for file in step.files:
                content.update((ROOT / file).read_bytes())
        return content.hexdigest()[:16]

    def has_our_python(self) -> bool:
        """Whether this is a working environment of this Python version; its base may be gone or out of reach."""
        config = self.folder / "pyvenv.cfg"
        return os.access(self.python, os.X_OK) and f"version = {PYTHON_VERSION}." in config.read_text()


def environments(purpose: str) -> list[Environment]:
    """Both environments for one of PURPOSES. What tests and benchmarks need comes on top of what a yard needs."""
    tools = ("requirements-dev.txt",) if purpose == "test" else ()
    worker_tools = ("worker/requirements-dev.txt", "worker/requirements-scale.txt") if purpose == "test" else ()
    models = () if purpose == "run" else ("worker/requirements-models.txt",)
    return [
        Environment("controlplane", "the control plane", (Step(("requirements.txt", *tools)),)),
        Environment(
            "worker",
            "the worker (PyTorch and Triton: about 6 GB on disk)",
            (
                Step(("worker/requirements.txt", *worker_tools)),
                Step(("worker/requirements-nodeps.txt", *models), without_dependencies=True),
            ),
        ),
    ]


class Progress:
    """One line on a terminal, rewritten as things move; elsewhere a line now and then."""

    def __init__(self) -> None:
        self.begun = self.said = time.monotonic()
        self.live = sys.stdout.isatty()

    def show(self, doing: str) -> None:
        """Say what is going on; a long silence follows `installing`, so that is always said."""
        line = f"  {time.monotonic() - self.begun:4.0f} s  {doing}"
        if self.live:
            width = os.get_terminal_size().columns - 1
            sys.stdout.write(f"\r\x1b[K{line[:width]}")
        elif doing.startswith("installing") or time.monotonic() - self.said > SILENT_SECONDS:
            self.said = time.monotonic()
            sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    def close(self, how: str) -> None:
        clear = "\r\x1b[K" if self.live else ""
        sys.stdout.write(f"{clear}  {time.monotonic() - self.begun:4.0f} s  {how}\n")
        sys.stdout.flush()


def make(environment: Environment, least: Environment) -> None:
    """Create or update `environment`, of which `least` is the part that running a yard needs.

    Ends the program with pip's own words when pip fails.
    """
    sys.stdout.write(f"Setting up {environment.title}, in {environment.folder.relative_to(ROOT)}\n")
    progress = Progress()
    if not environment.has_our_python():
        progress.show("making the environment")
        run([sys.executable, "-m", "venv", "--clear", str(environment.folder)], progress)
    if not least.stamp.exists():  # what is here was for other requirements, whatever came on top of them
        for stamp in environment.folder.glob(".installed-*"):
            stamp.unlink()
    pip = [str(environment.python), "-m", "pip", "install", "--progress-bar=off", "--no-input"]
    for step in environment.steps:
        run([*pip, "--disable-pip-version-check", *step.arguments()], progress)
    environment.stamp.touch()
    least.stamp.touch()  # with more on top it still serves to run a yard
    progress.close("done")


def run(command: list[str], progress: Progress) -> None:
    kept: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as tool:
        assert tool.stdout is not None
        for doing in activities(tool.stdout, kept):
            progress.show(doing)
    if tool.returncode != 0:
        progress.close("failed")
        errors = [line for line in kept if line.startswith("ERROR")] or kept[-ERROR_LINES:]
        sys.stderr.write("\n".join([*errors[-ERROR_LINES:], ""]))
        raise SystemExit(f"{' '.join(command[1:4])} failed with exit code {tool.returncode}.")


def activities(output: Iterator[str], kept: list[str]) -> Iterator[str]:
    """What pip is doing, in words, from its lines; every line goes to `kept` for the case that it fails."""
    found = 0
    for line in output:
        kept.append(line.rstrip())
        if collecting := re.match(r"\s*Collecting (\S+)", line):
            found += 1
            yield f"{found} packages found, now {collecting[1]}"
        elif loading := re.match(r"\s*(?:Downloading|Using cached) (\S+) \((.+)\)", line):
            yield f"{found} packages found, loading {loading[1].split('/')[-1].split('-')[0]} ({loading[2]})"
        elif line.startswith("Installing collected packages"):
            yield f"installing {line.count(',') + 1} packages"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("purpose", choices=PURPOSES, help="what they are needed for")
    wanted, plain = environments(parser.parse_args().purpose), environments("run")
    if all(environment.stamp.exists() for environment in wanted):
        return
    ENVIRONMENTS.mkdir(exist_ok=True)
    with (ENVIRONMENTS / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second yard waits for the first one's pip
        for environment, least in zip(wanted, plain, strict=True):
            if not environment.stamp.exists():
                make(environment, least)


if __name__ == "__main__":
    main()
