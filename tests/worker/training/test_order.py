"""Which samples a step sees, and how they are transformed: pure functions, whatever the processes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.worker.training.conftest import SEQUENCE_LENGTH, SPECIAL_IDS, TOKENIZER_SHA256, documents
from worker.failures import StageFailure
from worker.training import data
from worker.training.fim import FillInTheMiddle, split_after

FIM = FillInTheMiddle(rate=1.0, end_of_text=0, prefix=1, middle=2, suffix=3)


def test_an_epoch_shows_every_sample_once_even_when_batches_straddle_its_end():
    seen = [i for step in range(1, 6) for i in data.sample_ids_for_step(17, 10, 4, step)]
    assert sorted(seen[:10]) == list(range(10)) == sorted(seen[10:])
    assert seen[:10] != seen[10:]


def test_a_step_can_be_replayed_without_the_steps_before_it():
    assert data.sample_ids_for_step(17, 50, 8, 400) == data.sample_ids_for_step(17, 50, 8, 400)
    assert data.sample_ids_for_step(17, 50, 8, 400) != data.sample_ids_for_step(18, 50, 8, 400)


def test_a_batch_larger_than_the_data_set_is_filled_from_the_next_epoch():
    assert Counter(data.sample_ids_for_step(17, 3, 6, 1)) == {0: 2, 1: 2, 2: 2}


def first_batches(spec, n, rank=0, world_size=1, start=0):
    shards = data.ShardSet.open(_folder(spec), TOKENIZER_SHA256)
    loader = data.train_batches(shards, spec.recipe, rank, world_size).dataloader
    loader.dataset.load_state_dict({"position": start})
    batches = iter(loader)
    return [next(batches) for _ in range(n)]


def _folder(spec):
    return Path(spec.shards.uri)


def test_the_loader_gives_the_samples_that_the_pure_function_names(make_spec):
    batches = first_batches(make_spec(), 9)
    for step, batch in enumerate(batches, start=1):
        assert batch["sample_ids"].tolist() == data.sample_ids_for_step(17, 50, 8, step)


def test_two_processes_share_exactly_the_batch_of_one(make_spec):
    spec = make_spec()
    whole = first_batches(spec, 8)[-1]
    halves = [first_batches(spec, 8, rank, 2)[-1] for rank in (0, 1)]
    for name in ("sample_ids", "input_ids"):
        assert whole[name].tolist() == halves[0][name].tolist() + halves[1][name].tolist()


def test_a_loader_that_starts_in_the_middle_goes_on_as_if_it_had_read_the_beginning(make_spec):
    spec = make_spec()
    assert first_batches(spec, 1, start=56)[0]["input_ids"].equal(first_batches(spec, 8)[7]["input_ids"])


def test_a_batch_that_does_not_divide_among_the_processes_is_refused(make_spec):
    with pytest.raises(StageFailure, match="does not divide"):
        first_batches(make_spec(), 1, 0, 3)


def test_evaluation_takes_an_even_spread_and_never_transforms(make_spec):
    spec = make_spec(fim_rate=1.0, evaluation_samples=5)
    shards = data.ShardSet.open(_folder(spec), TOKENIZER_SHA256)
    samples = shards.samples(data.HELD_OUT)
    chosen = data.ChosenSamples(samples, 5)
    assert chosen.ids.tolist() == [0, 3, 6, 8, 11]
    batch = next(iter(data.held_out_batches(samples, spec.recipe).dataloader))
    assert np.array_equal(batch["input_ids"][1].numpy(), samples[3]["tokens"])


def test_shards_of_another_tokenizer_are_refused_with_both_hashes(make_spec):
    with pytest.raises(StageFailure) as failure:
        data.ShardSet.open(_folder(make_spec()), "c" * 64)
    assert failure.value.code == "tokenizer:user:hash-mismatch"
    assert failure.value.values["theirs"] == TOKENIZER_SHA256
    assert failure.value.values["ours"] == "c" * 64


def samples_of_documents(n):
    rng = np.random.default_rng(5)
    return [documents(rng, SEQUENCE_LENGTH) for _ in range(n)]


def undo(document):
    """The document that a transformed one was made from, and which of the two layouts it had."""
    ended = [0] if document[-1] == 0 else []
    body = list(document[:-1] if ended else document)
    if 2 not in body:
        return body + ended, "plain"
    if body[:2] == [1, 3] and body.index(2) >= 2:
        suffix, rest = body[2 : body.index(2)], body[body.index(2) + 1 :]
        return rest + suffix + ended, "spm"
    prefix = body[1 : body.index(3)]
    suffix, middle = body[body.index(3) + 1 : body.index(2)], body[body.index(2) + 1 :]
    return prefix + middle + suffix + ended, "psm"


def test_a_transformed_sample_holds_the_same_documents_in_order_up_to_the_cut():
    for index, tokens in enumerate(samples_of_documents(200)):
        changed = FIM.apply(tokens, np.random.default_rng([17, 0, index]))
        assert len(changed) == len(tokens)
        restored = [undo(part) for part in split_after(changed, 0)]
        originals = [list(part) for part in split_after(tokens, 0)]
        for (document, _), original in zip(restored[:-1], originals, strict=False):
            assert document == original
        last, original = restored[-1][0], originals[len(restored) - 1]
        assert last == original[: len(last)]


def test_both_layouts_are_used_about_equally():
    layouts = Counter(
        undo(part)[1]
        for index, tokens in enumerate(samples_of_documents(300))
        for part in split_after(FIM.apply(tokens, np.random.default_rng([17, 0, index])), 0)[:-1]
    )
    # An empty prefix makes the two layouts look alike, which counts as SPM here: hence the wide band.
    assert 0.35 < layouts["psm"] / (layouts["psm"] + layouts["spm"]) < 0.6


def test_the_rate_is_the_share_of_transformed_documents():
    half = FillInTheMiddle(rate=0.5, end_of_text=0, prefix=1, middle=2, suffix=3)
    firsts = [
        split_after(half.apply(tokens, np.random.default_rng([17, 0, index])), 0)[0]
        for index, tokens in enumerate(samples_of_documents(400))
    ]
    assert 0.42 < np.mean([2 in first for first in firsts]) < 0.58


def test_the_same_sample_is_cut_alike_in_an_epoch_and_differently_in_the_next():
    tokens = samples_of_documents(1)[0]
    cuts = [FIM.apply(tokens, np.random.default_rng([17, epoch, 4])).tolist() for epoch in (0, 0, 1)]
    assert cuts[0] == cuts[1] != cuts[2]


def test_documents_too_short_to_cut_are_left_alone():
    tokens = np.array([0, 0, 9, 0, 9, 9, 0], dtype=np.int64)
    assert FIM.apply(tokens, np.random.default_rng(0)).tolist() == tokens.tolist()


def test_special_ids_are_those_of_the_shard_set(make_spec):
    spec = make_spec(fim_rate=1.0)
    shards = data.ShardSet.open(_folder(spec), TOKENIZER_SHA256)
    fim = data.fim_of(shards, spec.recipe)
    assert fim is not None and fim.suffix == SPECIAL_IDS["fim_suffix"]
