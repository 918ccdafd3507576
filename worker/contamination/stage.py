"""find_contamination: which problems of a suite stand in the training rows of datasets, and in which rows.

    read the suite     problems to probes (worker.contamination.probes)
    search the rows    a task a part over the data engine (worker.contamination.scan): only matches leave it
    gather             the most alike of each problem, all counted

    work/contamination/<key>/part-*.{parquet,json}   what finished tasks found; another attempt goes on from there

    contamination/matches.parquet    scan.MATCH, in suite order, the most alike first
    contamination/summary.json       below; the manifest has the same

summary: suite {name, version}; datasets; problems {task_id: {similarity, kind, part, n_rows}} of those that were found, by
what they resemble most; not_looked_for {task_id: why}; not_renamed: ids of problems too short to be found under other
names; asked: the parameters. It decides nothing about scores.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from worker.contamination import scan
from worker.contamination.probes import SHAPE, Probe, probes_of
from worker.contamination.verify import KINDS
from worker.context import Context, Outcome, Stopped
from worker.data import engine
from worker.data.documents import write_parquet
from worker.data.limits import no_more_than, telling_ends
from worker.evaluation.suites import Suite, load_suite
from worker.events import MessageLogged
from worker.failures import StageFailure
from worker.manifest import write_atomically
from worker.specs import FindContamination, to_dict

VERSION = "1"
MOST_ROWS = 50  # of a problem that are told with their text; all are counted


def state_of(spec: FindContamination) -> dict[str, Any]:
    """The spec names the suite by its place: its content is part of the work."""
    return {"suite": load_suite(spec.suite, languages=spec.languages).version}


def run(spec: FindContamination, context: Context) -> Outcome:
    """Raises StageFailure evaluation:user:bad-suite, evaluation:user:nothing-to-compare and the engine's (data:app:...),
    and Stopped between parts.
    """
    _check(spec)
    with no_more_than(context), telling_ends(context.job_dir):
        machines = engine.prepare(context)
        context.enter("read the suite")
        suite = load_suite(spec.suite, languages=spec.languages)
        probes = probes_of(suite.problems, spec)
        if not probes:
            raise StageFailure(
                "evaluation:user:nothing-to-compare", detail="all are too short, or have neither reference nor comments"
            )
        folder = _folder(spec, suite, context)
        n_parts = _search(spec, probes, folder, context)
        context.enter("gather")
        return _gathered(spec, suite, probes, _sums(folder, n_parts), folder, machines, context)


def _check(spec: FindContamination) -> None:
    numbers = (spec.n_gram, spec.renamed_n_gram, spec.min_tokens)
    if not spec.datasets or min(numbers) < 2 or not 0 < spec.candidate_share <= 1 or not 0 < spec.least_similarity <= 1:
        raise StageFailure("spec:app:invalid", detail=f"nothing can be found with {to_dict(spec)}")


def _folder(spec: FindContamination, suite: Suite, context: Context) -> Path:
    """Where the parts of exactly this work lie."""
    plan = json.dumps([VERSION, suite.version, to_dict(spec)], sort_keys=True)
    folder = context.work / "contamination" / hashlib.sha256(plan.encode()).hexdigest()[:24]
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _search(spec: FindContamination, probes: list[Probe], folder: Path, context: Context) -> int:
    """How many parts there are; all are searched."""
    context.enter("search the rows")
    scan.save(probes, folder)
    names = _names(spec, context)
    task = scan.Scan(folder, spec.candidate_share, spec.least_similarity)
    done = 0
    for _ in engine.map_tasks(task, names, context.stop_file):
        done += 1
        context.progress(done, len(names), "parts")
    if done < len(names):
        raise Stopped(f"stopped after {done} of {len(names)} parts; they are kept")
    return len(names)


def _names(spec: FindContamination, context: Context) -> list[str]:
    files = [
        (dataset, file)
        for dataset in spec.datasets
        for file in sorted((context.fetch(dataset) / "data").glob("*.parquet"))
    ]
    return [f"{number}\t{dataset.sha256}\t{dataset.uri}\t{file}" for number, (dataset, file) in enumerate(files)]


def _sums(folder: Path, n_parts: int) -> list[dict[str, Any]]:
    return [json.loads(scan.sums_of(folder, number).read_text()) for number in range(n_parts)]


def _gathered(
    spec: FindContamination,
    suite: Suite,
    probes: Sequence[Probe],
    sums: Sequence[Mapping[str, Any]],
    folder: Path,
    machines: Mapping[str, str],
    context: Context,
) -> Outcome:
    n_rows: Counter[str] = Counter()
    for part in sums:
        n_rows.update(part["n_rows"])
    rows = _rows(suite, [scan.matches_of(folder, number) for number in range(len(sums))])
    counts = {name: sum(part[name] for part in sums) for name in ("documents", "bytes", "not_compared")}
    summary = _summary(spec, suite, probes, rows, n_rows)
    if counts["not_compared"]:
        text = (
            f"{counts['not_compared']} candidates were left: a problem meets more than {scan.MOST_COMPARED} in a part"
        )
        context.reporter.report(MessageLogged(text, "warning"))
    counts |= {"problems": len(suite.problems), "contaminated": len(summary["problems"]), "rows": sum(n_rows.values())}
    out = context.out / "contamination"
    out.mkdir()
    write_parquet(pa.Table.from_pylist(rows, schema=scan.MATCH), out / "matches.parquet")
    write_atomically(out / "summary.json", json.dumps({**summary, "counts": counts}, indent=1, sort_keys=True) + "\n")
    return Outcome({"contamination": out}, counts, {**summary, "engine": dict(machines)})


def _rows(suite: Suite, files: Sequence[Path]) -> list[dict[str, Any]]:
    """In suite order, of each problem the MOST_ROWS most alike."""
    by_problem: dict[str, list[dict[str, Any]]] = {problem.task_id: [] for problem in suite.problems}
    for file in files:
        for row in pq.read_table(file).to_pylist():
            by_problem[row["task_id"]].append(row)
    return [row for rows in by_problem.values() for row in sorted(rows, key=_order)[:MOST_ROWS]]


def _order(row: Mapping[str, Any]) -> tuple[float, int, str, str, str]:
    place = KINDS.index(row["kind"])
    return (-row["similarity"], place, row["dataset_sha256"], row["document_id"], row["part"])


def _summary(
    spec: FindContamination,
    suite: Suite,
    probes: Sequence[Probe],
    rows: Sequence[Mapping[str, Any]],
    n_rows: Mapping[str, int],
) -> dict[str, Any]:
    worst: dict[str, dict[str, Any]] = {}
    for row in rows:
        told = {name: row[name] for name in ("similarity", "kind", "part")}
        worst.setdefault(row["task_id"], {**told, "n_rows": n_rows[row["task_id"]]})
    looked = {probe.task_id for probe in probes}
    by_shape = {probe.task_id for probe in probes if probe.view == SHAPE}
    asked = {name: value for name, value in to_dict(spec).items() if name not in ("suite", "datasets")}
    return {
        "suite": {"name": suite.name, "version": suite.version},
        "datasets": [to_dict(dataset) for dataset in spec.datasets],
        "problems": worst,
        "n_problems": len(suite.problems),
        "not_looked_for": {
            problem.task_id: f"fewer than {spec.min_tokens} tokens, or nothing that sets it apart from the others"
            for problem in suite.problems
            if problem.task_id not in looked
        },
        "not_renamed": sorted(looked - by_shape),
        "asked": asked,
    }
