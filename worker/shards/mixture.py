"""How often each document is packed, so that the token shares of the sources follow the weights that a recipe gave.

The dataset's statistics.json holds the mixture as epochs by source; a document of a source with 2.3 epochs is packed
twice, and a third time with probability 0.3 by a seeded hash of its id: the same documents each time, on any machine.
Only what is trained on is repeated or thinned; held-out text is measured on once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, floor
from pathlib import Path

from worker.data.documents import TRAIN, hash_share


@dataclass(frozen=True)
class Mixture:
    """`epochs` by source; a source that is not named counts once. Data only, so that tasks can be given one."""

    epochs: Mapping[str, float]
    seed: int

    @classmethod
    def of_dataset(cls, data: Path, seed: int) -> Mixture:
        """That of a dataset folder; without one every document is packed once."""
        path = data / "statistics.json"
        raw = json.loads(path.read_text()).get("mixture") if path.exists() else None
        return cls({source: float(row["epochs"]) for source, row in (raw or {}).items()}, seed)

    def copies(self, document: str, source: str, split: str) -> int:
        """How often a document is packed."""
        epochs = self.epochs.get(source, 1.0)
        if split != TRAIN:
            return 1
        return floor(epochs) + (hash_share(self.seed, "mixture", document) < epochs - floor(epochs))

    @property
    def most_copies(self) -> int:
        return max([1, *(ceil(epochs) for epochs in self.epochs.values())])

    def to_dict(self) -> dict[str, float] | None:
        return dict(self.epochs) or None
