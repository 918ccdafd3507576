"""The pre-tokenisers a vocabulary can be trained with: where text is cut before any merge.

Each is a published pattern that both engines encode identically. gigatoken learns merges for GPT-2's alone; for the
others `tokenizers` does, and the artifact says so.

    gpt2    a blank belongs to the word after it, digits stay together              Radford et al. 2019
    gpt4    at most three digits together, a line's end stays with the punctuation  tiktoken's cl100k_base
    qwen2   as gpt4, but every digit by itself                                      Qwen2, Yang et al. 2024
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tokenizers import Regex, pre_tokenizers

_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


@dataclass(frozen=True)
class Scheme:
    """`pattern` isolates the pieces; without one ByteLevel's own pattern, GPT-2's, does."""

    name: str
    pattern: str | None = None

    def build(self) -> pre_tokenizers.PreTokenizer:
        if self.pattern is None:
            return pre_tokenizers.ByteLevel(add_prefix_space=False)
        split = pre_tokenizers.Split(Regex(self.pattern), "isolated")
        return pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])

    def is_of(self, raw: Mapping[str, Any] | None) -> bool:
        """Whether this is the `pre_tokenizer` of a tokenizer.json."""
        if raw is None:
            return False
        if self.pattern is None:
            return _is_byte_level(raw, use_regex=True)
        parts = raw.get("pretokenizers", [])
        return (
            len(parts) == 2
            and parts[0].get("type") == "Split"
            and parts[0].get("pattern") == {"Regex": self.pattern}
            and (parts[0].get("behavior"), parts[0].get("invert")) == ("Isolated", False)
            and _is_byte_level(parts[1], use_regex=False)
        )


SCHEMES = {
    scheme.name: scheme
    for scheme in (
        Scheme("gpt2"),
        Scheme("gpt4", _WORDS + r"\p{N}{1,3}" + _REST),
        Scheme("qwen2", _WORDS + r"\p{N}" + _REST),
    )
}
LEARNT_FAST = "gpt2"


def scheme_of(raw: Mapping[str, Any] | None) -> str | None:
    """The name of a tokenizer.json's pre-tokeniser, if it is one of these."""
    return next((scheme.name for scheme in SCHEMES.values() if scheme.is_of(raw)), None)


def _is_byte_level(raw: Mapping[str, Any], use_regex: bool) -> bool:
    found = (raw.get("type"), raw.get("add_prefix_space"), raw.get("use_regex", True))
    return found == ("ByteLevel", False, use_regex)
