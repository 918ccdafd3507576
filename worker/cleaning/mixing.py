"""Weights of sources to epochs: how often a source's documents are seen so that token shares follow the weights.

Sources with a weight share among them, by weight, the tokens that they have together, so the total stays what is
available: one with half its due is read twice, one with double is read half. A source without a weight is read once.
What applies the epochs is worker.shards.
"""

from __future__ import annotations

from collections.abc import Mapping


def mixture(weights: Mapping[str, float], tokens: Mapping[str, int]) -> dict[str, dict[str, float | int | None]]:
    """For each source with training `tokens`: weight (None: not named), tokens, share of tokens seen, and epochs."""
    named = {source: weights[source] for source, count in tokens.items() if source in weights and count}
    together, total_weight = sum(tokens[source] for source in named), sum(named.values())
    epochs = {
        source: named[source] / total_weight * together / count if source in named and total_weight else 1.0
        for source, count in tokens.items()
        if count
    }
    seen = sum(epochs[source] * tokens[source] for source in epochs)
    return {
        source: {
            "weight": weights.get(source),
            "tokens": tokens[source],
            "share": round(epochs[source] * tokens[source] / seen, 6) if seen else 0.0,
            "epochs": round(epochs[source], 6),
        }
        for source in sorted(epochs)
    }
