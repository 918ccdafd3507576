"""A tokenizer as a folder, however it came to be: the files, and the account that its page shows.

    tokenizer/tokenizer.json             what `tokenizers` and every engine read
    tokenizer/tokenizer_config.json      the rest of what transformers' PreTrainedTokenizerFast wants
    tokenizer/special_tokens_map.json
    tokenizer/roles.json                 which token ends a text, which are for fill-in-the-middle (worker.tokenizer.special)
    tokenizer/fertility.json             bytes per token by language, on held-out text; GPT-2's beside it. Empty for a
                                         tokenizer that came with an imported model: there is no text to measure on
    tokenizer/vocabulary.parquet         every token with its counts (worker.tokenizer.vocabulary)
    tokenizer/engines.json               who learnt the merges and who encoded, and why not the fast engine

The hash of the folder is the tokenizer's name on everything that was made with it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from worker.context import Context, Outcome
from worker.events import MessageLogged
from worker.manifest import write_atomically
from worker.tokenizer import baseline, fertility, vocabulary
from worker.tokenizer.audit import Finding
from worker.tokenizer.engines import Encoder
from worker.tokenizer.special import vocabulary_size
from worker.tokenizer.vocabulary import Counts

SNIPPET = 'def area(width: float, height: float) -> float:\n    """In square metres."""\n    return width * height\n'
# transformers' own word for "no limit"; the model, not the vocabulary, has a longest input.
NO_LIMIT = int(1e30)


@dataclass(frozen=True)
class Made:
    """A tokenizer with what is known of it. `sample` is None where it was not trained here."""

    tokenizer: Tokenizer
    roles: Mapping[str, str]
    findings: list[Finding]
    origin: Mapping[str, str]
    config: Mapping[str, Any] = field(default_factory=dict)
    sample: Counts | None = None
    counts: Mapping[str, int] = field(default_factory=dict)


def finish(made: Made, encoder: Encoder, data: Path | None, seed: int, context: Context) -> Outcome:
    """Measure on the held-out text of `data`, where there is any, and write the folder."""
    size = vocabulary_size(made.tokenizer)
    measured, held_out, theirs = fertility.NOTHING, None, {}
    if data is not None:
        context.enter("measure fertility")
        measured, held_out = fertility.measure(encoder, data, seed, size)
        gpt2, _ = fertility.measure(baseline.encoder(), data, seed, vocabulary_size(baseline.gpt2()))
        theirs = {baseline.NAME: gpt2}
    tokens = vocabulary.table(made.tokenizer, encoder, made.sample, held_out)
    engines = {**made.origin, "encoding": encoder.engine, "encoding_note": encoder.note}
    for note in filter(None, (engines.get("merges_note"), engines["encoding_note"])):
        context.reporter.report(MessageLogged(note))
    summary = {
        "special_tokens": {
            token.content: number for number, token in sorted(made.tokenizer.get_added_tokens_decoder().items())
        },
        "roles": dict(made.roles),
        "audit": made.findings,
        "engines": engines,
        "fertility": measured,
        "baselines": theirs,
        "tokens": vocabulary.account(tokens),
        "snippet": _snippet(encoder),
        "longest_tokens": _longest(made.tokenizer),
    }
    folder = context.out / "tokenizer"
    write(made, folder)
    vocabulary.write(tokens, folder)
    for name in ("fertility", "engines"):
        write_atomically(folder / f"{name}.json", json.dumps(summary[name], indent=1, sort_keys=True))
    return Outcome({"tokenizer": folder}, {"vocabulary": size, **made.counts}, summary)


def write(made: Made, folder: Path) -> None:
    """The files that `PreTrainedTokenizerFast.from_pretrained(folder)` reads, offline, and roles.json."""
    folder.mkdir(parents=True, exist_ok=True)
    special = [token.content for token in made.tokenizer.get_added_tokens_decoder().values() if token.special]
    end = made.roles["end_of_text"]
    pad = made.roles.get("fim_pad", end)  # of a model that was never trained with padding, as its users do
    named = {
        "eos_token": end,
        "pad_token": pad,
        "additional_special_tokens": [token for token in special if token not in {end, pad}],
    }
    # Of an imported configuration only the chat template is kept: another class, or code to be run, is not wanted.
    kept = {name: made.config[name] for name in ("chat_template",) if name in made.config}
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        "model_max_length": NO_LIMIT,
        "model_input_names": ["input_ids", "attention_mask"],
        **kept,
        **named,
    }
    write_atomically(folder / "tokenizer.json", made.tokenizer.to_str(pretty=True))
    for name, content in (("tokenizer_config", config), ("special_tokens_map", named), ("roles", dict(made.roles))):
        write_atomically(folder / f"{name}.json", json.dumps(content, indent=1, sort_keys=True))


def _snippet(encoder: Encoder) -> list[dict[str, Any]]:
    encoding = encoder.reference.encode(SNIPPET, add_special_tokens=False)
    pairs = zip(encoding.ids, encoding.offsets, strict=True)
    return [{"id": number, "text": SNIPPET[start:end]} for number, (start, end) in pairs]


def _longest(tokenizer: Tokenizer) -> list[dict[str, Any]]:
    """The 24 longest, runs of one character (indentation, rulers) aside: those say little."""
    special = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    words = [
        (tokenizer.decode([number]), number) for token, number in tokenizer.get_vocab().items() if token not in special
    ]
    telling = sorted(
        (word for word in words if len(set(word[0].strip())) > 1), key=lambda word: (-len(word[0]), word[1])
    )
    return [{"id": number, "text": word} for word, number in telling[:24]]
