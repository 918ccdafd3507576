"""The decoders that both serving engines run, each shown by a test to give the same greedy tokens in either.

A model of another kind may convert and still answer wrongly (another position encoding, a cache of another shape), so
what is not listed is refused. To add one, add it here: tests/worker/pretrained/test_architectures.py does the rest.
"""

from __future__ import annotations

KNOWN = (
    "LlamaForCausalLM",
    "MistralForCausalLM",
    "Qwen2ForCausalLM",
    "Qwen3ForCausalLM",
    "Starcoder2ForCausalLM",
)
# general.architecture of a GGUF file, of those that transformers reads into one of KNOWN.
GGUF_KNOWN = ("llama", "qwen2", "qwen3", "starcoder2")
