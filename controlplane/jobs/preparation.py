"""What a stage finds when it starts: its directory, its spec, and an environment without a secret of ours."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

from django.conf import settings

from controlplane.jobs import processes
from controlplane.jobs.kinds import kind_of
from controlplane.jobs.models import Job
from controlplane.jobs.relay import job_dir
from worker.manifest import write_atomically

# What goes through from our own environment. A stage runs other people's code and data: no DATABASE_URL, no REDIS_URL,
# no SECRET_KEY. The AWS and proxy names are how fsspec reaches an object store.
KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES",
        "XDG_CACHE_HOME", "RUNTIME_LIBRARIES", "YARD_STAGE_MEMORY_MB", "NUMBA_CACHE_DIR")  # fmt: skip
KEPT_PREFIXES = ("LC_", "AWS_")


def prepare(job: Job) -> Path:
    """Write the spec and clear what an earlier attempt must not say for this one. Raises StageFailure for a refusal."""
    spec = kind_of(job).spec_for(job)
    folder = job_dir(job)
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("stop", "manifest.json"):
        (folder / name).unlink(missing_ok=True)
    write_atomically(folder / "spec.json", json.dumps(dataclasses.asdict(spec), indent=1, sort_keys=True))
    return folder


def environment(job: Job) -> dict[str, str]:
    """The stage's variables, all of them."""
    kind = kind_of(job)
    own = {key: value for key, value in os.environ.items() if key in KEPT or key.startswith(KEPT_PREFIXES)}
    ours = {
        "STORAGE_URL": settings.STORAGE_URL,
        "TRITON_URL": settings.TRITON_URL,
        "TRITON_MODEL_REPOSITORY": str(settings.TRITON_MODEL_REPOSITORY),
        "YARD_ATTEMPT": str(job.attempt),
        "YARD_PARENT_PID": str(os.getpid()),
        processes.MARK: processes.mark(job),
        # Threads that spin while they wait take the second core from everything else on a small machine.
        "OMP_WAIT_POLICY": "PASSIVE",
        "GOMP_SPINCOUNT": "0",
        "PYTHONUNBUFFERED": "1",
    }
    return own | ours | (kind.environment(job) if kind.environment is not None else {})
