"""The whole story with real parts: raw Python files to a completion out of Triton, by one command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from controlplane.pipeline.services.temporary import temporary_folder

ROOT = Path(__file__).parents[2]
# Our own: the demo starts a Postgres, a Valkey and a Triton for itself.
REPLACED = {"DATABASE_URL", "REDIS_URL", "TRITON_URL", "STORAGE_URL", "DJANGO_SETTINGS_MODULE"}


@pytest.mark.slow
def test_the_demo_goes_from_raw_code_to_a_completion_and_leaves_nothing_running():
    with temporary_folder() as state:
        environment = {name: value for name, value in os.environ.items() if name not in REPLACED}
        demo = subprocess.run(
            [sys.executable, "manage.py", "demo", "--minutes", "1"],
            cwd=ROOT,
            env=environment | {"YARD_STATE": str(state)},
            capture_output=True,
            text=True,
            timeout=1500,
        )
        assert demo.returncode == 0, demo.stdout + demo.stderr
        assert "7 of 7 done; succeeded" in demo.stdout
        assert "pass@1" in demo.stdout
        assert demo.stdout.rstrip().endswith("The demo is complete.")
        left = subprocess.run(["pgrep", "-f", str(state)], capture_output=True, text=True).stdout.split()
        assert left == []
