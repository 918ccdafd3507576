"""A GGUF file: its tokenizer and its card out of the metadata, its weights through transformers.

The tokenizer is built here, from the file's own account of how text is cut (tokenizer.ggml.pre) and begun. transformers
builds one too, but by the architecture: of a Llama it takes every byte-level tokenizer for Llama 3's. Its SmolLM2 puts
<|im_start|> before every text, though the file says not to, and takes the same token for the end (4.57.6). What a name of
llama.cpp's means is in its own source (src/llama-vocab.cpp); one that is not listed is refused.

Weights are dequantised to float32: the model that comes out is what the file holds, no more exact and no smaller.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from gguf import GGUFReader
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedModel
from transformers.modeling_gguf_pytorch_utils import get_gguf_hf_weights_map

from worker.pretrained.architectures import GGUF_KNOWN, KNOWN
from worker.pretrained.published import Published, load, not_found, unsupported
from worker.tokenizer.splitting import SCHEMES

CONTROL, USER_DEFINED = 3, 4  # of tokenizer.ggml.token_type
_DIGITS_APART = pre_tokenizers.Sequence(
    [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
)


@dataclass(frozen=True)
class Cut:
    """How text is cut before merging, and what goes with it: `whole_words` are tokens even where no merge makes them."""

    pre_tokenizer: pre_tokenizers.PreTokenizer
    composes: bool = False
    whole_words: bool = False
    begins: bool = False  # with the beginning-of-text token, unless the file says otherwise


CUTS = {
    "gpt-2": Cut(SCHEMES["gpt2"].build()),
    "smollm": Cut(_DIGITS_APART),
    "starcoder": Cut(_DIGITS_APART),
    "refact": Cut(_DIGITS_APART),
    "qwen2": Cut(SCHEMES["qwen2"].build(), composes=True),
    "llama-bpe": Cut(SCHEMES["gpt4"].build(), whole_words=True, begins=True),
}


def read(file: Path, location: str) -> Published:
    """Raises StageFailure model:user:not-found (damaged, in parts) and model:user:unsupported."""
    fields, types, tensors = _metadata(file, location)
    _refuse_unknown(fields, location)
    tokenizer = tokenizer_of(fields, location)
    network = load(file.parent, location, gguf_file=file.name, dtype=torch.float32)
    _check_network(network, tensors, location)
    _end_as_told(network, fields)
    return Published(network, tokenizer, _config(fields), _card(fields), types)


def tokenizer_of(fields: Mapping[str, Any], location: str) -> Tokenizer:
    """From the metadata of a file, by name. Raises model:user:unsupported for one that is not byte-level BPE."""
    kind, pre = fields.get("tokenizer.ggml.model"), fields.get("tokenizer.ggml.pre")
    if kind != "gpt2":
        raise unsupported(
            location, f"its tokenizer is {kind or 'not in the file'}; only byte-level BPE gives text back"
        )
    if pre not in CUTS:
        raise unsupported(
            location, f"its tokenizer cuts text in a way ({pre}) that is not known; known: {', '.join(CUTS)}"
        )
    missing = [name for name in ("tokens", "merges") if f"tokenizer.ggml.{name}" not in fields]
    if missing:
        raise not_found(location, f"it has no tokenizer.ggml.{missing[0]}")
    cut, tokens = CUTS[pre], fields["tokenizer.ggml.tokens"]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    if len(vocabulary) != len(tokens):
        raise not_found(location, "its vocabulary has a token twice")
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, ignore_merges=cut.whole_words))
    tokenizer.pre_tokenizer, tokenizer.decoder = cut.pre_tokenizer, decoders.ByteLevel()
    if cut.composes:
        tokenizer.normalizer = normalizers.NFC()
    _add(tokenizer, tokens, fields.get("tokenizer.ggml.token_type") or [])
    _begin(tokenizer, tokens, fields, cut)
    return tokenizer


def _add(tokenizer: Tokenizer, tokens: list[str], types: list[int]) -> None:
    added = [
        AddedToken(token, special=kind == CONTROL, normalized=False)
        for token, kind in zip(tokens, types, strict=False)
        if kind in {CONTROL, USER_DEFINED}
    ]
    tokenizer.add_tokens(added)


def _begin(tokenizer: Tokenizer, tokens: list[str], fields: Mapping[str, Any], cut: Cut) -> None:
    """A text begins with the beginning-of-text token where the file says so, as worker.serving.prompts reads it."""
    number = fields.get("tokenizer.ggml.bos_token_id")
    if number is None or not fields.get("tokenizer.ggml.add_bos_token", cut.begins):
        return
    begin = tokens[number]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{begin} $A", special_tokens=[(begin, number)])


def _metadata(file: Path, location: str) -> tuple[dict[str, Any], str, set[str]]:
    """(fields by name, the types of the weights with their number, the names of the tensors)."""
    try:
        reader = GGUFReader(file)
        fields = {name: found.contents() for name, found in reader.fields.items()}
    except (ValueError, IndexError, KeyError, TypeError, OSError, OverflowError, UnicodeError) as error:
        raise not_found(location, f"it is damaged or no GGUF file: {str(error)[:200]}") from error
    if int(fields.get("split.count") or 1) > 1:
        raise unsupported(location, "it is one part of several; join them with llama-gguf-split --merge")
    types = Counter(tensor.tensor_type.name for tensor in reader.tensors)
    told = ", ".join(f"{number} {name}" for name, number in types.most_common())
    return fields, told, {tensor.name for tensor in reader.tensors}


def _refuse_unknown(fields: Mapping[str, Any], location: str) -> None:
    found = fields.get("general.architecture")
    if found not in GGUF_KNOWN:
        raise unsupported(location, f"its architecture is {found}; of GGUF files {', '.join(GGUF_KNOWN)} are taken")


def _check_network(network: PreTrainedModel, tensors: set[str], location: str) -> None:
    """transformers leaves out in silence what it has no place for, such as the factors of a stretched context."""
    architecture = type(network).__name__
    if architecture not in KNOWN:
        raise unsupported(location, f"it is {architecture}; the serving engines run {', '.join(KNOWN)}")
    unplaced = sorted(tensors - set(get_gguf_hf_weights_map(network)))
    if unplaced:
        raise unsupported(location, f"transformers has no place for its {', '.join(unplaced[:3])}; take the original")


def _end_as_told(network: PreTrainedModel, fields: Mapping[str, Any]) -> None:
    """The ids of begin, end and padding are with the tokenizer in a GGUF file, so transformers leaves its defaults."""
    names = {"bos_token_id": "bos", "eos_token_id": "eos", "pad_token_id": "padding"}
    for ours, theirs in names.items():
        setattr(network.config, ours, fields.get(f"tokenizer.ggml.{theirs}_token_id"))


def _config(fields: Mapping[str, Any]) -> dict[str, Any]:
    """As a tokenizer_config.json would say it."""
    tokens = fields["tokenizer.ggml.tokens"]
    numbers = {"eos_token": "eos", "pad_token": "padding", "bos_token": "bos"}
    ids = {ours: fields.get(f"tokenizer.ggml.{theirs}_token_id") for ours, theirs in numbers.items()}
    config = {name: tokens[number] for name, number in ids.items() if number is not None}
    template = fields.get("tokenizer.chat_template")
    return {**config, "chat_template": template} if template else config


def _card(fields: Mapping[str, Any]) -> dict[str, str]:
    names = {
        "general.license": "license",
        "general.license.link": "license_link",
        "general.name": "name",
        "general.organization": "organization",
        "general.base_model.0.repo_url": "base_model",
        "general.source.url": "url",
    }
    return {ours: str(fields[theirs]) for theirs, ours in names.items() if fields.get(theirs)}
