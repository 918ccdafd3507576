"""The tokens with a role in training and serving, and the names that published tokenizers give them.

A tokenizer of ours has the first name of each role. An imported one is searched for the others, in this order; what it
does not have is added to it, since no model exists yet whose vocabulary could not grow.

DeepSeek's names follow their place in the prompt: its "hole" stands where the suffix begins, its "end" where the middle
begins (DeepSeek-Coder, Guo et al. 2024, section 3.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tokenizers import Tokenizer

END_OF_TEXT = "<|endoftext|>"
FIM_PREFIX, FIM_MIDDLE, FIM_SUFFIX = "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>"
FIM_PAD = "<|fim_pad|>"

ROLES: dict[str, tuple[str, ...]] = {
    "end_of_text": (END_OF_TEXT, "<|end_of_text|>", "<｜end▁of▁sentence｜>", "</s>", "<eos>", "<|eos|>"),
    "fim_prefix": (FIM_PREFIX, "<fim_prefix>", "<fim-prefix>", "<｜fim▁begin｜>", "▁<PRE>", "<PRE>", "[PREFIX]"),
    "fim_middle": (FIM_MIDDLE, "<fim_middle>", "<fim-middle>", "<｜fim▁end｜>", "▁<MID>", "<MID>", "[MIDDLE]"),
    "fim_suffix": (FIM_SUFFIX, "<fim_suffix>", "<fim-suffix>", "<｜fim▁hole｜>", "▁<SUF>", "<SUF>", "[SUFFIX]"),
    "fim_pad": (FIM_PAD, "<fim_pad>", "<fim-pad>", "<|pad|>", "<pad>", "[PAD]", "<｜▁pad▁｜>"),
}
# What transformers' own configuration calls two of them; it decides when no known name is there.
NAMED = {"end_of_text": "eos_token", "fim_pad": "pad_token"}
CHAT = (
    *("<|im_start|>", "<|im_end|>", "<|user|>", "<|assistant|>", "<|system|>", "[INST]", "[/INST]"),
    *("<|start_header_id|>", "<|eot_id|>", "<|begin_of_text|>", "<｜User｜>", "<｜Assistant｜>"),
)


def find_roles(tokenizer: Tokenizer, config: Mapping[str, Any]) -> dict[str, str]:
    """{role: token} of the roles that this tokenizer has; `config` is its tokenizer_config.json, or empty."""
    special = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    found = {}
    for role, names in ROLES.items():
        named = config.get(NAMED.get(role, ""))
        candidates = (*names, named.get("content") if isinstance(named, dict) else named)
        token = next((name for name in candidates if name in special), None)
        if token is not None:
            found[role] = token
    return found


def vocabulary_size(tokenizer: Tokenizer) -> int:
    """One more than the largest id: what an embedding needs, whatever gaps there are between the ids."""
    return 1 + max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)
