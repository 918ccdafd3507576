"""How a stage says no.

A stage that refuses its work raises `StageFailure` with a code of the form `area:user|app:slug`: `user` when the person
who asked can mend it, `app` when we must. The wording lives with the code, here, so that pages and tests agree.
Anything else that escapes a stage is a crash, and is reported as one.
"""

from __future__ import annotations

CODES: dict[str, str] = {
    "spec:app:invalid": "The job's spec could not be read: {detail}",
    "stage:app:out-of-memory": (
        "The stage ran out of memory: {detail}. Give the worker more (YARD_STAGE_MEMORY_MB, or a larger "
        "machine) and retry the job: finished parts are kept."
    ),
    "stage:app:disk-full": "There is no space left under {folder}. Free some and retry the job: finished parts are kept.",
    "data:user:source-missing": (
        "The source {location} is not there or cannot be read. Give a place that the workers can see; the "
        "key of a private one belongs into their environment."
    ),
    "data:user:source-empty": "The source {location} holds no file that a step would keep. Look at the reasons and loosen the recipe.",
    "data:user:bad-source": "The source {name} cannot be read as asked: {detail}",
    "data:user:source-unreachable": "The source {location} cannot be reached: {detail}. Credentials come from the workers' environment.",
    "data:user:source-forbidden": "The source {location} is not among the places that the workers show. {where}",
    "data:user:missing-column": "The source {name} has no column {column} for {role} in {where}. Its columns: {known}. Map another one.",
    "data:user:spark-only": (
        "The table {name} needs a reader for {detail}, which only Spark has. Give the queue workers a Spark server "
        "(SPARK_REMOTE), or name a copy that Spark wrote without."
    ),
    "data:user:preview-too-long": (
        "Nothing of the source {name} could be shown within {seconds} seconds. Narrow it to a part and look at that."
    ),
    "data:user:bad-recipe": "The ingest cannot run as asked: {detail}",
    "data:app:two-engines": "RAY_ADDRESS and SPARK_REMOTE are both set for the workers. Unset one: a job runs on one engine.",
    "data:app:engine-unreachable": (
        "The {engine} engine at {address} cannot be used: {detail}. Start it or mend {variable}, or unset that to work "
        "on one machine, and retry the job: finished parts are kept."
    ),
    "data:app:engine-unfit": (
        "The machines of the {engine} engine at {address} cannot do this work: {detail}. Give them this package, the "
        "worker's requirements and the shared folders (docs/data-engine.md), and retry the job."
    ),
    "data:user:no-rows": "The feedback holds no accepted completion that the cleaning steps keep.",
    "data:user:no-held-out": "The held-out split is empty: give more files or a larger held-out share.",
    "tokenizer:user:vocabulary-too-small": "A vocabulary of {asked} cannot hold the {needed} byte and special tokens; ask for more.",
    "tokenizer:user:not-enough-text": "The dataset gives only {reached} of the {asked} tokens asked for; lower the vocabulary or add text.",
    "tokenizer:user:bad-request": "The tokenizer cannot be made as asked: {detail}",
    "tokenizer:user:not-found": "No tokenizer could be read from {location}: {detail}",
    "tokenizer:user:unsupported": "The tokenizer at {location} cannot be used: {detail}",
    "tokenizer:user:bad-special-ids": "The special tokens of {location} do not hold together: {detail}",
    "tokenizer:app:no-baseline": "GPT-2's vocabulary, the baseline, cannot be read: {detail}",
    "tokenizer:app:engines-differ": "{fast} and {reference} differ in {what}: {detail}. Nothing was made; report it with the dataset.",
    "tokenizer:user:hash-mismatch": "The {what} was made with tokenizer {theirs}, not with {ours}. Rebuild it with the same tokenizer.",
    "shards:user:bad-request": "The shards cannot be built as asked: {detail}",
    "shards:user:no-samples": "The dataset is shorter than one sequence of {sequence_length} tokens.",
    "training:user:unknown-recipe": "There is no recipe called {name}. Known: {known}.",
    "training:user:bad-recipe": "The recipe does not hold together: {detail}",
    "training:user:not-finite": "The loss became {value} at step {step}. Lower the learning rate or look at the step's samples.",
    "model:user:not-found": "No model could be read from {location}: {detail}",
    "model:user:unsupported": "The model at {location} cannot be used: {detail}",
    "model:user:too-large": "The model at {location} is too large: {detail}",
    "evaluation:user:bad-suite": "The suite cannot be read: {detail}",
    "evaluation:user:nothing-admitted": "No problem of the suite is admitted on this machine: {detail}",
    "evaluation:user:no-infilling": "The suite asks to fill in the middle, which this model cannot: {detail}",
    "evaluation:user:bad-source": "The evaluation does not say where completions come from: {detail}",
    "evaluation:user:bad-generations": "The earlier evaluation's samples cannot be judged again: {detail}",
    "evaluation:user:key-unreadable": "The key of the baseline {baseline} cannot be read. {detail}",
    "evaluation:user:endpoint-refused": "The endpoint {url} refuses the key it was given ({detail}). Give the baseline another one.",
    "evaluation:user:endpoint-not-found": "The endpoint {url} has no model {model} of style {style}: {detail}",
    "evaluation:user:endpoint-bad-request": "The endpoint {url} refuses what the evaluation asks: {detail}",
    "evaluation:app:endpoint-unreachable": (
        "The endpoint {url} does not answer: {detail}. Retry the job when it does: the completions so far are kept."
    ),
    "evaluation:app:endpoint-invalid": "The endpoint {url} answers something that is no completion: {detail}",
    "evaluation:user:nothing-to-compare": "No problem of the suite can be looked for in the dataset: {detail}",
    "evaluation:app:runtime-missing": "This machine cannot judge a language of the suite ({detail}); no code was run.",
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
