"""The test settings with the counting stage in place of the worker."""

from __future__ import annotations

import sys

from tests.settings import *  # noqa: F403

WORKER_COMMAND = [sys.executable, "-m", "tests.controlplane.counting.stage"]
JOB_CONCURRENCY = {"count": 2}
