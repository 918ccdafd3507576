"""The peers of ./yard bench data, each in an environment of its own that is made here, with pinned versions.

    text-dedup     MinHash near deduplication (which finds the exact copies too), xxh3 of 32 bits, its fastest
    datatrove      MinHash near deduplication, in four steps; its PII formatter as the peer of redaction
    data-juicer    the nearest recipe it has (bench/peers/data_juicer.yaml)

All read the Parquet files that ours reads, with as many processes as the machine has cores.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.measured import Failed, Use, measured

HERE = Path(__file__).with_name("peers")
WORKERS = os.cpu_count() or 1
INSTALL_SECONDS = 900
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
# What data-juicer imports without asking for it, and would install while it is measured, torch with CUDA among it.
LOADED_LATE = ("aiohttp==3.14.1", "ray==2.59.0", "ftfy==6.3.1", "scipy==1.17.1", "torch==2.13.0")
Command = Callable[[Path, Path, Path], list[str]]


@dataclass(frozen=True)
class Peer:
    """`command`: (python, folder of rows, empty folder) -> what to run."""

    name: str
    pins: tuple[str, ...]
    command: Command


def _text_dedup(python: Path, rows: Path, out: Path) -> list[str]:
    options = {
        "path": "parquet",
        "data_files": str(rows / "*.parquet"),
        "split": "train",
        "column": "content",
        "cache_dir": str(out / "cache"),
        "output": str(out / "kept"),
        "ngram": "5",
        "num_perm": "126",
        "b": "14",
        "r": "9",
        "threshold": "0.7",
        "hash_func": "xxh3",
        "hash_bits": "32",
        "num_proc": str(WORKERS),
    }
    return [str(python), "-m", "text_dedup.minhash", *(part for k, v in options.items() for part in (f"--{k}", v))]


def _datatrove(python: Path, rows: Path, out: Path) -> list[str]:
    return [str(python), str(HERE / "datatrove_minhash.py"), str(rows), str(out), str(WORKERS)]


def _data_juicer(python: Path, rows: Path, out: Path) -> list[str]:
    config = str(HERE / "data_juicer.yaml")
    given = ["--dataset_path", str(rows), "--export_path", str(out / "kept.jsonl"), "--np", str(WORKERS)]
    return [str(python.parent / "dj-process"), "--config", config, *given]


PEERS = (
    Peer("text-dedup", ("text-dedup==0.4.0",), _text_dedup),
    Peer("datatrove", ("datatrove[io,processing]==0.10.1",), _datatrove),
    Peer("data-juicer", ("py-data-juicer==1.6.1", *LOADED_LATE), _data_juicer),
)


def python_of(peer: Peer, folder: Path) -> Path | None:
    """The interpreter of its environment, made if it is not there; None, which is said, where it cannot be."""
    digest = hashlib.sha256(" ".join(peer.pins).encode()).hexdigest()[:8]
    home = folder / f"{peer.name}-{digest}"
    if (home / "done").exists():
        return home / "bin" / "python"
    print(f"peer {peer.name}: installing {', '.join(peer.pins)}", flush=True)
    pip = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    try:
        for command in ([sys.executable, "-m", "venv", str(home)], [*pip, *peer.pins]):
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    except subprocess.SubprocessError as error:
        said = str(getattr(error, "stderr", "") or error).strip().splitlines()
        print(f"peer {peer.name}: could not be installed: {said[-1][:300] if said else error}", flush=True)
        return None
    (home / "done").touch()
    return home / "bin" / "python"


def run(peer: Peer, python: Path, rows: Path, out: Path) -> Use | None:
    """What it used; None, which is said, where it failed."""
    out.mkdir(parents=True)
    try:
        return measured(peer.command(python, rows, out), out / "log", out, OFFLINE)
    except Failed as error:
        print(f"peer {peer.name}: failed: {str(error).splitlines()[-1][:300]} (all of it: {out / 'log'})", flush=True)
        return None


def redaction_rate(python: Path, rows: Path, megabytes: float) -> float:
    """MB per CPU second of datatrove's PII formatter; nan, which is said, where it failed."""
    command = [str(python), str(HERE / "datatrove_pii.py"), str(rows), str(megabytes)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        print(f"peer datatrove: its PII formatter failed: {done.stderr.strip()[-300:]}", flush=True)
        return math.nan
    said = json.loads(done.stdout.splitlines()[-1])
    return float(said["bytes"] / 1e6 / said["cpu_seconds"])
