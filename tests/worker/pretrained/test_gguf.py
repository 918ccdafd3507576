"""A GGUF file becomes the model that it was made from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

from tests.worker.pretrained.published import make_gguf
from worker.failures import StageFailure
from worker.pretrained import gguf
from worker.serving.prompts import Prompter


def test_it_answers_as_the_model_that_it_was_made_from(tmp_path, take):
    outcome = take(make_gguf(tmp_path / "tiny.gguf"))
    ours = AutoModelForCausalLM.from_pretrained(outcome.outputs["model"], dtype=torch.float32)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "source", dtype=torch.float32)
    ids = torch.tensor([list(range(5, 60))])
    with torch.inference_mode():
        assert torch.equal(ours(ids).logits, theirs(ids).logits)
    assert outcome.summary["architecture"] == "LlamaForCausalLM" and outcome.summary["fills_middle"]
    origin = outcome.summary["origin"]
    assert (origin["format"], origin["license"], origin["stored_as"]) == ("gguf", "apache-2.0", "21 F32")


def test_its_tokenizer_cuts_text_as_the_file_says(tmp_path, take):
    ours = Tokenizer.from_file(
        str(take(make_gguf(tmp_path / "tiny.gguf", "gpt-2")).outputs["model"] / "tokenizer.json")
    )
    theirs = Tokenizer.from_file(str(tmp_path / "source" / "tokenizer.json"))
    text = "def add(a, b):\n    return a + b  # 1234 naïve\n"
    assert ours.encode(text).ids == theirs.encode(text).ids
    apart = gguf.CUTS["smollm"].pre_tokenizer.pre_tokenize_str("x1234")
    assert [piece for piece, _ in apart] == ["x", "1", "2", "3", "4"]


def test_a_text_begins_with_the_token_that_the_file_asks_for(tmp_path, take):
    outcome = take(make_gguf(tmp_path / "tiny.gguf", add_bos_token=True))
    assert Prompter(outcome.outputs["model"]).build("def", None, 8).ids[0] == 0


def test_a_damaged_file_is_refused_wherever_it_ends(tmp_path, take):
    whole = make_gguf(tmp_path / "tiny.gguf").read_bytes()
    for part in range(10):
        (tmp_path / "damaged.gguf").write_bytes(whole[: part * len(whole) // 10 + 3])
        with pytest.raises(StageFailure) as found:
            take(tmp_path / "damaged.gguf")
        assert found.value.code == "model:user:not-found", part


def test_a_way_of_cutting_text_that_is_not_known_is_refused(tmp_path, take):
    with pytest.raises(StageFailure, match=r"\(tekken\) that is not known; known: gpt-2"):
        take(make_gguf(tmp_path / "tiny.gguf", "tekken"))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"tokenizer.ggml.model": "llama"}, "only byte-level BPE"),
        ({"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "gpt-2", "tokenizer.ggml.tokens": ["a", "a"],
          "tokenizer.ggml.merges": []}, "twice"),
        ({"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "gpt-2"}, "has no tokenizer.ggml.tokens"),
    ],
)  # fmt: skip
def test_a_tokenizer_that_cannot_be_used_is_refused(fields, says):
    with pytest.raises(StageFailure, match=says):
        gguf.tokenizer_of(fields, "a.gguf")


def test_what_transformers_has_no_place_for_is_refused(tmp_path):
    from tests.worker.serving.tiny_model import make_model

    network = AutoModelForCausalLM.from_pretrained(make_model(tmp_path / "tiny"))
    with pytest.raises(StageFailure, match=r"no place for its rope_freqs\.weight"):
        gguf._check_network(network, {"token_embd.weight", "rope_freqs.weight"}, "a.gguf")


def test_a_part_of_several_and_another_architecture_are_refused(tmp_path: Path):
    for fields, says in (({"general.architecture": "mamba"}, "llama, qwen2"), ({}, "its architecture is None")):
        with pytest.raises(StageFailure, match=says):
            gguf._refuse_unknown(fields, "a.gguf")
