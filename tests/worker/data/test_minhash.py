"""Signatures estimate the similarity of token 5-grams without bias, whatever surrounds the tokens, and never change."""

from __future__ import annotations

import hashlib
import random
import threading

import numpy as np
import pyarrow as pa
import pytest

from tests.worker.data.near_copies import WAYS, real_sources, similarity
from worker.data.minhash import BANDS, BINS, PERMUTATIONS, band_keys, signatures

TEXT = "def add(first, second):\n    total = first + second\n    return total\n"


def of(*texts: str):
    return signatures(pa.array(texts, pa.large_string()))


def estimated(one: str, other: str) -> float:
    rows = of(one, other).signature
    return float((rows[0] == rows[1]).mean())


def test_shapes_and_types():
    found = of(TEXT, "")
    assert (found.signature.shape, found.signature.dtype) == ((2, PERMUTATIONS), np.uint32)
    assert (found.sketch.shape, found.sketch.dtype) == ((2, BINS), np.uint8)
    keys = band_keys(found.signature)
    assert (keys.shape, keys.dtype) == ((2, BANDS), np.uint32)
    assert found.n_tokens.tolist() == [9, 0]


@pytest.mark.parametrize(
    ("text", "n_tokens"),
    [("", 0), ("+-*/ \n", 0), ("snake_case42", 1), ("a.b(c)", 3), ("naïve café", 2), ("日本 語", 2), (" x ", 1)],
)
def test_tokens_are_runs_of_letters_digits_underscores_and_other_alphabets(text, n_tokens):
    assert of(text).n_tokens.tolist() == [n_tokens]


def test_indentation_punctuation_and_case_do_not_count():
    assert estimated(TEXT, TEXT.replace("    ", "\t\t").replace("(", " [ ").upper()) == 1


def test_the_order_of_tokens_counts():
    assert estimated("one two three four five six", "six five four three two one") == 0


def test_a_document_of_fewer_than_five_tokens_has_an_empty_signature_and_sketch():
    assert (of("a b c d").signature == 0xFFFFFFFF).all()
    assert not of("a b c d").sketch.any()
    assert (of("a b c d e").signature != 0xFFFFFFFF).any()
    assert np.count_nonzero(of("a b c d e").sketch) == 1


def test_a_band_has_a_key_of_its_own_values_only():
    signature = of(*real_sources(1, seed=5)).signature
    other = signature.copy()
    other[0, 7] += 1  # of the second band
    assert (band_keys(signature) != band_keys(other)).nonzero()[1].tolist() == [1]


def test_a_document_has_the_same_signature_alone_in_a_slice_and_in_company():
    texts = real_sources(6, seed=1)
    together, sliced = of(*texts), signatures(pa.array(["x", *texts, "y"])[1:-1])
    for name in ("signature", "sketch"):
        alone = np.concatenate([getattr(of(text), name) for text in texts])
        assert (getattr(together, name) == alone).all()
        assert (getattr(sliced, name) == alone).all()


def test_signatures_are_what_they_were_in_every_release():
    """A change here makes stored signatures useless: raise minhash.VERSION with it."""
    found = of(TEXT * 3, "naïve café 日本 one two three four")
    digest = hashlib.sha256(found.signature.tobytes() + found.sketch.tobytes()).hexdigest()
    assert digest[:16] == "e40b0eb5214bb408"


def test_estimates_are_unbiased_and_as_precise_as_125_permutations_allow():
    rng = random.Random(2)
    texts = real_sources(60, seed=2)
    copies = [WAYS[i % len(WAYS)](text, rng) for i, text in enumerate(texts)]
    true = np.array([similarity(*pair) for pair in zip(texts, copies, strict=True)])
    equal = of(*texts).signature == of(*copies).signature
    error = equal.mean(axis=1) - true
    assert abs(error.mean()) < 0.02
    assert np.sqrt((error**2).mean()) < 1.5 * np.sqrt((true * (1 - true) / PERMUTATIONS).mean())


def test_every_permutation_agrees_as_often_as_the_similarity_says():
    """A permutation that collapses (all minima 0, say) agrees always, one that is broken never."""
    texts = real_sources(80, seed=3)
    copies = [text[: len(text) // 2] for text in texts]
    expected = np.mean([similarity(*pair) for pair in zip(texts, copies, strict=True)])
    agreed = (of(*texts).signature == of(*copies).signature).mean(axis=0)
    assert (np.abs(agreed - expected) < 5 * np.sqrt(expected * (1 - expected) / len(texts))).all()


def test_threads_give_the_same_signatures():
    texts = real_sources(20, seed=4)
    expected, results = of(*texts).signature, {}

    def sign(name):
        results[name] = of(*texts).signature

    threads = [threading.Thread(target=sign, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert all((result == expected).all() for result in results.values())
