"""./yard bench pages: server time of every page on a database of a yard's size.

python -m bench.pages [--runs 10000] [--others 1000] [--points 1000000] [--requests 30]

Goal: 100 ms at the 95th percentile on every page, with 10,000 runs and 10,000,000 metric points (--points 10000000).
The database is called bench_pages: on the server that DATABASE_URL names, where it is made anew and dropped at the
end, or on a Postgres that lives as long as this run. The time is from Django's handler to the rendered answer, in this
process and one request at a time: no network, no web server, no contention. There is no peer; the line's peer is the
goal. Results: bench/results/pages.json.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import statistics
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

import psycopg

from controlplane.pipeline.services.temporary import temporary_folder, temporary_servers

DATABASE = "bench_pages"
GOAL_MS = 100.0
WARM_UP = 3
RESULTS = Path(__file__).with_name("results")


@dataclass(frozen=True)
class Page:
    """One page's server time in milliseconds; `kilobytes` of its answer's body."""

    name: str
    url: str
    status: int
    p50_ms: float
    p95_ms: float
    kilobytes: float


def main() -> None:
    asked = arguments()
    with contextlib.ExitStack() as running:
        folder = running.enter_context(temporary_folder())
        url = servers(running, folder)
        running.enter_context(own_database(url))
        os.environ |= {"DATABASE_URL": named(url, DATABASE), "YARD_STATE": str(folder), "YARD_LOG_LEVEL": "ERROR"}
        os.environ["DJANGO_SETTINGS_MODULE"] = "controlplane.settings"
        pages = measured(asked, folder)
    report(pages, asked)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Server time of every page on a large database.")
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--others", type=int, default=1_000, help="of each other kind (%(default)s)")
    parser.add_argument("--points", type=int, default=1_000_000, help="metric points (%(default)s)")
    parser.add_argument("--requests", type=int, default=30, help="of each page, after warm-up (%(default)s)")
    asked = parser.parse_args()
    if asked.others < 50 or asked.runs < asked.others or asked.requests < 2:
        parser.error("at least 50 of each kind, as many runs, and 2 requests")
    return asked


# ---- the database ----------------------------------------------------------------------------------------------------


def servers(running: contextlib.ExitStack, folder: Path) -> str:
    """The address of the Postgres to use; REDIS_URL is set for the pages that look at the queue."""
    given = os.environ.get("DATABASE_URL")
    if given and os.environ.get("REDIS_URL"):
        return given
    postgres, valkey = running.enter_context(temporary_servers(folder))
    os.environ.setdefault("REDIS_URL", valkey.url)
    return given or postgres.url


def named(url: str, database: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


@contextlib.contextmanager
def own_database(url: str) -> Iterator[None]:
    """bench_pages, empty, and gone afterwards. Never the database that `url` names."""
    if urlsplit(url).path == f"/{DATABASE}":
        raise SystemExit(f"DATABASE_URL names {DATABASE} itself, which this would drop: name another database.")
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        server.execute(f"CREATE DATABASE {DATABASE}")
        try:
            yield
        finally:
            server.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")


def measured(asked: argparse.Namespace, folder: Path) -> list[Page]:
    import django

    django.setup()
    from django.core.management import call_command
    from django.test import Client

    from bench.pages_rows import Sizes, fill_all

    begun = time.monotonic()
    logging.getLogger("django.request").setLevel(logging.ERROR)  # pages that answer no GET are asked once each
    call_command("migrate", interactive=False, verbosity=0)
    project, user = fill_all(Sizes(asked.runs, asked.others, asked.points), folder)
    import_module("controlplane.asgi")  # what the web process does once before its first request
    print(f"seeded in {time.monotonic() - begun:.0f} s", flush=True)
    client, stranger = Client(SERVER_NAME="localhost"), Client(SERVER_NAME="localhost")
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    found = [
        measure(stranger if name in FOR_STRANGERS else client, name, url, asked.requests)
        for name, url in pages(project.slug)
    ]
    return [page for page in found if page is not None]


# ---- the pages -------------------------------------------------------------------------------------------------------

EXAMPLES = {
    "sources": "o000000001",
    "datasets": "d000000001",
    "tokenizers": "t000000001",
    "shards": "s000000001",
    "runs": "r000000001",
    "models": "m000000001",
    "registry": "g000000001",
    "evaluations": "e000000001",
    "suites": "u000000001",
    "baselines": "b000000001",
    "contamination": "c000000001",
    "imports": "i000000001",
    "deployments": "y000000001",
    "pipelines": "p000000001",
    "completions": "cmpl-1",
    "people": "1",
    "tokens": "1",
}
# Where the first word of an address does not say of what the id is.
OTHER_NOUNS = {"training:model-import": "imports", "evaluation:contamination": "contamination"}
OTHER_NOUNS["evaluation:contamination-problem"] = "contamination"
PARTS = {"document_id": "7".zfill(32), "other_id": "8".zfill(32), "other_pk": "d000000001", "reason": "duplicate"}
PARTS |= {"chart": "loss", "alias": "staff", "app_label": "jobs", "kind": "csv", "sample": "1"}
QUERIES = {
    "training:run-compare": [
        {"ids": ",".join(f"r{n:09d}" for n in range(1, 11))},
        {"ids": ",".join(f"r{n:09d}" for n in range(1, 11)), "chart": "loss/train"},
    ],
    "training:run-new": [{}, {"choose": "shard_set", "shard_set": "v12 with"}],
    "training:run-chart": [{}, {"x0": "100", "x1": "900"}],
    "training:run-list": [
        {},
        {"q": "metrics.`loss/train` < 1.2 and tags = 'tag-3'"},
        {"sort": "metrics.loss/train"},
        {"sort": "-params.seed", "column": "params.seed"},
        {"sort": "-duration", "status": "failed"},
    ],
    "jobs:resources": [{"of": "resources-percent"}],
    "jobs:job": [{}, {"part": "live"}],
    "jobs:list": [{}, {"status": "failed"}, {"kind": "train_model"}],
    "datasets:rows": [{}, {"path": "src/42"}, {"content": "index + 4242"}],
    "pipeline:search": [{"q": "run-12"}],
    "evaluation:contamination-problem": [{"task": "bench/1"}],
    "evaluation:compare": [{"ids": ",".join(f"e{n:09d}" for n in range(1, 11))}],
}
FOR_STRANGERS = {"access:sign-in"}
# Django's own pages, a link that works once, and what takes a token instead of a session.
LEFT_OUT = ("admin:", "access:sign-in-once", "playground:v1-", "evaluation:v1-")
# What reads a worker's artifacts (a preview, a ledger, a vocabulary, a run's batches): the seeded database has none.
LEFT_OUT += ("datasets:source-preview", "datasets:sample", "datasets:vocabulary")
LEFT_OUT += ("training:run-step", "training:document-seen", "datasets:tokenizer-compare", "evaluation:problem")
# Rows that the seeded database has none of.
LEFT_OUT += ("pipeline:opt-out-detail",)


def pages(slug: str) -> Iterator[tuple[str, str]]:
    """(name, url) of every URL of the site. A new one with a part that is not known here is an error, not left out."""
    from django.urls import get_resolver, reverse

    for name, pattern in routes(get_resolver().url_patterns):
        if name.startswith(LEFT_OUT):
            continue
        arguments = {part: value_of(part, name, str(pattern), slug) for part in parts_of(pattern)}
        url = reverse(name, kwargs=arguments)
        for query in QUERIES.get(name, [{}]):
            yield name, f"{url}?{urlencode(query)}" if query else url


def routes(patterns: list[Any], namespace: str = "", before: str = "") -> Iterator[tuple[str, str]]:
    """(namespaced name, route) of each named pattern."""
    for pattern in patterns:
        route = before + str(pattern.pattern)
        if hasattr(pattern, "url_patterns"):
            inner = f"{namespace}{pattern.namespace}:" if pattern.namespace else namespace
            yield from routes(pattern.url_patterns, inner, route)
        elif pattern.name:
            yield namespace + pattern.name, route


def parts_of(route: str) -> list[str]:
    return [piece.split(">")[0].split(":")[-1] for piece in route.split("<")[1:]]


def value_of(part: str, name: str, route: str, slug: str) -> str:
    from eval_app.models import SampleResult
    from training_app.models import TrainingRun

    if part == "slug":
        return slug
    if part == "sample":
        return str(SampleResult.objects.filter(evaluation="e000000001").values_list("pk", flat=True)[0])
    if part != "pk":
        return PARTS[part]
    noun = OTHER_NOUNS.get(name) or route.split("<slug:slug>/")[1].split("/")[0]
    return str(TrainingRun.objects.get(pk="r000000001").job_id) if noun == "jobs" else EXAMPLES[noun]


def measure(client: Any, name: str, url: str, requests: int) -> Page | None:
    """None for what answers no GET. A page that answers with an error ends the run: it would look quick."""
    response = client.get(url)
    if response.status_code == 405:
        return None
    if response.status_code >= 400:
        raise SystemExit(f"{url} answers {response.status_code}: {response.content[:300]!r}")
    for _ in range(WARM_UP):
        client.get(url)
    taken = [once(client, url) for _ in range(requests)]
    cuts = statistics.quantiles(taken, n=20, method="inclusive")
    size = len(b"".join(response.streaming_content) if response.streaming else response.content)
    page = Page(
        name, url, response.status_code, round(statistics.median(taken), 2), round(cuts[18], 2), round(size / 1024, 1)
    )
    print(
        f"{page.p50_ms:9.1f} {page.p95_ms:9.1f} ms  {page.kilobytes:8.1f} kB  {page.status}  {page.name}  {url}",
        flush=True,
    )
    return page


def once(client: Any, url: str) -> float:
    """Milliseconds of one request, its body read to the end."""
    begun = time.perf_counter()
    response = client.get(url)
    if response.streaming:
        for _ in response.streaming_content:
            pass
    return 1000 * (time.perf_counter() - begun)


def report(pages: list[Page], asked: argparse.Namespace) -> None:
    worst = max(pages, key=lambda page: page.p95_ms)
    load = os.getloadavg()[0]
    print(f"load average {load:.1f} on {os.cpu_count()} cores: times mean little where it is more than 1 a core")
    over = [page.name for page in pages if page.p95_ms > GOAL_MS]
    print(
        f"{len(pages)} pages; slowest: {worst.name} ({worst.url}); over {GOAL_MS:.0f} ms: {', '.join(over) or 'none'}"
    )
    ratio = worst.p95_ms / GOAL_MS
    print(f"figure pages/p95_worst ours={worst.p95_ms:.2f} peer=100 ratio={ratio:.3f} goal=100 unit=ms")
    figure = {"figure": "pages/p95_worst", "ours": worst.p95_ms, "peer": GOAL_MS, "ratio": round(ratio, 4)}
    figure |= {"goal": GOAL_MS, "unit": "ms"}
    RESULTS.mkdir(exist_ok=True)
    body = {"sizes": vars(asked), "load_average": load, "figures": [figure], "pages": [asdict(page) for page in pages]}
    (RESULTS / "pages.json").write_text(json.dumps(body, indent=1) + "\n")


if __name__ == "__main__":
    main()
