"""What bench/serving.py measures: a whole yard on free ports, a model on production, and the engine in process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import django
from django.utils import timezone

if TYPE_CHECKING:
    from django.conf import LazySettings

ROOT = Path(__file__).resolve().parent.parent
MODEL, SERVED, READY_SECONDS = "completer", "bench", 180


class BenchYard:
    """Running for as long as the `with` lasts. `site`: the web server; `triton`: host:port of gRPC; `token`: for the API."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        os.environ |= {"YARD_STATE": str(folder / "state"), "DJANGO_SETTINGS_MODULE": "controlplane.settings"}
        self.log = (folder / "log").open("ab")
        self.engine: subprocess.Popen[str] | None = None
        self.up: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> BenchYard:
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        for process in (self.engine, self.up):
            if process is not None:
                process.terminate()
                process.wait(60)
        self.log.close()

    def start(self) -> None:
        self.site = self.start_site()
        django.setup()
        from django.conf import settings

        self.triton = settings.TRITON_URL
        model = self.deploy(settings)
        self.token = publish_rows()
        argv = [str(settings.WORKER_PYTHON), "-m", "bench.serving_engine", "serve", str(model)]
        self.engine = subprocess.Popen(
            argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True
        )

    def start_site(self) -> str:
        from controlplane.pipeline.services.ports import kept_ports
        from controlplane.pipeline.services.state import read_state

        state = self.folder / "state"
        state.mkdir()
        port = kept_ports(state, ["BENCH_WEB_PORT"])["BENCH_WEB_PORT"]
        argv = [sys.executable, "manage.py", "up", "--no-demo", "--port", str(port)]
        self.up = subprocess.Popen(argv, cwd=ROOT, stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + READY_SECONDS
        while (now := read_state(state)) is None or now.phase != "ready":
            if self.up.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"The yard did not start:\n{(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.2)
        return now.url

    def deploy(self, settings: LazySettings) -> Path:
        """The folder of the model, once Triton serves it."""
        model, job = self.folder / "model", self.folder / "job"
        job.mkdir()
        spec = {"model": {"uri": str(model), "sha256": "0" * 64}, "served_name": SERVED, "decode": {"max_tokens": 32}}
        (job / "spec.json").write_text(json.dumps(spec))
        names = {
            "TRITON_URL": self.triton,
            "STORAGE_URL": settings.STORAGE_URL,
            "TRITON_MODEL_REPOSITORY": str(settings.TRITON_MODEL_REPOSITORY),
        }
        for arguments in (("bench.serving_engine", "make", str(model)), ("worker", "deploy_model", str(job))):
            argv = [str(settings.WORKER_PYTHON), "-m", *arguments]
            done = subprocess.run(argv, cwd=ROOT, env={**os.environ, **names}, capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(f"{' '.join(arguments)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return model

    def in_process(self, prompts: Sequence[str], *, prefix_cache: bool = True) -> list[float]:
        """Milliseconds to the first token of each prompt."""
        assert self.engine and self.engine.stdin and self.engine.stdout
        print(json.dumps({"prompts": prompts, "prefix_cache": prefix_cache}), file=self.engine.stdin, flush=True)
        return [1000 * seconds for seconds in json.loads(self.engine.stdout.readline())]


def publish_rows() -> str:
    """The rows that lead the API from the name MODEL to what Triton serves; the token's secret."""
    from controlplane.access.actions import create_token
    from controlplane.access.models import ApiToken
    from tests import factories

    project = factories.project("bench", "Bench")
    person = factories.user("bench", project, "MAINTAINER")
    chain = factories.make_chain(project, name=MODEL)
    chain.deployment.served_name = SERVED
    chain.deployment.save()
    factories.make_promotion(chain.version, "production")
    ends = timezone.now() + timedelta(hours=6)
    _, secret = create_token(project=project, user=person, name="bench", scopes=ApiToken.Scope.values, expires_at=ends)
    return secret
