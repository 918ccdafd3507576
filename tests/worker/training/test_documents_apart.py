"""With `mask_documents` a token sees its own document alone: what stands before it in the sample changes nothing."""

from __future__ import annotations

import torch

from tests.worker.training.conftest import SPECIAL_IDS, TOKENIZER_SHA256
from worker.training import data, model, stage
from worker.training.model import within_documents

END = SPECIAL_IDS["end_of_text"]


def test_the_mask_is_causal_within_documents():
    mask = within_documents(torch.tensor([[9, END, 8, 7, END, 6]]), END)[0, 0]
    seen = [[column for column in range(6) if mask[row, column]] for row in range(6)]
    # The end-of-text token belongs to the document that it ends.
    assert seen == [[0], [0, 1], [2], [2, 3], [2, 3, 4], [5]]


def logits_of(make_spec, shards_folder, ids, masked):
    network = model.build(make_spec(mask_documents=masked).recipe, data.ShardSet.open(shards_folder, TOKENIZER_SHA256))
    with torch.no_grad():
        return network.eval()({"input_ids": torch.tensor([ids])})[0]


def test_another_document_before_changes_nothing_when_masked_and_much_when_not(make_spec, shards_folder):
    first, other = [9, 10, 11, END, 20, 21, 22], [30, 31, 32, END, 20, 21, 22]
    apart = [logits_of(make_spec, shards_folder, ids, True)[4:] for ids in (first, other)]
    together = [logits_of(make_spec, shards_folder, ids, False)[4:] for ids in (first, other)]
    assert torch.allclose(*apart, atol=1e-5)
    assert not torch.allclose(*together, atol=1e-3)


def test_a_masked_run_learns(make_spec, context):
    outcome = stage.run(make_spec(mask_documents=True, max_steps=20), context)
    assert outcome.summary["metrics"]["loss/val"] < 4.0
