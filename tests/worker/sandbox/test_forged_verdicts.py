"""Passing means having reached the end of the tests; nothing that a program says or does before counts."""

from __future__ import annotations

import pytest

from tests.worker.sandbox.conftest import Box


@pytest.mark.parametrize(
    "leaving",
    [
        "import os; os._exit(0)",
        "import sys; sys.exit(0)",
        "raise SystemExit(0)",
        "exit()",
        "import os; os.kill(os.getpid(), 9)",
    ],
)
def test_leaving_early_with_success_does_not_pass(box: Box, leaving: str) -> None:
    assert box(f"{leaving}\nassert False").outcome == "error"


def test_words_written_to_every_open_descriptor_do_not_pass(box: Box) -> None:
    verdict = box("""
        import os
        for fd in range(3, 128):
            for word in (b"passed\\n", b"ready\\n", b"0" * 32 + b"\\n"):
                try:
                    os.write(fd, word)
                except OSError:
                    pass
        os._exit(0)
    """)
    assert verdict.outcome in ("error", "sandbox_failed")


def test_a_flood_of_words_does_not_pass_for_a_sandbox_that_failed(box: Box) -> None:
    verdict = box("""
        import os
        for fd in range(3, 128):
            try:
                os.write(fd, b"sandbox_failed\\n" * 1000)
            except OSError:
                pass
        raise KeyError
    """)
    assert verdict.outcome == "error", verdict


def test_the_nonce_is_in_no_argument_variable_file_or_descriptor(box: Box) -> None:
    verdict = box("""
        import os, re, sys
        texts = [" ".join(sys.argv + sys.orig_argv), str(os.environ), open(__file__).read()]
        for fd in range(3, 128):
            try:
                os.set_blocking(fd, False)
                texts.append(os.read(fd, 4096).decode("latin1"))
            except OSError:
                pass
        found = [t for t in texts if re.search("[0-9a-f]" * 32, t)]
        assert not found, found
    """)
    assert verdict.outcome == "passed", verdict


def test_the_program_holds_no_descriptor_but_its_streams_and_the_verdict_pipe(box: Box) -> None:
    verdict = box("""
        import os, stat
        found = []
        for fd in range(3, 1024):
            try:
                found.append(os.fstat(fd).st_mode)
            except OSError:
                pass
        assert len(found) == 1 and stat.S_ISFIFO(found[0]), found
    """)
    assert verdict.outcome == "passed", verdict


def test_a_forked_child_that_reaches_the_end_does_not_pass_for_its_parent(box: Box) -> None:
    assert box("import os, time\nif os.fork():\n    time.sleep(0.2)\n    os._exit(0)").outcome == "error"
