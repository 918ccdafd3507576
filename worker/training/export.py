"""A trained model as a folder that transformers, the evaluation and every serving engine open as it is.

    config.json generation_config.json model.safetensors     transformers' own format
    tokenizer.json tokenizer_config.json ...                 copied from the tokenizer's artifact
    modelyard.json                                           where it came from and what it reached

Checkpoints are not part of it: they hold optimiser state, three times the size, and stay in the job's work folder.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from transformers import GenerationConfig, LlamaForCausalLM

from worker.specs import TrainModel
from worker.training.data import ShardSet

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
)


def whole_weights(llama: LlamaForCausalLM) -> dict[str, Any]:
    """All weights on this process's CPU, also of a model that is sharded over ranks. Every rank must call it."""
    return get_model_state_dict(llama, options=StateDictOptions(full_state_dict=True, cpu_offload=True))


def write_model(
    llama: LlamaForCausalLM,
    weights: dict[str, Any],
    spec: TrainModel,
    shards: ShardSet,
    tokenizer: Path,
    reached: Mapping[str, Any],
    out: Path,
) -> None:
    """Write the model folder to `out`. `reached` holds steps, tokens_seen and the last metrics."""
    ids = shards.special_ids
    # Greedy, ended by end of text: what the model was trained to do; a version's decode settings are kept elsewhere.
    llama.generation_config = GenerationConfig(
        bos_token_id=ids["end_of_text"], eos_token_id=ids["end_of_text"], pad_token_id=ids["fim_pad"], do_sample=False
    )
    llama.save_pretrained(out, state_dict=weights, safe_serialization=True)
    _copy_tokenizer(tokenizer, out)
    (out / "modelyard.json").write_text(json.dumps(_origin(spec, shards, reached), indent=1, sort_keys=True) + "\n")


def _copy_tokenizer(tokenizer: Path, out: Path) -> None:
    for name in TOKENIZER_FILES:
        if (tokenizer / name).exists():
            shutil.copyfile(tokenizer / name, out / name)


def _origin(spec: TrainModel, shards: ShardSet, reached: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "tokenizer_sha256": spec.tokenizer.sha256,
        "shards_sha256": spec.shards.sha256,
        "recipe": asdict(spec.recipe),
        "special_ids": shards.special_ids,
        "sequence_length": shards.sequence_length,
        **reached,
    }
