"""Facts to verdicts, and what happens when the sandbox itself goes wrong."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import struct
import threading
import time

import pytest

from worker.sandbox import Isolation, Limits, Program, SandboxUnavailable, accept_unsafe, probe, python, run, slots
from worker.sandbox.seccomp import UNIX, build_filter
from worker.sandbox.verdict import Ended, judge

ENDED = Ended(None, 0, 0.1, 0.1, 1, "", "", "ready\nsecret")


def test_the_nonce_after_ready_passes() -> None:
    assert judge(ENDED, "secret", Limits()).outcome == "passed"


@pytest.mark.parametrize("words", ["ready\n", "ready\nguess", "ready\nfailed\nsecret", "ready\nsecret\nsecret"])
def test_anything_else_does_not_pass(words: str) -> None:
    assert judge(dataclasses.replace(ENDED, words=words), "secret", Limits()).outcome != "passed"


def test_a_program_that_never_began_is_the_sandboxs_failure() -> None:
    verdict = judge(
        dataclasses.replace(ENDED, words="", exit_code=1, stderr="bwrap: no permission"), "secret", Limits()
    )
    assert (verdict.outcome, verdict.detail) == ("sandbox_failed", "the program was not started: bwrap: no permission")


def test_a_signal_is_named_in_the_detail() -> None:
    verdict = judge(dataclasses.replace(ENDED, words="ready", exit_code=139), "secret", Limits())
    assert (verdict.outcome, verdict.detail) == ("error", "ended before its tests did: killed by signal 11")


def test_without_isolation_nothing_is_run() -> None:
    with pytest.raises(SandboxUnavailable, match="refused here"):
        run(Program("pass"), Limits(), Isolation("none", "refused here", 0, False, 1))


def test_unsafe_must_be_asked_for_and_never_weakens_real_isolation() -> None:
    assert accept_unsafe(Isolation("none", "why", 0, False, 1)).level == "unsafe"
    assert accept_unsafe(Isolation("landlock", "", 7, True, 1)).level == "landlock"


def test_the_unsafe_level_still_judges() -> None:
    unsafe = Isolation("unsafe", "", 0, False, 1)
    assert run(Program("assert True"), Limits(), unsafe).outcome == "passed"
    assert run(Program("import os; os._exit(0)"), Limits(), unsafe).outcome == "error"


def test_a_helper_that_is_killed_costs_no_verdict() -> None:
    isolation = probe()
    if isolation.level == "none":
        pytest.skip(isolation.detail)
    slots._pool.close()
    run(Program("pass"), Limits(), isolation)
    (helper,) = slots._pool._idle
    os.kill(helper.process.pid, signal.SIGKILL)
    assert run(Program("pass"), Limits(), isolation).outcome == "passed"


def test_closing_a_helper_in_the_middle_of_a_run_ends_the_program_and_the_helper() -> None:
    isolation = probe()
    if isolation.level == "none":
        pytest.skip(isolation.detail)
    helper = slots.Helper(isolation.driver(program := Program("import time; time.sleep(60)")), python.toolchain().roots)
    toolchain = dataclasses.asdict(python.toolchain())
    request = {"source": program.source, "toolchain": toolchain, "limits": dataclasses.asdict(Limits())}
    helper.connection.send_bytes(json.dumps(request).encode())
    time.sleep(0.3)
    helper.close()
    assert helper.process.returncode == 0


def test_a_loner_waits_for_the_others_and_keeps_newcomers_out() -> None:
    gate, order = slots._Gate(), list[str]()

    def loner() -> None:
        with gate.alone():
            order.append("alone")

    def newcomer() -> None:
        with gate.shared():
            order.append("newcomer")

    with gate.shared():
        threads = [threading.Thread(target=loner)]
        threads[0].start()
        while not gate._loners:
            time.sleep(0.001)
        threads.append(threading.Thread(target=newcomer))
        threads[1].start()
        order.append("first")
    for thread in threads:
        thread.join()
    assert order == ["first", "alone", "newcomer"]


@pytest.mark.parametrize("families", [(UNIX,), ()])
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filters_jumps_stay_inside_it_for_both_architectures(machine: str, families: tuple[int, ...]) -> None:
    program = build_filter(families=families, signals=False, machine=machine)
    instructions = list(struct.iter_unpack("=HBBI", program))
    for at, (code, if_true, if_false, _) in enumerate(instructions):
        if code & 0x07 == 0x05:
            assert max(at + 1 + if_true, at + 1 + if_false) < len(instructions)
    assert instructions[-1][0] == 0x06
