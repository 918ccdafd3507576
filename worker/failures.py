"""How a stage says no.

A stage that refuses its work raises `StageFailure` with a code of the form `area:user|app:slug`: `user` when the person
who asked can mend it, `app` when we must. The wording lives with the code, here, so that pages and tests agree.
Anything else that escapes a stage is a crash, and is reported as one.
"""

from __future__ import annotations

CODES: dict[str, str] = {
    "spec:app:invalid": "The job's spec could not be read: {detail}",
    "data:user:source-missing": "The source {location} is not there or cannot be read. Give a folder that this machine can see.",
    "data:user:source-empty": "The source {location} holds no file that a step would keep. Look at the reasons and loosen the recipe.",
    "data:user:bad-recipe": "The ingest cannot run as asked: {detail}",
    "data:user:no-rows": "The feedback holds no accepted completion that the cleaning steps keep.",
    "data:user:no-held-out": "The held-out split is empty: give more files or a larger held-out share.",
    "tokenizer:user:vocabulary-too-small": "A vocabulary of {asked} cannot hold the {needed} byte and special tokens; ask for more.",
    "tokenizer:user:not-enough-text": "The dataset gives only {reached} of the {asked} tokens asked for; lower the vocabulary or add text.",
    "tokenizer:user:hash-mismatch": "The {what} was made with tokenizer {theirs}, not with {ours}. Rebuild it with the same tokenizer.",
    "shards:user:bad-request": "The shards cannot be built as asked: {detail}",
    "shards:user:no-samples": "The dataset is shorter than one sequence of {sequence_length} tokens.",
    "training:user:unknown-recipe": "There is no recipe called {name}. Known: {known}.",
    "training:user:bad-recipe": "The recipe does not hold together: {detail}",
    "training:user:not-finite": "The loss became {value} at step {step}. Lower the learning rate or look at the step's samples.",
    "evaluation:user:bad-suite": "The suite cannot be read: {detail}",
    "evaluation:app:sandbox-unavailable": "No isolation is available here ({detail}); no code was run.",
    "serving:app:server-unreachable": "The Triton server at {url} does not answer: {detail}",
    "serving:app:load-failed": "Triton refused the model: {detail}",
    "serving:app:canary-failed": "The model was loaded but did not answer its canary: {detail}",
    "serving:user:unknown-engine": "There is no engine {engine} with {quantise} weights. Known: {known}.",
    "serving:user:bad-name": "A deployment cannot be called {name}: use letters, digits, dots, dashes and underscores, at most 100.",
    "serving:user:bad-decode": "The decode settings do not hold together: {detail}",
    "serving:user:unsupported-architecture": "The {architecture} architecture cannot be converted to the serving engine: {detail}",
    "storage:app:unreachable": "The storage at {url} does not answer: {detail}",
}


class StageFailure(Exception):
    """A stage refused: `code` is one of CODES, `values` fill its wording."""

    def __init__(self, code: str, **values: object) -> None:
        self.code = code
        self.values = values
        self.message = CODES[code].format(**values)
        super().__init__(f"{code}: {self.message}")
