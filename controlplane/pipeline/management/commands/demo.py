"""manage.py demo: the first model without a browser. Exit code 0 only if a completion came back from Triton."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

from asgiref.sync import async_to_sync
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from controlplane.pipeline.actions import start_first_model
from controlplane.pipeline.clock import Clock, clock
from controlplane.pipeline.models import Pipeline
from controlplane.pipeline.services.ports import kept_ports, triton_address
from controlplane.pipeline.services.state import is_running, read_state
from playground_app.completions import CompletionRequest
from playground_app.triton import Triton

# Inside the habits of the corpus; none ends in a space, which no training text does before a word.
PROMPTS = (
    "def __repr__(self):\n    return",
    "if not isinstance(value, str):\n    raise",
    "@property\ndef name(self):\n",
)
START_SECONDS = 180


class Command(BaseCommand):
    help = "Train, score and deploy a first model on this machine's Python sources, then ask it for one completion."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--minutes", type=float, default=15, help="wall time to aim for (%(default)s)")

    def handle(self, *args: object, minutes: float, **options: Any) -> None:
        yard = None if is_running(settings.STATE_DIR) else self.start_yard()
        try:
            self.wait_until_ready(yard)
            pipeline = self.follow(start_first_model(minutes=minutes))
            self.report(pipeline)
        finally:
            if yard is not None:
                yard.terminate()
                yard.wait()

    def start_yard(self) -> subprocess.Popen[bytes]:
        settings.STATE_DIR.mkdir(parents=True, exist_ok=True)
        port = kept_ports(settings.STATE_DIR, ["DEMO_WEB_PORT"])["DEMO_WEB_PORT"]
        self.stdout.write("Starting a yard for this demo.")
        log = settings.STATE_DIR / "log" / "demo.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        argv = [sys.executable, "manage.py", "up", "--no-demo", "--port", str(port)]
        with log.open("ab") as out:
            return subprocess.Popen(argv, cwd=settings.BASE_DIR, stdout=out, stderr=out)

    def wait_until_ready(self, yard: subprocess.Popen[bytes] | None) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if yard is not None and yard.poll() is not None:
                raise CommandError(f"The yard did not start; see {settings.STATE_DIR / 'log' / 'demo.log'}.")
            state = read_state(settings.STATE_DIR)
            if is_running(settings.STATE_DIR) and state is not None and state.phase == "ready":
                self.stdout.write(f"The yard is at {state.url}")
                return
            time.sleep(0.5)
        raise CommandError(f"The yard was not ready within {START_SECONDS} s.")

    def follow(self, pipeline: Pipeline) -> Pipeline:
        """Print each change until the pipeline ends."""
        last = ""
        while True:
            now = clock(Pipeline.objects.for_clock(pipeline.project).get(pk=pipeline.pk))
            line = progress(now)
            if line != last:
                self.stdout.write(f"{now.seconds:6.0f} s  {line}")
                self.stdout.flush()
            if not now.is_active:
                return now.pipeline
            last = line
            time.sleep(2)

    def report(self, pipeline: Pipeline) -> None:
        if pipeline.outcome != "succeeded" or pipeline.evaluation is None or pipeline.deployment is None:
            raise CommandError(f"The pipeline {pipeline.outcome}: {pipeline.detail}")
        score = pipeline.evaluation
        bits = ", ".join(f"{split.replace('_', ' ')} {value:.3f}" for split, value in score.bits_by_split().items())
        self.stdout.write(f"{score}: pass@1 {score.pass_at_1:.1%}; bits per byte: {bits}")
        completions = async_to_sync(complete)(pipeline.deployment.served_name)
        for prompt, text in zip(PROMPTS, completions, strict=True):
            self.stdout.write(f"\n{prompt}{self.style.MIGRATE_HEADING(text)}")
        if not any(text.strip() for text in completions):
            raise CommandError("Triton answered each prompt with nothing but blanks.")
        state = read_state(settings.STATE_DIR)
        self.stdout.write(f"\nThe pipeline: {state.url if state else ''}{pipeline.get_absolute_url()}")
        self.stdout.write(self.style.SUCCESS("The demo is complete."))


def progress(now: Clock) -> str:
    """The step under way, in one line that changes with each tenth of its progress."""
    for tick in now.ticks:
        if tick.status in {"running", "queued", "waiting"}:
            share = "" if tick.share is None else f" {int(tick.share * 10) * 10} %"
            return f"{now.done} of {len(now.ticks)} done; {tick.verb} {tick.status}{share}"
    return f"{now.done} of {len(now.ticks)} done; {now.status}"


async def complete(model: str) -> list[str]:
    """A greedy completion of each of PROMPTS from Triton. Raises playground_app.triton.TritonError."""
    triton = Triton(settings.TRITON_URL or triton_address(settings.STATE_DIR))
    try:
        return [await completion(triton, model, prompt) for prompt in PROMPTS]
    finally:
        await triton.close()


async def completion(triton: Triton, model: str, prompt: str) -> str:
    request = CompletionRequest(prompt=prompt)
    return "".join([chunk.text async for chunk in triton.stream_completion(request, model=model)])
