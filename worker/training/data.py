"""From a shard set to batches whose content is a function of (seed, epoch, step) and of nothing else.

Samples are taken in one endless order: epoch after epoch, each a permutation of all sample ids drawn from [seed,
epoch]. Step k (counted from 1, as in the metrics) takes the next `batch_size` of that order. Neither the number of
processes nor of loader workers enters, nor any generator's state: a step can be replayed by calling
`sample_ids_for_step`, and a run that resumes seeks to its position instead of reading its past again.

Evaluation reads a fixed, evenly spread choice of held-out samples, never transformed.
"""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from composer.core import DataSpec
from composer.utils import dist
from numpy.typing import NDArray
from streaming import LocalDataset
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from worker.failures import StageFailure
from worker.specs import TrainRecipe
from worker.training.fim import FillInTheMiddle

TRAIN, HELD_OUT, HELD_OUT_SOURCE = "train", "held_out", "held_out_source"
Batch = dict[str, torch.Tensor]


@dataclass(frozen=True)
class ShardSet:
    """A shard set's folder: one MDS folder a split with a column `tokens`, and meta.json about all of them."""

    folder: Path
    meta: Mapping[str, Any]

    @classmethod
    def open(cls, folder: Path, tokenizer_sha256: str) -> ShardSet:
        """Refuses shards made with another tokenizer (tokenizer:user:hash-mismatch, with both hashes)."""
        meta = json.loads((folder / "meta.json").read_text())
        if meta["tokenizer_sha256"] != tokenizer_sha256:
            raise StageFailure(
                "tokenizer:user:hash-mismatch", what="shard set", theirs=meta["tokenizer_sha256"], ours=tokenizer_sha256
            )
        return cls(folder, meta)

    @property
    def sequence_length(self) -> int:
        return int(self.meta["sequence_length"])

    @property
    def vocabulary_size(self) -> int:
        return int(self.meta["vocabulary_size"])

    @property
    def special_ids(self) -> dict[str, int]:
        return {name: int(value) for name, value in self.meta["special_ids"].items()}

    def bytes_per_token(self, split: str) -> float:
        return float(self.meta["bytes_per_token"][split])

    def samples(self, split: str) -> LocalDataset | None:
        """The split's samples, or None where it has none (a dataset need not hold a held-out source)."""
        if not (self.folder / split / "index.json").exists():
            return None
        samples = LocalDataset(local=str(self.folder / split))
        return samples if len(samples) else None

    def train_samples(self) -> LocalDataset:
        samples = self.samples(TRAIN)
        if samples is None:
            raise StageFailure("shards:user:no-samples", sequence_length=self.sequence_length)
        return samples


@functools.lru_cache(maxsize=4)
def _permutation(seed: int, epoch: int, n_samples: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, epoch]).permutation(n_samples)


def sample_at(seed: int, n_samples: int, position: int) -> tuple[int, int]:
    """(epoch, sample id) at a position of the endless order; both count from 0."""
    epoch, index = divmod(position, n_samples)
    return epoch, int(_permutation(seed, epoch, n_samples)[index])


def sample_ids_for_step(seed: int, n_samples: int, batch_size: int, step: int) -> list[int]:
    """The sample ids that step `step` (from 1) trains on, in their order in the global batch."""
    first = (step - 1) * batch_size
    return [sample_at(seed, n_samples, position)[1] for position in range(first, first + batch_size)]


class OrderedSamples(Dataset[Batch]):
    """The endless order as a dataset: item `position` is a sample, transformed by a generator of its own.

    Composer keeps the number of samples seen in the checkpoint through `state_dict` and hands it back on resumption.
    """

    def __init__(self, samples: LocalDataset, seed: int, fim: FillInTheMiddle | None) -> None:
        self.samples, self.seed, self.fim = samples, seed, fim
        self.start = 0

    def __getitem__(self, position: int) -> Batch:
        epoch, sample_id = sample_at(self.seed, len(self.samples), position)
        tokens = self.samples[sample_id]["tokens"].astype(np.int64)
        if self.fim is not None:
            tokens = self.fim.apply(tokens, np.random.default_rng([self.seed, epoch, sample_id]))
        return {"input_ids": torch.from_numpy(tokens), "sample_ids": torch.tensor(sample_id)}

    def state_dict(self, num_samples: int, from_beginning: bool) -> dict[str, int]:
        return {"position": num_samples}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        self.start = state["position"]


class StepBatches(DistributedSampler[list[int]]):
    """Positions of each step's batch, this rank's slice of it, from where the dataset was left.

    A DistributedSampler in name only: Composer takes nothing else for several processes. Torch's own wants a length and
    an order that depends on the number of processes, so its initialiser is not called.
    """

    def __init__(self, dataset: OrderedSamples, batch_size: int, rank: int, world_size: int) -> None:
        self.samples, self.batch_size = dataset, batch_size
        self.share = batch_size // world_size
        self.offset = rank * self.share

    def __iter__(self) -> Iterator[list[int]]:
        for first in itertools.count(self.samples.start, self.batch_size):
            yield list(range(first + self.offset, first + self.offset + self.share))

    def __len__(self) -> int:
        raise TypeError("the order has no end; the run's plan has")


class ChosenSamples(Dataset[Batch]):
    """Untransformed samples of a held-out split: at most `limit`, evenly spread over it."""

    def __init__(self, samples: LocalDataset, limit: int) -> None:
        self.samples = samples
        self.ids = np.unique(np.linspace(0, len(samples) - 1, min(limit, len(samples))).round().astype(np.int64))

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Batch:
        tokens = self.samples[int(self.ids[index])]["tokens"].astype(np.int64)
        return {"input_ids": torch.from_numpy(tokens)}


def train_batches(shards: ShardSet, recipe: TrainRecipe, rank: int = 0, world_size: int = 1) -> DataSpec:
    """Endless batches {"input_ids": (batch, sequence) int64, "sample_ids": (batch,) int64} for one rank."""
    if recipe.batch_size % world_size:
        raise StageFailure(
            "training:user:bad-recipe",
            detail=f"batch_size {recipe.batch_size} does not divide among {world_size} processes",
        )
    dataset = OrderedSamples(shards.train_samples(), recipe.seed, fim_of(shards, recipe))
    sampler = StepBatches(dataset, recipe.batch_size, rank, world_size)
    # On a CPU a batch costs under a millisecond to read and a second to train on; a GPU outruns one reader.
    loader = DataLoader(dataset, batch_sampler=sampler, num_workers=2 if torch.cuda.is_available() else 0)
    return _spec(loader)


def held_out_batches(samples: LocalDataset, recipe: TrainRecipe) -> DataSpec:
    """One pass over the chosen held-out samples, shared among the processes, {"input_ids": (batch, sequence) int64}."""
    chosen = ChosenSamples(samples, recipe.evaluation_samples)
    size = recipe.microbatch_size or max(1, recipe.batch_size // dist.get_world_size())
    return _spec(DataLoader(chosen, batch_size=size, sampler=dist.get_sampler(chosen, shuffle=False)))


def fim_of(shards: ShardSet, recipe: TrainRecipe) -> FillInTheMiddle | None:
    if recipe.fim_rate == 0:
        return None
    ids = shards.special_ids
    return FillInTheMiddle(
        rate=recipe.fim_rate,
        end_of_text=ids["end_of_text"],
        prefix=ids["fim_prefix"],
        middle=ids["fim_middle"],
        suffix=ids["fim_suffix"],
    )


def _spec(loader: DataLoader[Batch]) -> DataSpec:
    return DataSpec(loader, split_batch=_split, get_num_samples_in_batch=_n_samples, get_num_tokens_in_batch=_n_tokens)


def _split(batch: Batch, size: float) -> list[Batch]:
    """Microbatches; Composer's own splitter warns at each last, shorter batch of an evaluation."""
    parts = {name: tensor.split(int(size)) for name, tensor in batch.items()}
    return [dict(zip(parts, values, strict=True)) for values in zip(*parts.values(), strict=True)]


def _n_samples(batch: Batch) -> int:
    return len(batch["input_ids"])


def _n_tokens(batch: Batch) -> int:
    return batch["input_ids"].numel()
