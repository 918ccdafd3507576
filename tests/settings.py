"""The site's settings, on a Postgres and a Valkey that live as long as this test run. pytest-django loads this first.

A settings file, because pytest-django reads the database's address before any conftest.py runs. What is set in the
environment already (DATABASE_URL, REDIS_URL, YARD_STATE) is used as it is: a test's child process finds its parent's.
"""

from __future__ import annotations

import atexit
import contextlib
import os

from controlplane.pipeline.services.temporary import temporary_folder, temporary_servers

if not {"DATABASE_URL", "REDIS_URL", "YARD_STATE"} <= os.environ.keys():
    running = contextlib.ExitStack()
    atexit.register(running.close)
    folder = running.enter_context(temporary_folder())
    os.environ.setdefault("YARD_STATE", str(folder))
    if not {"DATABASE_URL", "REDIS_URL"} <= os.environ.keys():
        postgres, valkey = running.enter_context(temporary_servers(folder))
        os.environ.setdefault("DATABASE_URL", postgres.url)
        os.environ.setdefault("REDIS_URL", valkey.url)

from controlplane.settings import *  # noqa: F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # 0.2 s less per sign-in
