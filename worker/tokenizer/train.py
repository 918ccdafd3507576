"""train_tokenizer: a byte-level BPE vocabulary from a seeded sample of a dataset's train split.

    tokenizer/tokenizer.json             what `tokenizers` and every engine read
    tokenizer/tokenizer_config.json      the rest of what transformers' PreTrainedTokenizerFast wants
    tokenizer/special_tokens_map.json
    tokenizer/fertility.json             bytes per token by language, on held-out text

The same dataset, sizes and seed give the same bytes, so the artifact's hash names the vocabulary. All special tokens
exist from the start, since with tied embeddings a vocabulary cannot grow later; spare ones are called
<|reserved_n|>. There is no normaliser and no cleaning up: decoding gives back what was encoded, byte for byte.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from worker.context import Context, Outcome, Stopped
from worker.failures import StageFailure
from worker.manifest import write_atomically
from worker.specs import TrainTokenizer
from worker.tokenizer import text
from worker.tokenizer.fertility import measure

VERSION = "1"

END_OF_TEXT = "<|endoftext|>"
FIM_PREFIX, FIM_MIDDLE, FIM_SUFFIX = "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>"
FIM_PAD = "<|fim_pad|>"
SNIPPET = 'def area(width: float, height: float) -> float:\n    """In square metres."""\n    return width * height\n'
# transformers' own word for "no limit"; the model, not the vocabulary, has a longest input.
NO_LIMIT = int(1e30)


def run(spec: TrainTokenizer, context: Context) -> Outcome:
    """Raises StageFailure tokenizer:user:... for a vocabulary too small to exist or too large to fill."""
    specials = special_tokens(spec.reserved_tokens)
    _check(spec, specials)
    data = context.fetch(spec.dataset)
    context.enter("sample text")
    sample = text.sample(data, "train", spec.sample_bytes, spec.seed)
    context.enter("learn merges")
    tokenizer = train(_with_progress(data, sample, context), spec.vocabulary_size, specials)
    if tokenizer.get_vocab_size() < spec.vocabulary_size:
        reached = tokenizer.get_vocab_size()
        raise StageFailure("tokenizer:user:not-enough-text", reached=reached, asked=spec.vocabulary_size)
    context.enter("measure fertility")
    fertility = measure(tokenizer, data, spec.seed)
    folder = context.out / "tokenizer"
    write(tokenizer, specials, folder)
    write_atomically(folder / "fertility.json", json.dumps(fertility, indent=1, sort_keys=True))
    counts = {
        "vocabulary": tokenizer.get_vocab_size(),
        "sample_bytes": sample.n_bytes,
        "sample_documents": len(sample.ids),
    }
    return Outcome({"tokenizer": folder}, counts, _summary(tokenizer, specials, fertility))


def special_tokens(n_reserved: int) -> list[str]:
    """In the order of their ids, which start at 0."""
    return [END_OF_TEXT, FIM_PREFIX, FIM_MIDDLE, FIM_SUFFIX, FIM_PAD, *(f"<|reserved_{n}|>" for n in range(n_reserved))]


def train(texts: Iterator[str], vocabulary_size: int, specials: list[str]) -> Tokenizer:
    """Byte-level BPE with GPT-2's pre-tokeniser (a space belongs to the word after it)."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=specials,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def write(tokenizer: Tokenizer, specials: list[str], folder: Path) -> None:
    """The three files that `PreTrainedTokenizerFast.from_pretrained(folder)` reads, offline."""
    folder.mkdir(parents=True, exist_ok=True)
    named = {
        "eos_token": END_OF_TEXT,
        "pad_token": FIM_PAD,
        "additional_special_tokens": [*specials[1:4], *specials[5:]],
    }
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        "model_max_length": NO_LIMIT,
        "model_input_names": ["input_ids", "attention_mask"],
        **named,
    }
    write_atomically(folder / "tokenizer.json", tokenizer.to_str(pretty=True))
    write_atomically(folder / "tokenizer_config.json", json.dumps(config, indent=1, sort_keys=True))
    write_atomically(folder / "special_tokens_map.json", json.dumps(named, indent=1, sort_keys=True))


def _check(spec: TrainTokenizer, specials: list[str]) -> None:
    needed = 256 + len(specials)
    if spec.vocabulary_size < needed:
        raise StageFailure("tokenizer:user:vocabulary-too-small", asked=spec.vocabulary_size, needed=needed)


def _with_progress(data: Path, sample: text.Sample, context: Context) -> Iterator[str]:
    """Feeding the trainer is most of its time; merging, at the end, cannot be interrupted."""
    done = 0
    for batch in text.read(data, sample):
        if context.stop_requested():
            raise Stopped(f"stopped after {done} of {sample.n_bytes} bytes")
        yield from batch
        done += sum(len(document.encode()) for document in batch)
        context.progress(done, sample.n_bytes, "bytes")


def _summary(tokenizer: Tokenizer, specials: list[str], fertility: dict[str, Any]) -> dict[str, Any]:
    encoding = tokenizer.encode(SNIPPET)
    return {
        "special_tokens": {token: tokenizer.token_to_id(token) for token in specials},
        "fertility": fertility,
        "snippet": [
            {"id": number, "text": SNIPPET[start:end]}
            for number, (start, end) in zip(encoding.ids, encoding.offsets, strict=True)
        ],
        "longest_tokens": _longest(tokenizer, set(specials)),
    }


def _longest(tokenizer: Tokenizer, specials: set[str]) -> list[dict[str, Any]]:
    """The 24 longest, runs of one character (indentation, rulers) aside: those say little."""
    words = [
        (tokenizer.decode([number]), number) for token, number in tokenizer.get_vocab().items() if token not in specials
    ]
    telling = sorted(
        (word for word in words if len(set(word[0].strip())) > 1), key=lambda word: (-len(word[0]), word[1])
    )
    return [{"id": number, "text": word} for word, number in telling[:24]]
