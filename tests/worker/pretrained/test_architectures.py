"""Each architecture that an import takes is one that both engines run alike: tiny random models of each."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers

from tests.worker.serving.tiny_model import make_tokenizer
from worker.pretrained.architectures import KNOWN
from worker.serving.engine import load_engine
from worker.specs import DecodeSettings

PROMPTS = ("def add(a, b):", "class Point:\n    def __init__(self, x, y):", "for item in items:")


def make_random(folder: Path, architecture: str) -> Path:
    make_tokenizer(folder)
    cls = getattr(transformers, architecture)
    torch.manual_seed(1)
    config = cls.config_class(
        architectures=[architecture], vocab_size=384, hidden_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=16, intermediate_size=128, max_position_embeddings=256, tie_word_embeddings=False,
        initializer_range=0.3, bos_token_id=0, eos_token_id=0, pad_token_id=4,
    )  # fmt: skip
    cls(config).save_pretrained(folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("architecture", KNOWN)
def test_both_engines_answer_as_transformers_does(tmp_path, architecture):
    folder = make_random(tmp_path / "model", architecture)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    for name in ("transformers", "openvino"):
        engine = load_engine(folder, name, quantise="fp32", decode=DecodeSettings(max_tokens=12))
        for prompt in PROMPTS:
            ids = torch.tensor([engine.prompter.tokenizer.encode(prompt).ids])
            whole = model.generate(ids, max_new_tokens=12, do_sample=False, eos_token_id=list(engine.prompter.stop_ids))
            expected = engine.prompter.tokenizer.decode(whole[0, ids.shape[1] :].tolist())
            assert engine.complete(prompt).text == expected, name
