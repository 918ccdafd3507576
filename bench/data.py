# environment: worker
"""./yard bench data: what cleaning costs and finds, against the peers, on a real corpus made here.

    python -m bench.data [--megabytes 450] [--folder var/bench-data] [--peer-megabytes 60] [--without NAME ...]

The corpus is built from packages of the registries (bench.corpus), planted with copies and secrets whose truth is known
(bench.data_plants), and read by all sides from the same Parquet files, one run after another, ours before and after the
peers. Speed is MB of text per CPU second of the whole process tree, start-up included; only kernels are measured alone. What was loaded
and installed stays in the folder, and is not part of the time.

    cleaning            every step but the parse check, against text-dedup and datatrove, which only deduplicate, and
                        data-juicer, whose recipe is the nearest to ours (on --peer-megabytes of the same rows)
    cleaning_parsed     with the parse check of six languages (PARSED)
    minhash, redaction  the kernels, against Daft's minhash and datatrove's PII formatter
    tokenizer_*         training and encoding against HF tokenizers, with equal merges and ids
    found_*             shares of the plants that were found; memory_*: of the largest process, for a quarter and the whole
    slider_ms           a question of the filter page on a million rows, against the second that it may take
    the_stack_*         what 2.7 TB would take, by phase, from these figures

A figure whose peer could not be installed or failed has peer=nan, and the reason is printed. Results:
bench/results/data.json.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import platform
import shutil
import statistics
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow.parquet as pq

from bench import corpus, data_peers, data_plants, data_quality
from bench.measured import Use, measured
from worker.cleaning import with_parameters
from worker.data.minhash import BANDS, BINS
from worker.specs import IngestDataset, IngestRecipe, SourceSpec, StepSpec

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).with_name("results") / "data.json"
STACK_BYTES = 2.7e12
KERNEL_MEGABYTES = 48.0
SLIDER_ROWS, SLIDER_MS = 1_000_000, 1000.0
PAGES_PYTHON = ROOT / ".venv" / "controlplane" / "bin" / "python"
PARSED = ("C", "Go", "Java", "JavaScript", "Python", "TypeScript")
GOALS = {"text-dedup": 8.0, "datatrove": 8.0, "data-juicer": 15.0}


@dataclass(frozen=True)
class Run:
    """One ingest: what it used, its CPU seconds by phase, and where its dataset lies."""

    use: Use
    phases: Mapping[str, float]
    dataset: Path


@dataclass
class Report:
    """Figures as they are found: each is printed at once and kept."""

    figures: list[dict[str, Any]] = dataclasses.field(default_factory=list)

    def figure(self, name: str, ours: float, peer: float, goal: float, unit: str) -> None:
        ratio = ours / peer if peer else math.nan
        name = f"data/{name}"
        print(f"figure {name} ours={ours:.4g} peer={peer:.4g} ratio={ratio:.3f} goal={goal:g} unit={unit}", flush=True)
        row = {"figure": name, "ours": ours, "peer": peer, "ratio": ratio, "goal": goal, "unit": unit}
        self.figures.append({key: None if value != value else value for key, value in row.items()})


def ingest(name: str, rows: Path, folder: Path, *, parse: bool) -> Run:
    """The stage as the control plane starts it, in a folder and a storage of its own."""
    job = folder / "jobs" / name
    shutil.rmtree(job, ignore_errors=True)
    job.mkdir(parents=True)
    steps = with_parameters({"parse": {"languages": PARSED}}, without=() if parse else ("parse",))
    recipe = IngestRecipe(tuple(StepSpec(step["name"], step["parameters"]) for step in steps))
    spec = IngestDataset((SourceSpec("corpus", str(rows / "*.parquet"), kind="parquet"),), recipe)
    (job / "spec.json").write_text(json.dumps(dataclasses.asdict(spec)))
    variables = {"STORAGE_URL": str(job / "storage"), "RAY_ADDRESS": "", "SPARK_REMOTE": ""}
    command = [sys.executable, "-m", "worker", "ingest_dataset", str(job)]
    use = measured(command, job / "log", ROOT, variables)
    made = json.loads((job / "manifest.json").read_text())["outputs"]["dataset"]["uri"]
    return Run(use, phases(job / "events.jsonl", use), Path(urlsplit(made).path))


def phases(events: Path, use: Use) -> dict[str, float]:
    """CPU seconds between one named phase and the next; what comes before the first is "start"."""
    said = [json.loads(line) for line in events.read_text().splitlines()]
    begun = [("start", 0.0), *((event["phase"], event["at"]) for event in said if event["event"] == "stage.entered")]
    ends = [use.cpu_at(at) for _, at in begun[1:]] + [use.cpu_seconds]
    starts = [0.0, *ends[:-1]]
    return {name: end - start for (name, _), start, end in zip(begun, starts, ends, strict=True)}


def size_of(rows: Path) -> int:
    """Bytes of text."""
    return sum(len(row["content"].encode()) for row in data_plants.read(rows))


def part_of(rows: Path, folder: Path, share: float) -> Path:
    """The first files' rows up to a share of all, as a folder of its own."""
    if not folder.exists():
        every = data_plants.read(rows)
        corpus.write(every[: max(1, int(share * len(every)))], folder)
    return folder


def say(text: str) -> None:
    print(text, flush=True)


# ---- the parts -------------------------------------------------------------------------------------------------------


def cleaning(rows: Path, n_bytes: int, asked: argparse.Namespace, report: Report) -> Run:
    """Ours, the peers, ours again; the last of ours is what the plants are looked for in."""
    runs = [_ours("cleaning", rows, asked.folder, parse=False, n_bytes=n_bytes)]
    few = part_of(rows, rows.with_name(f"rows-{asked.peer_megabytes}"), min(1.0, asked.peer_megabytes * 1e6 / n_bytes))
    found = {peer.name: _peer(peer, rows, few, asked) for peer in data_peers.PEERS if peer.name not in asked.without}
    runs.append(_ours("cleaning", rows, asked.folder, parse=False, n_bytes=n_bytes))
    rate = n_bytes / 1e6 / statistics.median(run.use.cpu_seconds for run in runs)
    for name, theirs in found.items():
        report.figure(f"cleaning_{name}", rate, theirs, GOALS[name], "MB/cpu-s")
    report.figure("cleaning", rate, 20.0, 1.0, "MB/cpu-s")
    parsed = _ours("cleaning_parsed", rows, asked.folder, parse=True, n_bytes=n_bytes)
    report.figure("cleaning_parsed", n_bytes / 1e6 / parsed.use.cpu_seconds, 10.0, 1.0, "MB/cpu-s")
    return runs[-1]


def _ours(name: str, rows: Path, folder: Path, *, parse: bool, n_bytes: int) -> Run:
    run = ingest(name, rows, folder, parse=parse)
    spent = ", ".join(f"{phase} {seconds:.1f}" for phase, seconds in run.phases.items())
    say(
        f"ours {name}: {n_bytes / 1e6 / run.use.cpu_seconds:.1f} MB/cpu-s; {run.use.wall_seconds:.0f} s; cpu-s: {spent}"
    )
    return run


def _peer(peer: data_peers.Peer, rows: Path, few: Path, asked: argparse.Namespace) -> float:
    """MB per CPU second; nan where it is not there."""
    python = data_peers.python_of(peer, asked.folder / "peers")
    given = few if peer.name == "data-juicer" else rows
    out = asked.folder / "jobs" / peer.name
    shutil.rmtree(out, ignore_errors=True)
    use = data_peers.run(peer, python, given, out) if python else None
    if use is None:
        return math.nan
    rate = size_of(given) / 1e6 / use.cpu_seconds
    say(f"peer {peer.name}: {rate:.2f} MB/cpu-s; {use.wall_seconds:.0f} s; {use.peak_bytes / 1e6:.0f} MB")
    return rate


def kernels(rows: Path, n_bytes: int, asked: argparse.Namespace, report: Report) -> None:
    megabytes = min(KERNEL_MEGABYTES, n_bytes / 1e6)
    log = asked.folder / "jobs" / "kernels.log"
    measured([sys.executable, "-m", "bench.data_kernels", str(rows), str(megabytes)], log, ROOT)
    found = json.loads(log.read_text().splitlines()[-1])
    datatrove = next(peer for peer in data_peers.PEERS if peer.name == "datatrove")
    python = None if "datatrove" in asked.without else data_peers.python_of(datatrove, asked.folder / "peers")
    theirs = data_peers.redaction_rate(python, rows, min(8.0, megabytes)) if python else math.nan
    report.figure("minhash", found["minhash"]["ours"], found["minhash"]["peer"], 3.0, "MB/cpu-s")
    report.figure("minhash_absolute", found["minhash"]["ours"], 150.0, 1.0, "MB/cpu-s")
    report.figure("redaction", found["redaction"]["ours"], theirs, 15.0, "MB/cpu-s")
    report.figure("redaction_absolute", found["redaction"]["ours"], 150.0, 1.0, "MB/cpu-s")
    for name, goal in (("training", 8.0), ("encoding", 15.0)):
        report.figure(f"tokenizer_{name}", found[name]["ours"], found[name]["peer"], goal, "MB/cpu-s")


def quality(run: Run, planted: Path, report: Report) -> dict[str, Any]:
    """The peer of these lines is the goal."""
    found = data_quality.judge(run.dataset, planted)
    for name, share, goal in (
        ("exact", found.exact, 1.0),
        ("near_085", found.near_085, 0.99),
        ("near_07", found.near_07, 0.97),
        ("removals_within_07", found.precision, 0.94),
        ("secrets", found.recall, 0.97),
    ):
        report.figure(f"found_{name}", share, goal, 1.0, "share")
    report.figure("decoys_hit", found.decoys_hit, 0.02, 1.0, "share")
    say(f"counted: {dict(found.counts)}, {found.kinds} kinds; missed: {dict(found.missed)}; hit: {dict(found.harmed)}")
    return dataclasses.asdict(found)


def memory(whole: Run, rows: Path, n_bytes: int, asked: argparse.Namespace, report: Report) -> None:
    """The ratio of the second line should not pass its goal: four times the data, at most 15 % more."""
    quarter = part_of(rows, rows.with_name("rows-quarter"), 0.25)
    small = _ours("quarter", quarter, asked.folder, parse=False, n_bytes=n_bytes // 4)
    report.figure("memory_peak", whole.use.peak_bytes / 1e6, 1000.0, 1.0, "MB")
    report.figure("memory_at_4x", whole.use.peak_bytes / 1e6, small.use.peak_bytes / 1e6, 1.15, "MB")


def slider(run: Run, asked: argparse.Namespace, report: Report) -> None:
    """In the control plane's environment, where the page is."""
    log, measures = asked.folder / "jobs" / "slider.log", run.dataset / "measures.parquet"
    command = [str(PAGES_PYTHON), "-m", "bench.data_slider", str(measures), "--rows", str(SLIDER_ROWS)]
    measured(command, log, ROOT)
    found = json.loads(log.read_text().splitlines()[-1])
    say(f"slider: {found['p50_ms']:.0f} ms at the median over {found['rows']:,} rows ({found['bytes'] / 1e6:.0f} MB)")
    report.figure("slider_ms", found["p95_ms"], SLIDER_MS, 1.0, "ms")


def projection(run: Run, rows: Path, n_bytes: int, report: Report) -> dict[str, Any]:
    """Core hours for The Stack, by phase. Start-up is paid once; all else grows with the data, clustering with the rows."""
    scale = STACK_BYTES / n_bytes / 3600
    hours = {phase: seconds * scale for phase, seconds in run.phases.items() if phase != "start"}
    documents = sum(pq.ParquetFile(file).metadata.num_rows for file in rows.glob("*.parquet")) * STACK_BYTES / n_bytes
    most = max(hours, key=lambda phase: hours[phase])
    for phase, value in hours.items():
        report.figure(f"the_stack_{phase.replace(' ', '_')}", value, sum(hours.values()), 1.0, "core-hours")
    say(
        f"The Stack (2.7 TB, about {documents / 1e6:.0f} M files of this size): {sum(hours.values()):.0f} core hours; "
        f"{most} dominates with {hours[most] / sum(hours.values()):.0%}. Keys and sketches would be "
        f"{documents * (4 * BANDS + BINS) / 1e9:.0f} GB: deduplication reads them on one machine, in passes over bands."
    )
    return {"core_hours": hours, "documents": documents, "dominates": most}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=450)
    parser.add_argument("--folder", type=Path, default=ROOT / "var" / "bench-data")
    parser.add_argument("--peer-megabytes", type=int, default=60, help="what data-juicer gets (%(default)s)")
    parser.add_argument("--without", nargs="*", default=[], choices=list(GOALS), help="peers to leave out")
    asked = parser.parse_args()
    asked.folder = asked.folder.resolve()
    planted = data_plants.planted(corpus.build(asked.folder, asked.megabytes))
    rows, report = planted / "rows", Report()
    n_bytes = size_of(rows)
    say(f"{n_bytes / 1e6:.1f} MB of text in {rows}")
    (asked.folder / "jobs").mkdir(exist_ok=True)
    run = cleaning(rows, n_bytes, asked, report)
    kernels(rows, n_bytes, asked, report)
    found = quality(run, planted, report)
    memory(run, rows, n_bytes, asked, report)
    slider(run, asked, report)
    projected = projection(run, rows, n_bytes, report)
    machine = {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    machine |= {"load_average": os.getloadavg()[1]}
    say(f"load average {machine['load_average']:.1f} of the last 5 minutes on {machine['cores']} cores")
    written = {"options": {key: str(value) for key, value in vars(asked).items()}, "machine": machine}
    written |= {"bytes": n_bytes, "figures": report.figures, "quality": found, "projection": projected}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(written, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
