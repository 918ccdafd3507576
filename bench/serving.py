"""How much later the first token comes through Triton and the web, and what a keystroke costs.

Everything is set up here: a model of the demo's shape, a real Triton on free ports, a deployment by the deploy stage.
The peer is the same engine in process. Both are measured in turns, each on the same prompts, new to both.

    first_token_triton     Triton against the engine in process; goal: 10 ms added at the median
    first_token_web        the same through POST /v1/completions of a running site; needs --web, --token, --model
    keystroke_cache        a prompt that grows by a key, previous stream cancelled: prefix cache against none
    keystroke_triton_p50   the same through Triton; goal: 25 ms (p95: 60 ms); peer: the engine in process, with cache

An outside load generator: perf_analyzer is in tritonclient wheels up to 2.60 (2.51.0 runs on glibc 2.36); unzip it and
    perf_analyzer -m bench -i grpc -u HOST:PORT --streaming --async --input-data in.json --concurrency-range 1:8:7
        --measurement-mode count_windows --measurement-request-count 20 --max-trials 4 -s 900 --percentile 95
        --shape text_input:1 --shape max_tokens:1 --shape stream:1 -f out.csv
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "controlplane.settings")

from django.conf import settings  # noqa: E402

from controlplane.pipeline.services.ports import TRITON_PORTS, kept_ports  # noqa: E402
from playground_app.completions import CompletionRequest  # noqa: E402
from playground_app.triton import Triton  # noqa: E402

PROMPT_CHARACTERS, KEYS = 2000, 24
ADDED_GOAL_MS, KEY_P50_GOAL_MS, KEY_P95_GOAL_MS = 10.0, 25.0, 60.0


@dataclass(frozen=True)
class Figure:
    name: str
    ours: float
    peer: float
    goal: float
    unit: str = "ms"

    def line(self) -> str:
        ratio = self.ours / self.peer if self.peer else float("nan")
        return (
            f"figure {self.name} ours={self.ours:.2f} peer={self.peer:.2f} ratio={ratio:.3f} "
            f"goal={self.goal:.2f} unit={self.unit}"
        )


class Stack:
    """A model, a Triton and the engine in process, for as long as the `with` lasts."""

    def __enter__(self) -> Stack:
        self.folder = Path(tempfile.mkdtemp(prefix="bench-serving-"))
        ports = kept_ports(self.folder, TRITON_PORTS)
        self.url = f"127.0.0.1:{ports['TRITON_GRPC_PORT']}"
        self.environment = {**os.environ, **{name: str(port) for name, port in ports.items()}}
        self.environment |= {
            "YARD_STATE": str(self.folder),
            "TRITON_URL": self.url,
            "STORAGE_URL": str(self.folder / "storage"),
            "TRITON_MODEL_REPOSITORY": str(self.folder / "models"),
        }
        self.log = (self.folder / "log").open("wb")
        self.server = self.process([sys.executable, "manage.py", "triton"])
        self.engine = None
        try:
            self.set_up()
        except BaseException:
            self.__exit__()
            raise
        return self

    def set_up(self) -> None:
        model, job = self.folder / "model", self.folder / "job"
        self.worker("bench.serving_engine", "make", str(model))
        job.mkdir()
        spec = {"model": {"uri": str(model), "sha256": "0" * 64}, "served_name": "bench", "decode": {"max_tokens": 32}}
        (job / "spec.json").write_text(json.dumps(spec))
        self.worker("worker", "deploy_model", str(job))
        argv = [str(settings.WORKER_PYTHON), "-m", "bench.serving_engine", "serve", str(model)]
        self.engine = subprocess.Popen(
            argv,
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )

    def __exit__(self, *error: object) -> None:
        for process in filter(None, (self.server, self.engine)):
            process.terminate()
            process.wait(60)
        shutil.rmtree(self.folder)

    def process(self, argv: list[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(argv, cwd=ROOT, env=self.environment, stdout=self.log, stderr=self.log)

    def worker(self, *arguments: str) -> None:
        argv = [str(settings.WORKER_PYTHON), "-m", *arguments]
        done = subprocess.run(argv, cwd=ROOT, env=self.environment, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(arguments)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")

    def in_process(self, prompts: Sequence[str], *, prefix_cache: bool = True) -> list[float]:
        """Milliseconds to the first token of each prompt."""
        assert self.engine and self.engine.stdin and self.engine.stdout
        print(json.dumps({"prompts": prompts, "prefix_cache": prefix_cache}), file=self.engine.stdin, flush=True)
        return [1000 * seconds for seconds in json.loads(self.engine.stdout.readline())]


async def through_triton(client: Triton, prompts: Sequence[str]) -> list[float]:
    async def one(prompt: str) -> float:
        request = CompletionRequest(prompt=prompt, max_tokens=32, temperature=0.0)
        begun = time.perf_counter()
        stream = client.stream_completion(request, model="bench")
        async for chunk in stream:
            if chunk.text:
                break
        milliseconds = 1000 * (time.perf_counter() - begun)
        await stream.aclose()
        return milliseconds

    return [await one(prompt) for prompt in prompts]


def through_web(site: str, token: str, model: str, prompts: Sequence[str]) -> list[float]:
    """One kept connection, as an editor has. Reads until the first event that has text, then the rest."""
    parts = urlsplit(site)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection, milliseconds = kind(parts.netloc, timeout=60), []
    for prompt in prompts:
        body = json.dumps({"model": model, "prompt": prompt, "max_tokens": 32, "stream": True})
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        begun = time.perf_counter()
        connection.request("POST", f"{parts.path}/v1/completions", body, headers)
        answer = connection.getresponse()
        if answer.status != 200:
            raise SystemExit(f"{site} answered {answer.status}: {answer.read()[:500]!r}")
        while (line := answer.readline()) and not _has_text(line):
            pass
        milliseconds.append(1000 * (time.perf_counter() - begun))
        answer.read()
    connection.close()
    return milliseconds


def _has_text(line: bytes) -> bool:
    event = line.removeprefix(b"data: ").strip()
    return event.startswith(b"{") and any(choice["text"] for choice in json.loads(event)["choices"])


def prompts_of(seed: int, count: int) -> list[str]:
    """Pieces of the standard library, each a different one for each (seed, i): none has been seen by a cache."""
    text = (Path(sysconfig.get_path("stdlib")) / "argparse.py").read_text()
    starts = [(seed * count + i) * 137 % (len(text) - PROMPT_CHARACTERS) for i in range(count)]
    return [f"# {seed} {i}\n{text[start : start + PROMPT_CHARACTERS]}return" for i, start in enumerate(starts)]


def keys_of(seed: int) -> list[str]:
    """The same text, a key longer each time."""
    (prompt,) = prompts_of(10_000 + seed, 1)
    typed = "\n    for name, value in sorted(values.items()):"
    return [prompt + typed[: n + 1] for n in range(KEYS)]


def keystrokes(measured: Sequence[float]) -> list[float]:
    """Without the first, which fills the cache."""
    return list(measured[1:])


async def measure(
    stack: Stack, rounds: int, count: int, web: Callable[[Sequence[str]], list[float]] | None
) -> list[Figure]:
    samples: dict[str, list[float]] = {name: [] for name in ("process", "triton", "web", "cached", "uncached", "typed")}
    client = Triton(stack.url)
    try:
        for turn in range(rounds + 1):
            found = await one_turn(stack, client, turn, count, web)
            if turn:  # the first one warms everything up
                for name, values in found.items():
                    samples[name] += values
    finally:
        await client.close()
    return figures(samples)


async def one_turn(
    stack: Stack, client: Triton, turn: int, count: int, web: Callable[[Sequence[str]], list[float]] | None
) -> dict[str, list[float]]:
    prompts, keys = prompts_of(turn, count), keys_of(turn)
    steps: dict[str, Callable[[], Awaitable[list[float]]]] = {
        "process": lambda: asyncio.to_thread(stack.in_process, prompts),
        "triton": lambda: through_triton(client, prompts),
        "cached": lambda: asyncio.to_thread(stack.in_process, keys),
        "uncached": lambda: asyncio.to_thread(stack.in_process, keys, prefix_cache=False),
        "typed": lambda: through_triton(client, keys),
    }
    if web is not None:
        steps["web"] = lambda: asyncio.to_thread(web, prompts)
    order = list(steps)[:: -1 if turn % 2 else 1]
    found = {name: await steps[name]() for name in order}
    return {name: keystrokes(found[name]) if name in {"cached", "uncached", "typed"} else found[name] for name in found}


def figures(samples: dict[str, list[float]]) -> list[Figure]:
    p50 = {name: statistics.median(values) for name, values in samples.items() if values}
    p95 = {name: sorted(values)[int(0.95 * len(values))] for name, values in samples.items() if values}
    found = [
        Figure("first_token_triton", p50["triton"], p50["process"], p50["process"] + ADDED_GOAL_MS),
        Figure("keystroke_cache", p50["cached"], p50["uncached"], p50["uncached"] / 2),
        Figure("keystroke_triton_p50", p50["typed"], p50["cached"], KEY_P50_GOAL_MS),
        Figure("keystroke_triton_p95", p95["typed"], p95["cached"], KEY_P95_GOAL_MS),
    ]
    if samples["web"]:
        found.append(Figure("first_token_web", p50["web"], p50["process"], p50["process"] + ADDED_GOAL_MS))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds (%(default)s)")
    parser.add_argument("--prompts", type=int, default=16, help="prompts a round (%(default)s)")
    parser.add_argument("--web", default="", help="address of a running site that serves a model of the same shape")
    parser.add_argument("--token", default="", help="API token for --web")
    parser.add_argument("--model", default="", help="model name for --web")
    asked = parser.parse_args()
    web = (lambda prompts: through_web(asked.web, asked.token, asked.model, prompts)) if asked.web else None
    with Stack() as stack:
        found = asyncio.run(measure(stack, asked.rounds, asked.prompts, web))
    for figure in found:
        print(figure.line())
    if web is None:
        print("first_token_web was not measured: give --web, --token and --model of a running site")
    results = ROOT / "bench" / "results"
    results.mkdir(exist_ok=True)
    (results / "serving.json").write_text(json.dumps([asdict(figure) for figure in found], indent=1) + "\n")


if __name__ == "__main__":
    main()
