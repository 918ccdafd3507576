"""What every test run shares. The servers are started by tests/settings.py; tests/worker runs without Django."""

from __future__ import annotations

import importlib.util

# The worker's tests belong to the worker's environment (`./yard test` runs both); there is no torch in this one.
collect_ignore = ["worker"] if importlib.util.find_spec("django") else []

# The people of every test, and the servers of some; they need Django.
pytest_plugins = ["tests.cast", "tests.live"] if importlib.util.find_spec("django") else []
