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


def test_an_interpreter_is_as_fresh_as_one_that_was_just_started(box: Box) -> None:
    verdict = box("""
        import random, sys
        assert not [name for name in sys.modules if name.startswith(("worker", "multiprocessing", "ctypes", "json"))]
        import multiprocessing
        assert not hasattr(multiprocessing, "connection")
        assert sys.flags.hash_randomization == 0
        print(random.random())
    """)
    assert verdict.outcome == "passed", verdict
    assert verdict.stdout != box("import random\nprint(random.random())").stdout


def test_sets_have_the_same_order_in_every_run(box: Box) -> None:
    first, second = (box("print(hash('a'))").stdout for _ in range(2))
    assert first == second != ""


def test_an_event_loop_runs(box: Box) -> None:
    verdict = box("""
        import asyncio
        async def double(n):
            await asyncio.sleep(0)
            return 2 * n
        assert asyncio.run(double(4)) == 8
    """)
    assert verdict.outcome == "passed", verdict


def test_a_lock_between_processes_can_be_made(namespaces: Box) -> None:
    assert namespaces("import multiprocessing\nmultiprocessing.Lock().acquire()").outcome == "passed"


def test_a_program_has_the_whole_recursion_limit_to_itself(box: Box) -> None:
    assert box("def f(n):\n    return n and f(n - 1)\nf(990)").outcome == "passed"
    assert box("def f(n):\n    return n and f(n - 1)\nf(1000)").outcome == "error"


def test_modules_that_are_packages_can_be_imported(box: Box) -> None:
    verdict = box("""
        import ctypes, importlib.util, json, logging, multiprocessing, pickle, re, tempfile, unittest
        assert pickle.loads(pickle.dumps(re.compile("a"))) == re.compile("a")
        assert json.loads("[1]") == [1]
    """)
    assert verdict.outcome == "passed", verdict
