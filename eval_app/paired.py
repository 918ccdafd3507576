"""Whether one of two models solves more, asked problem by problem: both tried the same ones.

Pure functions of pairs; they know nothing of rows. Seeds are fixed: the same two evaluations always get the same answer.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

SEED = 17
ROUNDS = 2_000  # p is a multiple of 1/2001, which is enough for "below 0.01"; 164 problems take 60 ms


@dataclass(frozen=True)
class Paired:
    """`difference`: mean over problems of theirs minus ours, -1 to 1, with its 95 % interval `low` to `high`.

    `p`: how often so large a difference, either way, would come of two models that are equally good. `test` names how.
    """

    difference: float
    low: float
    high: float
    p: float
    test: str

    @property
    def is_significant(self) -> bool:
        return self.p < 0.05


def compare(ours: Sequence[float], theirs: Sequence[float], *, one_sample: bool) -> Paired:
    """Two models' shares solved of the same problems, 0 to 1, in the same order; at least one problem.

    With one sample a problem every share is 0 or 1 and the exact McNemar test is used, else a sign-flip permutation
    test. The interval is a bootstrap over problems either way. Raises ValueError if the lengths differ or are 0.
    """
    differences = [two - one for one, two in zip(ours, theirs, strict=True)]
    if not differences:
        raise ValueError("there is no problem that both were asked")
    mean = sum(differences) / len(differences)
    low, high = bootstrap_interval(differences)
    if one_sample:
        p = mcnemar(sum(item > 0 for item in differences), sum(item < 0 for item in differences))
        return Paired(mean, low, high, p, "exact McNemar")
    return Paired(mean, low, high, permutation(differences), f"paired permutation, {ROUNDS:,} rounds")


def mcnemar(newly_solved: int, newly_failed: int) -> float:
    """Two-sided p of the exact McNemar test: of n = b + c problems that flipped, each way is a fair coin.

    p = min(1, 2 * sum(C(n, i), i = 0..min(b, c)) / 2**n); 1 when nothing flipped.
    McNemar 1947 (Psychometrika 12:153); the exact form as in Fagerland et al. 2013 (BMC Med Res Methodol 13:91).
    """
    n, fewer = newly_solved + newly_failed, min(newly_solved, newly_failed)
    tail = sum(math.comb(n, i) for i in range(fewer + 1))
    return min(1.0, 2 * tail / (1 << n))


def permutation(differences: Sequence[float], rounds: int = ROUNDS, seed: int = SEED) -> float:
    """Two-sided p of the paired permutation test on the mean: under equal models each difference's sign is arbitrary.

    p = (1 + #{rounds with |sum| >= |observed sum|}) / (rounds + 1), which is never 0 (Phipson & Smyth 2010, Stat Appl
    Genet Mol Biol 9:39). Fisher 1935, The Design of Experiments, section 21.
    """
    changed = [item for item in differences if item]
    if not changed:
        return 1.0
    total, whole = sum(changed), random.Random(seed)
    observed, reached = abs(total) - 1e-9, 0  # sums in another order differ in the last digit
    for _ in range(rounds):
        flips = whole.getrandbits(len(changed))
        flipped = sum(item for place, item in enumerate(changed) if flips >> place & 1)
        reached += abs(total - 2 * flipped) >= observed
    return (1 + reached) / (rounds + 1)


def bootstrap_interval(differences: Sequence[float], rounds: int = ROUNDS, seed: int = SEED) -> tuple[float, float]:
    """95 % percentile interval of the mean, problems drawn again with replacement (Efron & Tibshirani 1993, ch. 13)."""
    source, n = random.Random(seed), len(differences)
    means = sorted(sum(source.choices(differences, k=n)) / n for _ in range(rounds))
    return means[round(0.025 * (rounds - 1))], means[round(0.975 * (rounds - 1))]
