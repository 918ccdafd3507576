"""The languages that programs can be judged in: which this machine has, and how a text becomes a verdict.

    verdict = run("assert 1 + 1 == 2", "python", Limits(), probe())

A language is one file in languages/ (TOML; declaration.py says what is in it). Whether it can be used here is found out
in two steps: its tools are looked for and asked their version (machine.py), and then it must judge five programs rightly
inside the sandbox (self_test.py). What is missing or judges wrongly is not available, with the reason, and is never a
score of zero. `python -m worker.evaluation.runtimes` prints the table.

Each declaration has a verdict file: code in its own language that starts the program, turns that language's ways of
failing quietly into failures, and writes the nonce when the program's last statement has been reached.
"""

from worker.evaluation.runtimes.declaration import Runtime, declared
from worker.evaluation.runtimes.judged import RuntimeMissing, program, readiness, run, stamps
from worker.evaluation.runtimes.self_test import Readiness

__all__ = ["Readiness", "Runtime", "RuntimeMissing", "declared", "program", "readiness", "run", "stamps"]
