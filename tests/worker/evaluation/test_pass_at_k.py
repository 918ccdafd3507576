from __future__ import annotations

from itertools import combinations

import pytest

from worker.evaluation.pass_at_k import estimate, pass_at_k


@pytest.mark.parametrize("n", [1, 2, 5, 7])
def test_it_equals_counting_every_choice_of_k_samples(n: int) -> None:
    for c in range(n + 1):
        for k in range(1, n + 1):
            choices = list(combinations([True] * c + [False] * (n - c), k))
            assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, choices)) / len(choices))


def test_large_counts_do_not_overflow() -> None:
    assert 0.0 < pass_at_k(100_000, 1, 100) < 0.0011
    assert pass_at_k(200, 200, 100) == 1.0
    assert pass_at_k(200, 0, 100) == 0.0


@pytest.mark.parametrize(("n", "c", "k"), [(1, 0, 2), (3, 4, 1), (3, -1, 1), (3, 1, 0)])
def test_what_is_not_defined_is_refused(n: int, c: int, k: int) -> None:
    with pytest.raises(ValueError, match="not defined"):
        pass_at_k(n, c, k)


def test_the_interval_holds_the_value_and_repeats_with_the_seed() -> None:
    counts = [(1, n % 2) for n in range(164)]
    found = estimate(counts, 1, seed=17)
    assert found is not None and found == estimate(counts, 1, seed=17)
    assert found.value == 0.5
    assert 0.40 < found.low < 0.46 and 0.54 < found.high < 0.60  # 164 problems at 50 %: about 7 points each way


def test_a_k_that_one_problem_has_too_few_samples_for_is_not_estimated_for_any() -> None:
    assert estimate([(10, 10), (3, 0)], 5, seed=1) is None
    found = estimate([(10, 10), (3, 0)], 3, seed=1)
    assert found is not None and (found.value, found.n_problems) == (0.5, 2)


def test_problems_of_which_nothing_was_judged_are_left_out_and_none_left_is_none() -> None:
    found = estimate([(5, 5), (0, 0)], 5, seed=1)
    assert found is not None and (found.value, found.n_problems) == (1.0, 1)
    assert estimate([(0, 0)], 1, seed=1) is None
