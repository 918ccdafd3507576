"""What a pipeline is asked to do. The first model's plan reads code that is on every machine, and ships none.

Sizes and times come from runs on two laptop cores: a Llama of 2 to 4 million parameters sees about 5,000 tokens a second,
so minutes buy tokens and little else; a cool-down over the last third is where most of the late gain comes from.
"""

from __future__ import annotations

import subprocess
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from worker import cleaning

HELD_OUT_PACKAGE = "django"  # measured on, never trained on: a package of good style that every control plane has
# Smaller ones teach little. Larger ones (generated bindings, a thousand near-copies of one model file) would be all it saw.
PACKAGE_BYTES = range(100_000, 12_000_000)
MAX_FILE_BYTES = 100_000  # beyond it are tables of numbers more often than code
TRAINING_SHARE = 0.55  # of the minutes; the rest is reading, packing, scoring and loading
BYTES_PER_MINUTE = 2_000_000  # of source text: what training can read once in that time, and some to choose from


@dataclass(frozen=True)
class FoundSource:
    name: str
    location: str
    is_held_out: bool


def first_model(minutes: float) -> dict[str, Any]:
    """The plan of the demo pipeline, as JSON: parameters by verb, scaled to `minutes` of wall time on two cores."""
    n_bytes = int(max(minutes, 2) * BYTES_PER_MINUTE)
    return {
        "sources": [vars(source) for source in find_sources()],
        "dataset": "python-on-this-machine",
        "model": "first-model",
        "ingest_dataset": {
            "steps": cleaning.with_parameters(
                {"language": {"languages": ["Python"]}, "size": {"max_bytes": MAX_FILE_BYTES}}
            ),
            "max_total_bytes": n_bytes,
            "held_out_share": 0.03,
        },
        "train_tokenizer": {"vocabulary_size": 4096, "sample_bytes": min(n_bytes, 20_000_000)},
        "build_shards": {"sequence_length": 256, "units": "functions"},
        "train_model": {"recipe": "first-model", "max_seconds": max(minutes, 1) * 60 * TRAINING_SHARE},
        "evaluate_model": {"suite": "starter-python", "samples": 1, "ks": [1]},
        "promote_model": {"alias": "staff", "reason": "The first model of this yard."},
    }


def find_sources() -> list[FoundSource]:
    """The Python standard library and the packages installed in both environments, by sysconfig."""
    found = {"python-stdlib": FoundSource("python-stdlib", sysconfig.get_paths()["stdlib"], False)}
    for site_packages in (Path(sysconfig.get_paths()["purelib"]), _worker_site_packages()):
        for package in _packages(site_packages):
            is_held_out = package.name == HELD_OUT_PACKAGE
            found.setdefault(package.name, FoundSource(package.name, str(package), is_held_out))
    return list(found.values())


def _packages(site_packages: Path) -> Iterator[Path]:
    for package in sorted(path for path in site_packages.iterdir() if (path / "__init__.py").is_file()):
        if package.name == HELD_OUT_PACKAGE or _n_bytes(package.rglob("*.py")) in PACKAGE_BYTES:
            yield package


def _n_bytes(files: Iterable[Path]) -> int:
    """Of the files that the plan keeps: a package of one huge file would be a source that gives nothing."""
    sizes = (file.stat().st_size for file in files)
    return sum(size for size in sizes if size <= MAX_FILE_BYTES)


def _worker_site_packages() -> Path:
    ask = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    answer = subprocess.run([settings.WORKER_PYTHON, "-c", ask], capture_output=True, text=True, check=True)
    return Path(answer.stdout.strip())
