"""Near copies of real source files, made as copies come about, and the exact similarity of two texts.

`similarity` is written apart from worker.data.minhash on purpose: it is what the estimates are held against.
"""

from __future__ import annotations

import random
import re
import sysconfig
from collections.abc import Callable
from pathlib import Path

LICENSE = "".join(
    f"# Clause {i}: granted under the terms of file {i}, without warranty of kind {i}\n" for i in range(12)
)
NAME = re.compile(r"\b[a-z_]\w{2,}\b")


def real_sources(n: int, seed: int) -> list[str]:
    """n different files of the standard library, 1 to 40 KB."""
    paths = sorted(Path(sysconfig.get_paths()["stdlib"]).rglob("*.py"))
    random.Random(seed).shuffle(paths)
    texts: dict[str, None] = {}
    for path in paths:
        if len(texts) == n:
            break
        if "site-packages" not in path.parts and 1_000 < path.stat().st_size < 40_000:
            texts[path.read_text("utf-8", "replace")] = None
    return list(texts)


def shingles(text: str) -> frozenset[tuple[str, ...]]:
    tokens = re.findall(r"[a-z0-9_\x80-\U0010ffff]+", text.lower())
    return frozenset(tuple(tokens[i : i + 5]) for i in range(len(tokens) - 4))


def similarity(one: str, other: str) -> float:
    """The exact Jaccard similarity of their sets of 5-grams."""
    a, b = shingles(one), shingles(other)
    return len(a & b) / len(a | b)


def renamed(text: str, rng: random.Random) -> str:
    share = rng.choice([0.01, 0.02, 0.05])
    names = {
        name: f"v{i}_{name[::-1]}" for i, name in enumerate(sorted(set(NAME.findall(text)))) if rng.random() < share
    }
    return NAME.sub(lambda match: names.get(match[0], match[0]), text)


def with_license(text: str, rng: random.Random) -> str:
    return LICENSE[: rng.randrange(200, len(LICENSE))] + text


def with_lines_dropped(text: str, rng: random.Random) -> str:
    share = rng.choice([0.02, 0.04, 0.08])
    return "".join(line for line in text.splitlines(True) if rng.random() >= share)


def reindented(text: str, rng: random.Random) -> str:
    lines = []
    for line in text.splitlines(True):
        bare = line.lstrip(" ")
        lines.append(" " * (2 * (len(line) - len(bare))) + bare)
        if rng.random() < 0.05:
            lines.append(f"# see note {rng.randrange(10**6)}\n")
    return "".join(lines)


WAYS: tuple[Callable[[str, random.Random], str], ...] = (renamed, with_license, with_lines_dropped, reindented)
