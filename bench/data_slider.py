"""python -m bench.data_slider MEASURES [--rows 1000000] [--questions 40]: how long a filter slider waits for its answer.

Runs in the control plane's environment. MEASURES is the measures.parquet of a real dataset; its rows are taken again and
again, under ids of their own, until there are enough, and written as the stage writes them: by id, in its row groups.
Each question moves one slider elsewhere and is put to the page's own view, through Django's handler, as the browser puts
it (the partial alone). Milliseconds, as JSON on the last line: p50 and p95 of all questions, the first among them.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import random
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb

from bench import pages
from controlplane.pipeline.services.temporary import temporary_folder

PER_GROUP = 122_880  # worker.data.publish.MEASURES_PER_GROUP
# By slider: from where to where people move it.
MOVES = {
    "lines-max_line": (100, 2_000),
    "lines-max_mean_line": (20, 120),
    "size-max_bytes": (5_000, 1_000_000),
    "lines-min_alphanumeric": (0.1, 0.6),
    "filters-min_alphabetic": (0.1, 0.6),
    "filters-max_lines": (100, 100_000),
}
SEED = 5


def many_rows(measures: Path, n: int, target: Path) -> int:
    """The rows of `measures` repeated to `n`; how many bytes the file has."""
    with duckdb.connect() as connection:
        (own,) = connection.execute("SELECT count(*) FROM read_parquet(?)", [str(measures)]).fetchone() or (0,)
        if not own:
            raise SystemExit(f"{measures} has no rows")
        connection.execute(
            "COPY (SELECT md5(id || ' ' || k) AS id, * EXCLUDE (id, k) FROM read_parquet(?), range(?) AS again(k)"
            f" ORDER BY 1 LIMIT ?) TO '{target}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {PER_GROUP})",
            [str(measures), -(-n // own), n],
        )
    return target.stat().st_size


def questions(n: int) -> Iterator[dict[str, str]]:
    """No two alike: nothing that was answered before helps."""
    chance = random.Random(SEED)
    for name, (low, high) in itertools.islice(itertools.cycle(MOVES.items()), n):
        value = chance.uniform(low, high)
        yield {name: f"{value:.4f}" if high < 1 else str(round(value))}


def asked(dataset: Path, n: int) -> list[float]:
    """Milliseconds of each question."""
    import django

    django.setup()
    from django.core.management import call_command
    from django.urls import reverse

    from tests import factories

    call_command("migrate", interactive=False, verbosity=0)
    project = factories.project()
    version = factories.make_dataset_version(project, uri=f"file://{dataset}")
    client = factories.signed_in_client(
        factories.user("ada", project), headers={"HX-Request": "true"}, SERVER_NAME="localhost"
    )
    url = reverse("datasets:thresholds", kwargs={"slug": project.slug, "pk": version.pk})
    taken = []
    for question in questions(n):
        begun = time.perf_counter()
        response = client.get(url, question)
        taken.append(1000 * (time.perf_counter() - begun))
        if response.status_code != 200:
            raise SystemExit(f"{url} answers {response.status_code}: {response.content[:300]!r}")
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measures", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--questions", type=int, default=40)
    given = parser.parse_args()
    with contextlib.ExitStack() as running:
        folder = running.enter_context(temporary_folder())
        url = pages.servers(running, folder)
        running.enter_context(pages.own_database(url))
        os.environ |= {"DATABASE_URL": pages.named(url, pages.DATABASE), "YARD_STATE": str(folder)}
        os.environ |= {"YARD_LOG_LEVEL": "ERROR", "DJANGO_SETTINGS_MODULE": "controlplane.settings"}
        n_bytes = many_rows(given.measures, given.rows, folder / "measures.parquet")
        taken = asked(folder, given.questions)
    p95 = statistics.quantiles(taken, n=20, method="inclusive")[18]
    found = {"p50_ms": statistics.median(taken), "p95_ms": p95, "rows": given.rows, "bytes": n_bytes}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
