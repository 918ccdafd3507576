"""NVIDIA's perf_analyzer against a model that speaks Triton's vLLM tensors.

The binary is in the tritonclient wheels 2.41 to 2.60; 2.51.0 is the newest that runs on glibc 2.36. Its wheel is
unpacked, never installed: its Python half wants other versions than ours. It links libb64 and the CUDA runtime, which
the nvidia-pytriton wheel carries under hashed names.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

WHEEL = "tritonclient==2.51.0"
LIBRARIES = ("libb64.so.0d", "libcudart.so.12")
REQUESTS = 60  # a measurement; three of them in a row decide


@dataclass(frozen=True)
class Load:
    """What perf_analyzer measured at one concurrency: whole requests."""

    requests_per_second: float
    p50_ms: float
    p95_ms: float


def perf_analyzer(folder: Path, triton: str, model: str, prompts: Sequence[str], tokens: int, concurrency: int) -> Load:
    """Requests of `tokens` tokens each, `concurrency` at a time, streamed over gRPC."""
    binary, environment = _unpacked(folder / "perf")
    asked, found = folder / "prompts.json", folder / f"load-{concurrency}.csv"
    data = [{"text_input": [prompt], "max_tokens": [tokens], "stream": [True]} for prompt in prompts]
    asked.write_text(json.dumps({"data": data}))
    argv = [str(binary), "-m", model, "-i", "grpc", "-u", triton, "--streaming", "--async", "--input-data", str(asked)]
    argv += ["--concurrency-range", str(concurrency), "--measurement-mode", "count_windows"]
    argv += ["--measurement-request-count", str(REQUESTS), "--max-trials", "4", "-s", "900", "--percentile", "95"]
    argv += [option for name in ("text_input", "max_tokens", "stream") for option in ("--shape", f"{name}:1")]
    done = subprocess.run([*argv, "-f", str(found)], env=environment, capture_output=True, text=True)
    if done.returncode or not found.exists():
        raise SystemExit(f"perf_analyzer failed ({done.returncode}):\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    (row,) = csv.DictReader(found.read_text().splitlines())
    to_ms = 1 / 1000
    return Load(float(row["Inferences/Second"]), float(row["p50 latency"]) * to_ms, float(row["p95 latency"]) * to_ms)


def _unpacked(folder: Path) -> tuple[Path, dict[str, str]]:
    binary = folder / "perf_analyzer"
    if not binary.exists():
        argv = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", WHEEL, "--dest", str(folder)]
        subprocess.run(argv, check=True, stderr=subprocess.DEVNULL)
        (wheel,) = folder.glob("tritonclient-*.whl")
        with zipfile.ZipFile(wheel) as archive:
            (name,) = (name for name in archive.namelist() if name.endswith("/bin/perf_analyzer"))
            binary.write_bytes(archive.read(name))
        binary.chmod(0o755)
        _link_libraries(folder)
    return binary, {**os.environ, "LD_LIBRARY_PATH": str(folder)}


def _link_libraries(folder: Path) -> None:
    carried = sorted(settings.WORKER_PYTHON.parents[1].glob("lib/python*/site-packages/nvidia_pytriton.libs/*"))
    for name in LIBRARIES:
        stem, version = name.split(".so.")
        matches = [file for file in carried if file.name.startswith(stem) and f".so.{version}" in file.name]
        if not matches:
            raise SystemExit(f"perf_analyzer needs {name}, which nvidia-pytriton no longer carries; use --no-load.")
        (folder / name).symlink_to(matches[0])
