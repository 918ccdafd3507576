"""The worker's half of bench/serving.py: a model to measure, and the engine in process. Runs in worker's environment.

python -m bench.serving_engine make DIR      a model of the demo's shape with random weights, context 1024
python -m bench.serving_engine serve DIR     for each JSON line {"prompts": [...], "prefix_cache": bool} on stdin, one
                                             JSON line with the seconds from each prompt to its first token
"""

from __future__ import annotations

import json
import os
import sys
import sysconfig
import time
from pathlib import Path

from worker.serving.engine import Ask, Engine, load_engine
from worker.specs import DecodeSettings, ModelShape

SPECIALS = ["<|endoftext|>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>"]
VOCABULARY, CONTEXT, TEXT_FILES = 4096, 1024, 150


def make(folder: Path) -> None:
    """Latency depends on the shape, not on what the weights know."""
    from worker import torchvision_hook

    torchvision_hook.install()
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))[:TEXT_FILES]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=SPECIALS, initial_alphabet=alphabet)
    tokenizer.train([str(file) for file in files], trainer)
    folder.mkdir(parents=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    shape = ModelShape()
    torch.manual_seed(17)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=shape.hidden_size,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.key_value_heads,
        intermediate_size=shape.intermediate_size,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=shape.tie_embeddings,
        bos_token_id=0,
        eos_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(folder)


def serve(folder: Path) -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # NNCF draws its progress on stdout
    cache, settings = folder.with_name("engines"), DecodeSettings(max_tokens=32)
    engines = {
        kept: load_engine(folder, "openvino", decode=settings, cache_dir=cache, prefix_cache=kept)
        for kept in (True, False)
    }
    for line in sys.stdin:
        asked = json.loads(line)
        seconds = [first_token_seconds(engines[asked["prefix_cache"]], prompt) for prompt in asked["prompts"]]
        print(json.dumps(seconds), file=answers, flush=True)


def first_token_seconds(engine: Engine, prompt: str) -> float:
    begun = time.perf_counter()
    running = engine.start(Ask(prompt))
    while not running.finished:
        engine.step()
        if (chunk := running.poll()) and chunk.text:
            break
    seconds = time.perf_counter() - begun
    running.cancel()
    engine.step()  # lets go of the cancelled sequence, outside the measured time
    return seconds


if __name__ == "__main__":
    {"make": make, "serve": serve}[sys.argv[1]](Path(sys.argv[2]))
