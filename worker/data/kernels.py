"""Turns a loop over bytes or integers into machine code (numba): outside the interpreter lock, compiled code kept.

Compiled code is kept beside the source, or in the user's cache folder where an install is read-only; NUMBA_CACHE_DIR
chooses another place. Where none of them can be written the kernels compile again in every process, with the same
result: MinHash then takes 4 s of one core to start, and 0.5 s where its code is kept. It is filed by CPU model and
features, written under another name and renamed, so machines and processes may share it.

A kept kernel is renewed when its own file changes, not when a file that it calls into does: a kernel calls only
kernels of its own module, and gets tables as arguments. Kernels here are integer arithmetic alone, so every CPU gives
the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """`function`, compiled when it is first called, for the types of that call."""
    compiled: Any
    try:
        compiled = numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # numba's word for: no folder in which compiled code could be kept
        compiled = numba.njit(nogil=True)(function)
    return cast(Function, compiled)
