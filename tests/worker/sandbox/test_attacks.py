"""One adversarial property per test. The programs assert from inside what the sandbox promises, and tests look from
outside.
"""

from __future__ import annotations

import os
import platform
import shutil
import socket
import tempfile
import threading
import uuid
from pathlib import Path

import pytest

from tests.worker.sandbox.conftest import Box
from worker.sandbox import Limits


def alive(marker: str) -> list[str]:
    """Processes whose command line holds the marker."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if marker.encode() in path.read_bytes():
                found.append(str(path))
        except OSError:
            continue
    return found


def test_a_fork_bomb_is_bounded_and_leaves_nothing(box: Box, quick: Limits) -> None:
    marker = uuid.uuid4().hex
    verdict = box(
        f"""
        import os, subprocess
        while True:
            try:
                if os.fork() == 0:
                    os.execv("/bin/sh", ["sh", "-c", "sleep 60; : {marker}"])
            except OSError:
                pass
        """,
        quick,
    )
    assert verdict.outcome == "timeout"
    assert alive(marker) == []


def test_a_fork_bomb_of_a_shell_is_bounded(box: Box, quick: Limits) -> None:
    verdict = box("import subprocess\nsubprocess.run(['bash', '-c', ':(){ :|:& };:; sleep 60'])", quick)
    assert verdict.outcome == "timeout"


def test_a_memory_bomb_in_one_process_is_stopped(box: Box) -> None:
    verdict = box("data = []\nwhile True:\n    data.append(bytearray(b'x' * 10_000_000))")
    assert verdict.outcome == "memory"


def test_memory_spread_over_many_processes_is_stopped(box: Box) -> None:
    verdict = box("""
        import os, time
        for n in range(20):
            if os.fork() == 0:
                data = os.urandom(1000) * 100_000
                time.sleep(30)
        time.sleep(30)
    """)
    assert verdict.outcome == "memory"


@pytest.mark.parametrize("folder", ["/tmp", "/box", "/dev/shm"])
def test_filling_a_folder_stops_at_its_size(namespaces: Box, folder: str) -> None:
    verdict = namespaces(f"""
        for n in range(1000):
            with open(f"{folder}/{{n}}", "wb") as file:
                file.write(b"x" * 8_000_000)
    """)
    assert verdict.outcome == "disk", verdict


def test_filling_its_own_folder_ends_as_disk(box: Box) -> None:
    verdict = box(
        "import time\nfor n in range(1000):\n    open(str(n), 'wb').write(b'x' * 8_000_000)\n    time.sleep(0.02)"
    )
    assert verdict.outcome == "disk", verdict


def test_a_single_huge_file_is_refused(box: Box) -> None:
    assert box("with open('f', 'wb') as file:\n    file.truncate(1 << 40)").outcome == "disk"


def test_all_that_it_may_write_together_is_bounded(namespaces: Box) -> None:
    verdict = namespaces("""
        import os
        written = 0
        for folder in ("/tmp", "/box", "/dev/shm"):
            for n in range(100):
                try:
                    with open(f"{folder}/{n}", "wb") as file:
                        file.write(b"x" * 1_000_000)
                except OSError:
                    break
                written += 1_000_000
        assert 50_000_000 < written <= 64 * 2**20, written
    """)
    assert verdict.outcome == "passed", verdict


def test_a_flood_of_empty_files_is_stopped(box: Box) -> None:
    verdict = box("for n in range(10_000_000):\n    open(str(n), 'w').close()", Limits(cpu_seconds=20))
    assert verdict.outcome == "disk", verdict


def test_the_files_size_is_limited(box: Box) -> None:
    assert box("open('f', 'wb').write(b'x' * 20_000_000)").outcome == "disk"


def test_nothing_outside_its_folder_can_be_written(box: Box) -> None:
    verdict = box("""
        import os
        for place in ("/", "/usr", "/dev", "/etc", "/usr/lib", "/var", "/root", "../.."):
            try:
                open(os.path.join(place, "planted"), "w")
            except OSError:
                continue
            raise AssertionError(place)
    """)
    assert verdict.outcome == "passed", verdict


def test_accounts_homes_and_other_processes_cannot_be_read(box: Box) -> None:
    verdict = box(f"""
        paths = ["/etc/passwd", "/etc/shadow", "/etc/hostname", "/root/.profile", "/proc/{os.getpid()}/environ",
                 "/proc/1/root/etc/passwd", {__file__!r}]
        for path in paths:
            try:
                text = open(path).read()
            except OSError:
                continue
            assert not text, path
    """)
    assert verdict.outcome == "passed", verdict


def test_a_symlink_does_not_lead_out(box: Box) -> None:
    assert box("import os\nos.symlink('/etc/passwd', 'link')\nopen('link').read()").outcome == "error"


def test_the_environment_holds_no_secret(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    verdict = box("""
        import glob, os
        texts = [str(os.environ)]
        for path in glob.glob("/proc/*/environ"):
            try:
                texts.append(open(path).read())
            except OSError:
                pass
        assert "SECRET_TOKEN" not in str(texts)
    """)
    assert verdict.outcome == "passed", verdict


def test_a_listener_on_the_hosts_loopback_is_never_reached(box: Box) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        accepted: list[object] = []
        server.settimeout(1.5)

        def accept() -> None:
            try:
                accepted.append(server.accept())
            except TimeoutError:
                return

        thread = threading.Thread(target=accept)
        thread.start()
        verdict = box(f"import socket\nsocket.create_connection(('127.0.0.1', {server.getsockname()[1]}), 1)")
        thread.join()
    assert verdict.outcome == "error"
    assert accepted == []


def test_an_abstract_socket_of_the_host_is_not_reached(box: Box) -> None:
    name = f"\0sandbox-{uuid.uuid4().hex}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(name)
        server.listen()
        verdict = box(f"import socket\nsocket.socket(socket.AF_UNIX).connect({name!r})")
    assert verdict.outcome == "error"


def test_a_socket_file_of_the_host_is_not_reached(box: Box) -> None:
    folder = Path(tempfile.mkdtemp(dir="/var/tmp"))
    folder.chmod(0o755)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "s"))
        (folder / "s").chmod(0o777)
        server.listen()
        verdict = box(f"import socket\nsocket.socket(socket.AF_UNIX).connect({str(folder / 's')!r})")
    shutil.rmtree(folder)
    assert verdict.outcome == "error"


def test_no_name_is_looked_up(box: Box) -> None:
    assert box("import socket\nsocket.getaddrinfo('example.com', 80)").outcome == "error"


def test_netlink_packet_and_vsock_sockets_are_refused(box: Box) -> None:
    verdict = box("""
        import socket
        for family in (16, 17, 40):
            try:
                socket.socket(family, socket.SOCK_RAW)
            except OSError:
                continue
            raise AssertionError(family)
    """)
    assert verdict.outcome == "passed", verdict


def test_its_parents_and_everyone_else_survive_its_signals(box: Box) -> None:
    verdict = box(f"""
        import os, signal
        for pid in ({os.getpid()}, 1, os.getppid(), -1):
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
    """)
    assert verdict.outcome in ("passed", "error")  # -1 may reach the program itself, and only it
    assert box("pass").outcome == "passed"


def test_endless_output_is_cut(box: Box) -> None:
    verdict = box("while True:\n    print('x' * 1000)")
    assert verdict.outcome == "output"
    assert len(verdict.stdout) <= 4096


def test_a_busy_loop_is_ended_by_its_processor_time_and_not_retried(box: Box, quick: Limits) -> None:
    verdict = box("while True:\n    pass", Limits(cpu_seconds=0.5, wall_seconds=30.0))
    assert (verdict.outcome, verdict.retried) == ("timeout", False)
    assert verdict.cpu_seconds >= 0.5


def test_ignoring_every_signal_and_sleeping_is_a_timeout_after_one_retry_alone(box: Box, quick: Limits) -> None:
    verdict = box(
        """
        import signal, time
        for number in range(1, 65):
            try:
                signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError):
                pass
        time.sleep(60)
        """,
        quick,
    )
    assert (verdict.outcome, verdict.retried) == ("timeout", True)


def test_stopping_itself_is_a_timeout(box: Box, quick: Limits) -> None:
    assert box("import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)", quick).outcome == "timeout"


def test_a_daemon_that_holds_the_pipes_ends_with_the_program(box: Box) -> None:
    marker = uuid.uuid4().hex
    verdict = box(f"""
        import os, time
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.execv("/bin/sh", ["sh", "-c", "sleep 60; : {marker}"])
            os._exit(0)
        time.sleep(0.2)
    """)
    assert verdict.outcome == "passed", verdict
    assert alive(marker) == []


@pytest.mark.parametrize(
    ("call", "arguments"),
    [("ptrace", "(0, 0, 0, 0)"), ("unshare", "(0x10000000,)"), ("mount", "(b'none', b'/tmp', b'tmpfs', 0, None)"),
     ("setns", "(0, 0)"), ("memfd_create", "(b'x', 0)"), ("shmget", "(0, 4096, 0o1600)"), ("chroot", "(b'/tmp',)"),
     ("syscall", "(425, 8, 0)"), ("syscall", "({'x86_64': 321, 'aarch64': 280}[os.uname().machine], 0, 0, 0)"),
     ("syscall", "({'x86_64': 250, 'aarch64': 219}[os.uname().machine], 0, 0, 0)")],
    ids=["ptrace", "unshare", "mount", "setns", "memfd_create", "shmget", "chroot", "io_uring", "bpf", "keyctl"],
)  # fmt: skip
def test_calls_into_the_kernels_privileged_parts_are_refused(box: Box, call: str, arguments: str) -> None:
    verdict = box(f"""
        import ctypes, errno, os
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.{call}(*{arguments}) == -1
        assert ctypes.get_errno() == errno.EPERM, ctypes.get_errno()
    """)
    assert verdict.outcome == "passed", verdict


def test_a_new_user_namespace_cannot_be_made_through_clone(box: Box) -> None:
    verdict = box("""
        import ctypes, errno, platform
        libc = ctypes.CDLL(None, use_errno=True)
        number = {"x86_64": 56, "aarch64": 220}[platform.machine()]
        assert libc.syscall(number, 0x10000000 | 17, 0, 0, 0, 0) == -1
        assert ctypes.get_errno() == errno.EPERM
    """)
    assert verdict.outcome == "passed", verdict


@pytest.mark.skipif(platform.machine() != "x86_64", reason="x32 is a matter of x86_64")
def test_a_call_by_its_x32_number_kills(box: Box) -> None:
    verdict = box("import ctypes\nctypes.CDLL(None).syscall(0x4000_0000 + 39)")
    assert (verdict.outcome, verdict.detail) == ("error", "ended before its tests did: killed by signal 31")


def test_settings_of_the_kernel_cannot_be_written(box: Box) -> None:
    verdict = box("""
        for path in ("/proc/sys/kernel/hostname", "/proc/sys/user/max_user_namespaces", "/proc/sysrq-trigger"):
            try:
                open(path, "w").write("1")
            except OSError:
                continue
            raise AssertionError(path)
    """)
    assert verdict.outcome == "passed", verdict


def test_becoming_somebody_else_is_refused(box: Box) -> None:
    assert box("import subprocess\nsubprocess.run(['su', '-c', 'true'], check=True)").outcome == "error"


def test_forbidding_a_look_at_its_memory_does_not_hide_it(box: Box) -> None:
    verdict = box("""
        import ctypes, time
        ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)
        data = b"x" * 700_000_000
        time.sleep(30)
    """)
    assert verdict.outcome == "memory", verdict


def test_limits_cannot_be_raised_and_root_cannot_be_had(box: Box) -> None:
    verdict = box("""
        import os, resource
        assert os.getuid() != 0
        for attempt in (lambda: os.setuid(0), lambda: resource.setrlimit(resource.RLIMIT_NPROC, (9999, 9999))):
            try:
                attempt()
            except (OSError, ValueError):
                continue
            raise AssertionError(attempt)
    """)
    assert verdict.outcome == "passed", verdict
