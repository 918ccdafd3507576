"""Run code that nobody has read, and say what became of it.

    isolation = probe()
    verdict = run(Program("assert 1 + 1 == 2"), Limits(), isolation)

Each program gets its own namespaces (by bubblewrap, or for Python by forking an interpreter that is inside already),
or where the machine refuses those, Landlock; always a seccomp filter, resource limits, a cleared environment, no
network and a watcher outside. The strength that was available is part of every result. Nothing of this room knows what
the program is for, nor any language but Python: suites, scores and runtimes live in worker.evaluation.

    program.py        what goes in: text, toolchain, limits       verdict.py      what comes out
    slots.py          hands programs to helpers                   helper.py       the process of one slot
    drivers.py        bubblewrap.py, landlock.py, zygote.py       watch.py        the watcher

What it does not do: hide the processor or the kernel from the program, or hold a program against itself. The proof of
having passed is a secret kept in the program's own process; a program that searches its interpreter's memory for it can
lie.
"""

from worker.sandbox.probe import accept_unsafe, probe
from worker.sandbox.program import Limits, Program, Toolchain
from worker.sandbox.slots import Isolation, SandboxUnavailable, run
from worker.sandbox.verdict import OUTCOMES, Verdict

__all__ = [
    "OUTCOMES",
    "Isolation",
    "Limits",
    "Program",
    "SandboxUnavailable",
    "Toolchain",
    "Verdict",
    "accept_unsafe",
    "probe",
    "run",
]
