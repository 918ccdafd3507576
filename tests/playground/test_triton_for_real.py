"""The whole serving path on the real server: deploy, stream, cancel, a killed model process, a restart."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from django.conf import settings

from controlplane.pipeline.services.ports import kept_ports
from playground_app.completions import CompletionRequest
from playground_app.triton import Triton

pytestmark = pytest.mark.slow
PORTS = ("TRITON_GRPC_PORT", "TRITON_HTTP_PORT", "TRITON_METRICS_PORT")
CODE = CompletionRequest(prompt="def add(a, b):", max_tokens=8, temperature=0.0)


class Yard:
    """A real server of our own, as the supervisor starts it, and the deploy stage by hand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.ports = kept_ports(folder, PORTS)
        self.url = f"127.0.0.1:{self.ports['TRITON_GRPC_PORT']}"
        self.environment = {**os.environ, **{name: str(port) for name, port in self.ports.items()}}
        self.environment |= {"YARD_STATE": str(folder), "TRITON_URL": self.url, "STORAGE_URL": str(folder / "storage")}
        self.environment["TRITON_MODEL_REPOSITORY"] = str(folder / "models")

    def start(self) -> None:
        log = (self.folder / "triton.log").open("ab")
        argv = [sys.executable, "manage.py", "triton"]
        self.server = subprocess.Popen(argv, cwd=settings.BASE_DIR, env=self.environment, stdout=log, stderr=log)

    def stop(self) -> None:
        self.server.terminate()
        try:
            self.server.wait(30)
        except subprocess.TimeoutExpired:
            self.server.kill()
            self.server.wait()

    def make_model(self) -> Path:
        model = self.folder / "model"
        self.worker("tests.worker.serving.tiny_model", str(model))
        return model

    def deploy(self, model: Path, **changes: object) -> dict[str, object]:
        job = self.folder / "job"
        job.mkdir(exist_ok=True)
        spec = {"model": {"uri": str(model), "sha256": "0" * 64}, "served_name": "tiny", "quantise": "int8", **changes}
        (job / "spec.json").write_text(json.dumps(spec))
        self.worker("worker", "deploy_model", str(job))
        summary: dict[str, object] = json.loads((job / "manifest.json").read_text())["summary"]
        return summary

    def worker(self, *arguments: str) -> None:
        argv = [str(settings.WORKER_PYTHON), "-m", *arguments]
        done = subprocess.run(argv, cwd=settings.BASE_DIR, env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]

    def counted(self, outcome: str) -> float:
        url = f"http://127.0.0.1:{self.ports['TRITON_METRICS_PORT']}/metrics"
        lines = urllib.request.urlopen(url).read().decode().splitlines()
        wanted = [line for line in lines if line.startswith("modelyard_completions_total") and f'"{outcome}"' in line]
        return sum(float(line.rsplit(" ", 1)[1]) for line in wanted)

    def model_process(self) -> psutil.Process:
        """The Python backend's, by the beginning of its name; a killed one stays behind as a zombie."""
        children = psutil.Process(self.server.pid).children()
        stubs = [child for child in children if child.name().startswith("triton_python_b")]
        (alive,) = [stub for stub in stubs if stub.status() != psutil.STATUS_ZOMBIE]
        return alive


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    yard = Yard(tmp_path_factory.mktemp("yard"))
    yard.start()
    yield yard
    yard.stop()


async def complete(yard: Yard, request: CompletionRequest = CODE) -> str:
    client = Triton(yard.url)
    try:
        return "".join([chunk.text async for chunk in client.stream_completion(request, model="tiny")])
    finally:
        await client.close()


async def leave_after_the_first_chunk(yard: Yard) -> None:
    client = Triton(yard.url)
    stream = client.stream_completion(CompletionRequest(prompt="def add(a, b):", max_tokens=200), model="tiny")
    await anext(stream)
    await stream.aclose()
    async with asyncio.timeout(30):
        while not yard.counted("cancelled"):
            await asyncio.sleep(0.1)
    await client.close()


async def healthy(yard: Yard) -> bool:
    client = Triton(yard.url)
    try:
        assert await client.is_ready("tiny"), "Triton's own flag stays up when the process is gone"
        return (await client.canary("tiny")).ok
    finally:
        await client.close()


async def come_back(yard: Yard) -> None:
    client = Triton(yard.url)
    async with asyncio.timeout(120):
        while not (await client.canary("tiny")).ok:
            await asyncio.sleep(0.2)
    await client.close()


def test_a_model_is_deployed_streams_is_cancelled_dies_heals_and_survives_a_restart(yard: Yard) -> None:
    model = yard.make_model()
    summary = yard.deploy(model)
    assert (summary["model_name"], summary["model_version"]) == ("tiny", 1)
    text = asyncio.run(complete(yard))
    assert text

    middle = CompletionRequest(prompt="def f(", suffix="):\n    return 1", max_tokens=4)
    assert asyncio.run(complete(yard, middle))
    asyncio.run(leave_after_the_first_chunk(yard))

    for _ in range(2):  # a second death finds Triton still busy with the first one's remains
        yard.model_process().send_signal(signal.SIGKILL)
        assert not asyncio.run(healthy(yard))
        assert yard.deploy(model)["model_version"] == 1
        assert asyncio.run(complete(yard)) == text

    assert yard.deploy(model, decode={"max_tokens": 2})["model_version"] == 2
    yard.stop()
    yard.start()
    asyncio.run(come_back(yard))
    assert asyncio.run(complete(yard)) == text
