"""OpenVINO GenAI's continuous batching as a core: the CPU engine.

KV cache and arithmetic are float32. The default (8-bit cache on CPU) is smaller, but its rounding depends on which
other requests share the batch, so a sampled completion with a seed drifted from the 4th to 7th token on when others ran
beside it; with float32 16 of 16 tokens stayed equal at temperature 0.3 and 0.8. Weights may still be int8.

The prefix cache is on and bounded: what the last keystroke computed, the next one reuses.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import openvino
import openvino_genai as genai

from worker.serving.engine import Tokens
from worker.specs import DecodeSettings

BLOCK_TOKENS = 32  # of the CPU plugin's paged cache
CACHE_BYTES = 256 * 2**20
# Of an imported model with a context of 32,768 tokens, four would be 8 GB and more: then as many as fit in here.
MOST_CACHE_BYTES = 2 * 2**30
MIN_CONTEXTS = 4
FINISH = {genai.GenerationFinishReason.STOP: "stop", genai.GenerationFinishReason.LENGTH: "length"}


class OpenVinoCore:
    """Loads an IR folder in well under a second for small models. Raises RuntimeError from OpenVINO if it cannot."""

    def __init__(self, model_dir: Path, threads: int, prefix_cache: bool) -> None:
        properties = {
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": "f32",
            "KV_CACHE_PRECISION": "f32",
        }
        scheduler = genai.SchedulerConfig()
        scheduler.enable_prefix_caching = prefix_cache
        scheduler.num_kv_blocks = _cache_blocks(json.loads((model_dir / "config.json").read_text()))
        self.pipeline = genai.ContinuousBatchingPipeline(str(model_dir), scheduler, "CPU", properties)
        self.ids = itertools.count()

    def add(
        self, ids: Sequence[int], decode: DecodeSettings, stop_ids: frozenset[int], max_tokens: int, logprobs: bool
    ) -> OpenVinoSequence:
        tensor = openvino.Tensor(np.array([ids], dtype=np.int64))
        config = _generation_config(decode, stop_ids, max_tokens, logprobs)
        return OpenVinoSequence(self.pipeline.add_request(next(self.ids), tensor, config), logprobs)

    def step(self) -> None:
        if self.pipeline.has_non_finished_requests():
            self.pipeline.step()


class OpenVinoSequence:
    def __init__(self, handle: genai.GenerationHandle, logprobs: bool) -> None:
        self.handle = handle
        self.logprobs = logprobs

    def read(self) -> Tokens:
        """One sequence per request, so one output per read."""
        if not self.handle.can_read():
            # Out of cache even for this request alone: the scheduler drops it and says so by its status only.
            ignored = self.handle.get_status() == genai.GenerationStatus.IGNORED
            return Tokens(finish="length") if ignored else Tokens()
        (output,) = self.handle.read().values()
        logprobs = tuple(output.generated_log_probs) if self.logprobs else ()
        return Tokens(tuple(output.generated_ids), logprobs, FINISH.get(output.finish_reason))

    def cancel(self) -> None:
        self.handle.cancel()


def _generation_config(
    decode: DecodeSettings, stop_ids: frozenset[int], max_tokens: int, logprobs: bool
) -> genai.GenerationConfig:
    config = genai.GenerationConfig()
    config.max_new_tokens = max_tokens
    config.stop_token_ids = set(stop_ids)
    config.repetition_penalty = decode.repetition_penalty
    config.logprobs = int(logprobs)
    if decode.temperature > 0:
        config.do_sample = True
        config.temperature = decode.temperature
        config.top_p = decode.top_p
        config.rng_seed = decode.seed
        if decode.top_k:
            config.top_k = decode.top_k
    return config


def _cache_blocks(config: dict[str, int]) -> int:
    """Blocks that fill CACHE_BYTES, or that MIN_CONTEXTS full contexts need, within MOST_CACHE_BYTES; never fewer than
    one context needs.
    """
    heads = config["num_attention_heads"]
    head_size = config.get("head_dim") or config["hidden_size"] // heads
    key_values = 2 * config["num_hidden_layers"] * config.get("num_key_value_heads", heads) * head_size
    block_bytes = key_values * BLOCK_TOKENS * 4
    one = -(-config.get("max_position_embeddings", 2048) // BLOCK_TOKENS)
    needed = min(MIN_CONTEXTS * one, MOST_CACHE_BYTES // block_bytes)
    return max(CACHE_BYTES // block_bytes, needed, one)
