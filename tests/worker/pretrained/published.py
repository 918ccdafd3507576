"""Published models as the world has them, tiny: a folder of Hugging Face's, and the same model as a GGUF file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.worker.serving.tiny_model import SPECIALS, make_model, make_tokenizer

STARCODER = ("<|endoftext|>", "<fim_prefix>", "<fim_middle>", "<fim_suffix>", "<fim_pad>")
PLAIN = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|repo|>", "<|file|>")
CARD = "---\nlicense: apache-2.0\nbase_model: someone/larger\n---\n# A model\n"


def make_folder(folder: Path, specials: tuple[str, ...] = STARCODER, **config: Any) -> Path:
    """The tiny Llama with a vocabulary of its own and a card; `config` changes its config.json."""
    make_model(folder)
    make_tokenizer(folder, specials)
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|endoftext|>"}))
    (folder / "README.md").write_text(CARD)
    edit(folder / "config.json", **config)
    return folder


def edit(path: Path, **changed: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


def make_gguf(path: Path, pre: str = "smollm", **fields: Any) -> Path:
    """The same tiny Llama in float32, as llama.cpp's converter would write it; returns `path`.

    Queries and keys are permuted there: https://github.com/ggml-org/llama.cpp/blob/master/convert_hf_to_gguf.py (permute).
    """
    import gguf
    import torch
    from tokenizers import Tokenizer
    from transformers import LlamaForCausalLM

    source = make_folder(path.parent / "source", SPECIALS)
    llama = LlamaForCausalLM.from_pretrained(source, dtype=torch.float32)
    config = llama.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("Tiny")
    writer.add_license("apache-2.0")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    raw = json.loads(Tokenizer.from_file(str(source / "tokenizer.json")).to_str())
    tokens = sorted(raw["model"]["vocab"], key=raw["model"]["vocab"].get)
    tokens += [f"<|spare_{number}|>" for number in range(len(tokens), config.vocab_size)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in SPECIALS else 1 for token in tokens])
    writer.add_token_merges([" ".join(pair) for pair in raw["model"]["merges"]])
    writer.add_eos_token_id(0)
    writer.add_bos_token_id(0)
    writer.add_pad_token_id(4)
    for name, value in fields.items():
        writer.add_bool(f"tokenizer.ggml.{name}", value)
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for name, weights in llama.state_dict().items():
        n_heads = next((n for part, n in heads.items() if part in name), 0)
        array = _permuted(weights, n_heads) if n_heads else weights
        writer.add_tensor(names.get_name(name.removesuffix(".weight")) + ".weight", array.contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _permuted(weights: Any, n_heads: int) -> Any:
    rows, columns = weights.shape
    return weights.reshape(n_heads, 2, rows // n_heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)
