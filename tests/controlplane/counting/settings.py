"""The test settings with the counting stage in place of the worker, and its kind among those that a worker may call."""

from __future__ import annotations

import sys

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.controlplane.counting"]
WORKER_COMMAND = [sys.executable, "-m", "tests.controlplane.counting.stage"]
JOB_CONCURRENCY = {"count": 2}
