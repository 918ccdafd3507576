"""Python as a toolchain: the interpreter that runs us, so that a score needs no other.

Its base, not the virtual environment: programs see Python and what it ships, none of our packages.
"""

from __future__ import annotations

import functools
import os
import shlex
import sys
from pathlib import Path

from worker.sandbox import in_sandbox
from worker.sandbox.program import Toolchain

VERDICT_FILE = "_verdict.py"
# Without user site and the program's folder on the path, and without .pyc files. Not -I: it would ignore PYTHONHASHSEED.
OPTIONS = ("-s", "-P", "-B")


def executable() -> str:
    return os.path.realpath(getattr(sys, "_base_executable", sys.executable))


@functools.cache
def toolchain() -> Toolchain:
    prefix = os.path.realpath(sys.base_prefix)
    elsewhere = not Path(prefix).is_relative_to("/usr")
    command = shlex.join([executable(), *OPTIONS, VERDICT_FILE, "program.py"])
    return Toolchain(
        file="program.py",
        run=f"exec {command}",
        files=((VERDICT_FILE, Path(in_sandbox.__file__).read_text(encoding="utf-8")),),
        # Where it is seen in another place (Landlock's stage), its library is not where it was built to look.
        environment=(("LD_LIBRARY_PATH", f"{prefix}/lib"),) if elsewhere else (),
        roots=(prefix,) if elsewhere else (),
    )
