"""A kernel gives the same result where compiled code cannot be kept, and on a CPU without vectors."""

from __future__ import annotations

import os
import subprocess
import sys

from worker.data.kernels import kernel

SIGN = """
import hashlib, pyarrow as pa
from worker.data.minhash import signatures
print(hashlib.sha256(signatures(pa.array(["def f(a, b): return a + b * 2\\n" * 9])).signature.tobytes()).hexdigest())
"""


def test_a_function_whose_code_cannot_be_kept_is_compiled_all_the_same():
    names: dict = {}
    exec("def double(x):\n    return 2 * x\n", names)
    assert kernel(names["double"])(21) == 42


def test_every_cpu_gives_the_same_signatures(tmp_path):
    def sign(**environment: str) -> str:
        variables = {**os.environ, **environment}
        return subprocess.run(
            [sys.executable, "-c", SIGN], env=variables, capture_output=True, text=True, check=True
        ).stdout

    plain = sign(NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="", NUMBA_CACHE_DIR=str(tmp_path))
    assert plain == sign()
    assert any(tmp_path.rglob("*.nbc"))
