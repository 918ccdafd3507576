"""./yard bench serving: how much later the first token comes through Triton and the web, and what a keystroke costs.

Everything is set up here: a whole yard of its own on free ports (`manage.py up --no-demo`), a model of the demo's shape
with random weights, deployed by the deploy stage and put on production. The peer is the same engine in process. All
are measured in turns, each on the same prompts, new to all of them.

    first_token_triton     Triton against the engine in process; goal: 10 ms added at the median
    first_token_web        the same through the web server's POST /v1/completions, streamed; goal: 10 ms added
    keystroke_cache        a prompt that grows by a key, previous stream cancelled: prefix cache against none
    keystroke_triton_p50   the same through Triton; goal: 25 ms (p95: 60 ms); peer: the engine in process, with cache
    perf_analyzer_p50      NVIDIA's load generator, one request of PERF_TOKENS tokens at a time, against our own client;
                           the goal is that both see the same server, within a tenth. p95 with it
    perf_analyzer_rps      requests/s it gets at a concurrency of 8, against 1

perf_analyzer is taken out of the tritonclient 2.51.0 wheel, the newest whose binary runs on glibc 2.36; the libraries
it wants beside it are those of the nvidia-pytriton wheel. --no-load leaves it out, and says so.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import statistics
import sysconfig
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bench.load_generator import Load, perf_analyzer
from bench.serving_yard import MODEL, SERVED, BenchYard
from controlplane.pipeline.services.temporary import temporary_folder
from playground_app.completions import CompletionRequest
from playground_app.triton import Triton

RESULTS = Path(__file__).with_name("results")
PROMPT_CHARACTERS, KEYS, TOKENS = 2000, 24, 32
KEY_SEEDS, WEB_SEEDS, LOAD_SEED = 10_000, 20_000, 30_000  # no prompt is in two of these
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


async def through_triton(client: Triton, prompts: Sequence[str]) -> list[float]:
    async def one(prompt: str) -> float:
        request = CompletionRequest(prompt=prompt, max_tokens=TOKENS, temperature=0.0)
        begun = time.perf_counter()
        stream = client.stream_completion(request, model=SERVED)
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
        body = json.dumps({"model": model, "prompt": prompt, "max_tokens": TOKENS, "stream": True})
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
    (prompt,) = prompts_of(KEY_SEEDS + seed, 1)
    typed = "\n    for name, value in sorted(values.items()):"
    return [prompt + typed[: n + 1] for n in range(KEYS)]


def keystrokes(measured: Sequence[float]) -> list[float]:
    """Without the first, which fills the cache."""
    return list(measured[1:])


async def measure(yard: BenchYard, rounds: int, count: int) -> dict[str, list[float]]:
    """Milliseconds by what was measured; the first round warms everything up."""
    samples: dict[str, list[float]] = {}
    client = Triton(yard.triton)
    try:
        for turn in range(rounds + 1):
            for name, values in (await one_turn(yard, client, turn, count)).items():
                samples.setdefault(name, []).extend(values if turn else ())
    finally:
        await client.close()
    return samples


async def one_turn(yard: BenchYard, client: Triton, turn: int, count: int) -> dict[str, list[float]]:
    prompts, keys = prompts_of(turn, count), keys_of(turn)
    for_web = prompts_of(WEB_SEEDS + turn, count)  # Triton would answer from its cache what it was just asked
    steps: dict[str, Callable[[], Awaitable[list[float]]]] = {
        "process": lambda: asyncio.to_thread(yard.in_process, prompts),
        "triton": lambda: through_triton(client, prompts),
        "web": lambda: asyncio.to_thread(through_web, yard.site, yard.token, MODEL, for_web),
        "cached": lambda: asyncio.to_thread(yard.in_process, keys),
        "uncached": lambda: asyncio.to_thread(yard.in_process, keys, prefix_cache=False),
        "typed": lambda: through_triton(client, keys),
    }
    order = list(steps)[:: -1 if turn % 2 else 1]
    found = {name: await steps[name]() for name in order}
    return {name: keystrokes(found[name]) if name in {"cached", "uncached", "typed"} else found[name] for name in found}


async def whole(triton: str, prompts: Sequence[str]) -> list[float]:
    """Milliseconds to the last of TOKENS tokens, by our own client."""
    client, milliseconds = Triton(triton), []
    try:
        for prompt in prompts:
            begun = time.perf_counter()
            request = CompletionRequest(prompt=prompt, max_tokens=TOKENS, temperature=0.0)
            async for _ in client.stream_completion(request, model=SERVED):
                pass
            milliseconds.append(1000 * (time.perf_counter() - begun))
    finally:
        await client.close()
    return milliseconds


def figures(samples: dict[str, list[float]]) -> list[Figure]:
    p50 = {name: statistics.median(values) for name, values in samples.items()}
    p95 = {name: percentile95(values) for name, values in samples.items()}
    return [
        Figure("first_token_triton", p50["triton"], p50["process"], p50["process"] + ADDED_GOAL_MS),
        Figure("first_token_web", p50["web"], p50["process"], p50["process"] + ADDED_GOAL_MS),
        Figure("keystroke_cache", p50["cached"], p50["uncached"], p50["uncached"] / 2),
        Figure("keystroke_triton_p50", p50["typed"], p50["cached"], KEY_P50_GOAL_MS),
        Figure("keystroke_triton_p95", p95["typed"], p95["cached"], KEY_P95_GOAL_MS),
    ]


def load_figures(ours: Sequence[float], alone: Load, crowded: Load) -> list[Figure]:
    """`ours`: our client's milliseconds for the same prompts. A goal of a throughput is a least one."""
    return [
        Figure("perf_analyzer_p50", statistics.median(ours), alone.p50_ms, 1.1 * alone.p50_ms),
        Figure("perf_analyzer_p95", percentile95(ours), alone.p95_ms, 1.1 * alone.p95_ms),
        Figure("perf_analyzer_rps", crowded.requests_per_second, alone.requests_per_second, 1.0, "requests/s"),
    ]


def percentile95(values: Sequence[float]) -> float:
    return sorted(values)[int(0.95 * len(values))]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds (%(default)s)")
    parser.add_argument("--prompts", type=int, default=16, help="prompts a round (%(default)s)")
    parser.add_argument("--no-load", action="store_true", help="leave perf_analyzer out")
    asked = parser.parse_args()
    with temporary_folder() as folder, BenchYard(folder) as yard:
        found = figures(asyncio.run(measure(yard, asked.rounds, asked.prompts)))
        if not asked.no_load:
            prompts = prompts_of(LOAD_SEED, 4 * asked.prompts)
            alone, crowded = (perf_analyzer(folder, yard.triton, SERVED, prompts, TOKENS, at) for at in (1, 8))
            # It goes round its prompts, so both see a server that knows them.
            found += load_figures(asyncio.run(whole(yard.triton, prompts)), alone, crowded)
    for figure in found:
        print(figure.line())
    if asked.no_load:
        print("perf_analyzer was left out, as asked")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "serving.json").write_text(json.dumps([asdict(figure) for figure in found], indent=1) + "\n")


if __name__ == "__main__":
    main()
