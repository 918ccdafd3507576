"""The settings of production: clean under Django's own check, and refused outright where a secret is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRODUCTION = {
    "YARD_PRODUCTION": "1",
    "SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_",
    "ALLOWED_HOSTS": "yard.example",
    "DATABASE_URL": "postgres://yard:secret@db.example/yard",
    "REDIS_URL": "redis://redis.example/0",
}


def manage(tmp_path: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """manage.py with nothing of this run's environment but what is given."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "PYTHONPATH") if name in os.environ}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=kept | {"YARD_STATE": str(tmp_path)} | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_production_passes_djangos_deployment_check(tmp_path):
    done = manage(tmp_path, "check", "--deploy", "--fail-level", "WARNING", **PRODUCTION)
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


@pytest.mark.parametrize("missing", ["SECRET_KEY", "ALLOWED_HOSTS"])
def test_production_does_not_start_without(tmp_path, missing):
    done = manage(tmp_path, "check", **{name: value for name, value in PRODUCTION.items() if name != missing})
    assert done.returncode != 0
    assert f"Set {missing}" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_secret_may_come_from_a_file(tmp_path):
    (tmp_path / "key").write_text(PRODUCTION["SECRET_KEY"] + "\n")
    environment = PRODUCTION | {"SECRET_KEY": "", "SECRET_KEY_FILE": str(tmp_path / "key")}
    printed = manage(
        tmp_path, "shell", "-c", "from django.conf import settings; print(settings.SECRET_KEY)", **environment
    )
    assert PRODUCTION["SECRET_KEY"] in printed.stdout.split(), printed.stderr


def test_a_switch_that_is_neither_on_nor_off_is_said(tmp_path):
    done = manage(tmp_path, "check", YARD_PRODUCTION="yes")
    assert "YARD_PRODUCTION must be 1 or 0, not 'yes'" in done.stderr
