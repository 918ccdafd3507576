"""A sandbox that refuses everything holds every attack; honest programs must work."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.worker.sandbox.conftest import Box


def test_a_true_assertion_passes_and_a_false_one_fails(box: Box) -> None:
    assert box("assert 1 + 1 == 2").outcome == "passed"
    assert box("assert 1 + 1 == 3").outcome == "failed"


def test_a_program_that_raises_or_does_not_parse_is_an_error_with_its_last_line(box: Box) -> None:
    verdict = box("{}['absent']")
    assert (verdict.outcome, verdict.detail) == ("error", "KeyError: 'absent'")
    assert box("def f(:").outcome == "error"


def test_files_can_be_written_read_renamed_and_removed(box: Box) -> None:
    verdict = box("""
        import os, tempfile
        os.makedirs("a/b")
        with open("a/b/c.txt", "w") as file:
            file.write("text")
        os.rename("a/b/c.txt", "a/d.txt")
        assert open("a/d.txt").read() == "text"
        os.remove("a/d.txt")
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"x" * 1_000_000)
    """)
    assert verdict.outcome == "passed", verdict


def test_a_few_processes_can_be_forked_and_spawned(box: Box) -> None:
    verdict = box("""
        import os, subprocess
        for _ in range(5):
            pid = os.fork()
            if pid == 0:
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
        assert subprocess.run(["/bin/echo", "hello"], capture_output=True).stdout == b"hello\\n"
    """)
    assert verdict.outcome == "passed", verdict


def test_300_megabytes_can_be_used_and_are_reported(box: Box) -> None:
    verdict = box("import time\ndata = b'x' * 300_000_000\ntime.sleep(0.12)\nassert len(data) == 300_000_000")
    assert verdict.outcome == "passed", verdict
    assert 300_000_000 < verdict.peak_memory_bytes < 500_000_000


def test_forks_that_share_300_megabytes_are_not_counted_as_many_times_that(namespaces: Box) -> None:
    verdict = namespaces("""
        import os, time
        data = b"x" * 300_000_000
        children = []
        for _ in range(4):
            pid = os.fork()
            if pid == 0:
                time.sleep(0.3)
                os._exit(0)
            children.append(pid)
        for pid in children:
            os.waitpid(pid, 0)
    """)
    assert verdict.outcome == "passed", verdict


def test_main_guards_dataclasses_and_threads_work_as_in_a_script(box: Box) -> None:
    verdict = box("""
        import dataclasses, pickle, threading
        @dataclasses.dataclass
        class Point:
            x: int
        assert pickle.loads(pickle.dumps(Point(3))) == Point(3)
        seen = []
        thread = threading.Thread(target=seen.append, args=(1,))
        thread.start()
        thread.join()
        assert __name__ == "__main__" and seen == [1]
    """)
    assert verdict.outcome == "passed", verdict


def test_what_it_printed_is_kept(box: Box) -> None:
    verdict = box("import sys\nprint('out')\nprint('err', file=sys.stderr)")
    assert (verdict.outcome, verdict.stdout, verdict.stderr) == ("passed", "out\n", "err\n")


def test_several_threads_may_run_programs_at_once(box: Box) -> None:
    with ThreadPoolExecutor(3) as threads:
        outcomes = list(threads.map(lambda n: box(f"assert {n} % 2 == 0").outcome, range(12)))
    assert outcomes == ["passed", "failed"] * 6
