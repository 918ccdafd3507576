"""What is chosen where the machine refuses the best."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.worker.sandbox.conftest import PLAIN_UID, ROOT
from worker.sandbox import SandboxUnavailable, accept_unsafe, landlock

# In a user namespace of its own that may make no further ones, as under many a container or sysctl.
_WITHOUT_NAMESPACES = """
import dataclasses, json, os
from pathlib import Path
from worker.sandbox import Program, Limits, kernel, probe, run
uid, gid = os.getuid(), os.getgid()
kernel.unshare(kernel.NEW_USER, "a user namespace")
Path("/proc/self/setgroups").write_text("deny")
Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
Path("/proc/sys/user/max_user_namespaces").write_text("0")
found = probe()
print(json.dumps([dataclasses.asdict(found), run(Program("assert 1"), Limits(), found).outcome]))
"""


def test_where_namespaces_are_refused_it_falls_back_to_landlock_and_says_why() -> None:
    if landlock.find_abi() < landlock.LEAST_ABI:
        pytest.skip(f"Landlock ABI {landlock.find_abi()}")
    packages = [path for path in sys.path if path.endswith("site-packages")]
    as_plain = {"user": PLAIN_UID, "group": PLAIN_UID, "extra_groups": []} if os.geteuid() == 0 else {}
    done = subprocess.run(
        ["/usr/bin/python3", "-c", _WITHOUT_NAMESPACES], capture_output=True, text=True, cwd=ROOT, check=False,
        env={"PYTHONPATH": ":".join([str(ROOT), *packages]), "PATH": "/usr/bin:/bin"}, **as_plain,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"no user namespace to forbid them in: {done.stderr[-200:]}")
    found, outcome = json.loads(done.stdout)
    assert (found["level"], outcome) == ("landlock", "passed")
    assert "bubblewrap: " in found["detail"] and "namespace" in found["detail"]


def test_a_landlock_that_cannot_refuse_tcp_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules["worker.sandbox.probe"]

    def refuse(*_: object) -> None:
        raise SandboxUnavailable("no namespaces")

    monkeypatch.setattr(module, "run", refuse)
    monkeypatch.setattr(landlock, "find_abi", lambda: 3)
    found = module.probe.__wrapped__()
    assert found.level == "none"
    assert found.detail == "bubblewrap: no namespaces; landlock: Landlock ABI 3, at least 4 is needed"
    assert accept_unsafe(found).level == "unsafe"


def test_where_only_forking_fails_python_is_started_and_the_reason_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules["worker.sandbox.probe"]
    real = module.run

    def without_zygote(program: object, limits: object, isolation: object) -> object:
        if isolation.zygote:
            raise SandboxUnavailable("mount_setattr")
        return real(program, limits, isolation)

    monkeypatch.setattr(module, "run", without_zygote)
    found = module.probe.__wrapped__()
    if found.level != "bubblewrap":
        pytest.skip(found.detail)
    assert (found.zygote, found.detail) == (False, "zygote: mount_setattr")
