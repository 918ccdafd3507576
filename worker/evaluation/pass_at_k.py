"""pass@k: the chance that at least one of k samples passes, estimated without bias from n >= k samples.

Formula: Chen et al. 2021 (Evaluating Large Language Models Trained on Code), equation 1, in its numerically stable
form.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 2000


@dataclass(frozen=True)
class Estimate:
    """A share (0 to 1) with the ends of its 95 % interval over problems, and how many problems it rests on."""

    value: float
    low: float
    high: float
    n_problems: int


def pass_at_k(n: int, c: int, k: int) -> float:
    """1 - C(n-c, k) / C(n, k): of n samples c passed. Raises ValueError unless 0 <= c <= n and 1 <= k <= n."""
    if not 0 <= c <= n or not 1 <= k <= n:
        raise ValueError(f"pass@{k} is not defined for {c} of {n}")
    if n - c < k:
        return 1.0
    return 1.0 - math.prod(1.0 - k / i for i in range(n - c + 1, n + 1))


def estimate(counts: Sequence[tuple[int, int]], k: int, seed: int) -> Estimate | None:
    """The mean over problems, each given as (n, c). None unless n >= k for all of them: a mean over those that happen to
    have enough samples is another suite's. Problems of which nothing was judged (n = 0) are left out.

    The interval is the bootstrap's 2.5 and 97.5 percentiles over problems (Efron 1979), the same for the same seed.
    """
    judged = [(n, c) for n, c in counts if n > 0]
    if not judged or min(n for n, _ in judged) < k:
        return None
    values = np.array([pass_at_k(n, c, k) for n, c in judged])
    generator = np.random.default_rng(seed)
    means = [values[generator.integers(0, len(values), len(values))].mean() for _ in range(RESAMPLES)]
    low, high = np.percentile(means, [2.5, 97.5])
    return Estimate(float(values.mean()), float(low), float(high), len(values))
