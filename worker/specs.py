"""What each stage is asked: frozen dataclasses that travel as JSON in a job's `spec.json`.

A spec names only content: artifacts by uri and hash, parameters by value. Where to store results, which attempt this is
and which servers to talk to come from the environment (see worker.context), so that equal specs mean equal work.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from worker import cleaning
from worker.failures import StageFailure


@dataclass(frozen=True)
class ArtifactRef:
    """An input: the folder at `uri`, whose content hashes to `sha256`."""

    uri: str
    sha256: str


# ---- ingest_dataset ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SourceSpec:
    """Where raw files come from. `license` is an SPDX expression or "unknown"; a held-out source is never trained on.

    `kind` and the `options` it takes: worker.sources. `location`: a path, a pattern of paths or an fsspec URL.
    `exclude`: shell patterns of names or relative paths (folders or files) that are not looked at: "test", "docs/*".
    """

    name: str
    location: str
    license: str = "unknown"
    held_out: bool = False
    exclude: tuple[str, ...] = ()
    kind: str = "folder"
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StepSpec:
    """A cleaning step of worker.cleaning's catalogue. Parameters that are not given take the catalogue's defaults."""

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


def _all_steps() -> tuple[StepSpec, ...]:
    return tuple(StepSpec(name) for name in cleaning.CHOSEN)


@dataclass(frozen=True)
class IngestRecipe:
    """The cleaning steps in the order they run, and what holds for all rows.

    `max_total_bytes`: a seeded random sample of files up to this size; None takes all. `mixture`: by source, how much
    of the training tokens it should give; a source that is not named weighs 1, and without a mixture each counts as it is.
    """

    steps: tuple[StepSpec, ...] = field(default_factory=_all_steps)
    held_out_share: float = 0.01
    max_total_bytes: int | None = None
    seed: int = 17
    mixture: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class IngestDataset:
    """`preview_rows`: nothing is made, only the first rows of the first source are shown (worker.data.preview)."""

    sources: tuple[SourceSpec, ...]
    recipe: IngestRecipe = field(default_factory=IngestRecipe)
    preview_rows: int | None = None


# ---- train_tokenizer -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TrainTokenizer:
    """Byte-level BPE on a seeded random subsample of at most `sample_bytes` of the dataset's train split.

    pre_tokenizer: "gpt2", "gpt4" or "qwen2" (worker.tokenizer.splitting). special_tokens: more than those that training
    needs, such as chat tokens. With `import_from` a published tokenizer is taken over instead: a folder, an object
    store's address, "hf:org/name[@revision]" or "gpt2"; sizes and special tokens are then its own, and the dataset is
    what its fertility is measured on.
    """

    dataset: ArtifactRef
    vocabulary_size: int = 4096
    sample_bytes: int = 40_000_000
    reserved_tokens: int = 16
    seed: int = 17
    pre_tokenizer: str = "gpt2"
    special_tokens: tuple[str, ...] = ()
    import_from: str = ""


# ---- build_shards --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class BuildShards:
    """Packed sequences. units: "documents" (whole files) or "functions" (Python functions and small classes, else files).

    boundaries: record in each sample where its units begin, so that a trainer can keep attention within them.
    """

    dataset: ArtifactRef
    tokenizer: ArtifactRef
    sequence_length: int = 256
    units: str = "functions"
    max_tokens: int | None = None
    seed: int = 17
    boundaries: bool = False


# ---- train_model ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ModelShape:
    """A Llama-type decoder (transformers LlamaConfig); the vocabulary size comes from the tokenizer."""

    hidden_size: int = 256
    layers: int = 4
    heads: int = 4
    key_value_heads: int = 4
    intermediate_size: int = 688
    tie_embeddings: bool = True


@dataclass(frozen=True)
class Optimiser:
    """name: "muon" (matrices; AdamW for the rest) or "adamw". Rates are peak rates."""

    name: str = "muon"
    learning_rate: float = 0.02
    adamw_learning_rate: float = 3e-3
    weight_decay: float = 0.0
    gradient_clip: float = 1.0


@dataclass(frozen=True)
class Schedule:
    """Linear warm-up, constant, linear cool-down to zero; shares of all steps."""

    warmup_share: float = 0.05
    cooldown_share: float = 0.3


@dataclass(frozen=True)
class TrainRecipe:
    """A run's full configuration, bounded by exactly one of max_steps and max_seconds (of training wall time)."""

    name: str
    shape: ModelShape = field(default_factory=ModelShape)
    optimiser: Optimiser = field(default_factory=Optimiser)
    schedule: Schedule = field(default_factory=Schedule)
    batch_size: int = 16
    microbatch_size: int | None = None
    max_steps: int | None = None
    max_seconds: float | None = None
    fim_rate: float = 0.5
    evaluate_every: int = 50
    checkpoint_every: int = 50
    keep_checkpoints: int = 2
    evaluation_samples: int = 96  # of each held-out split, evenly spread, the same at every evaluation
    precision: str = "fp32"
    compile: bool = False  # torch.compile; pays after about 10 minutes on a CPU
    shard_parameters: bool = False  # FSDP, on several GPUs
    mask_documents: bool = False  # attention within a packed sample's documents only
    seed: int = 17


@dataclass(frozen=True)
class TrainModel:
    shards: ArtifactRef
    tokenizer: ArtifactRef
    recipe: TrainRecipe
    run_name: str = "run"


# ---- import_model --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ImportModel:
    """A published model as it is: a folder in Hugging Face's format, a .gguf file, or "hf:org/name[@revision]"
    (worker.pretrained.place). Files of more than `max_bytes` in all are refused before they are fetched.
    """

    location: str
    revision: str = ""
    name: str = ""
    max_bytes: int = 20_000_000_000


# ---- evaluate_model ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DecodeSettings:
    """How a model version is decoded, everywhere: evaluation, playground and serving use these same ones."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0
    max_tokens: int = 64
    stop: tuple[str, ...] = ()
    seed: int = 17


@dataclass(frozen=True)
class SuiteRef:
    """A built-in suite ("human-eval", "starter" or "starter-python"), a file of any format that is read, or a folder of
    files (worker/evaluation/suites); also the folder that admit_suite made.
    """

    name: str
    location: str


@dataclass(frozen=True)
class AdmitSuite:
    """Which problems may count here: the reference passes, an empty completion and the buggy one do not.

    `timeout_seconds` is of processor time, for problems that bring none. With `unproved`, a problem without a reference
    is admitted too when the empty completion fails: nobody has shown that it can be solved on this machine.
    """

    suite: SuiteRef
    languages: tuple[str, ...] = ()
    max_problems: int | None = None
    timeout_seconds: float = 5.0
    unproved: bool = False
    allow_unsafe: bool = False


ENDPOINT_STYLES = ("completions", "chat")
# The variable that brings an endpoint's key to the stage; never a field of a spec, which is shown and kept.
ENDPOINT_KEY = "MODELYARD_ENDPOINT_KEY"


@dataclass(frozen=True)
class EndpointSpec:
    """A model behind an OpenAI-compatible server: `base_url` ends before /completions or /chat/completions, `model` is
    its name there. style: "completions" or "chat". `concurrency` requests at once, each within `timeout_seconds`.
    """

    base_url: str
    model: str
    style: str = "completions"
    concurrency: int = 4
    timeout_seconds: float = 60.0


@dataclass(frozen=True)
class EvaluateModel:
    """`samples` per problem; pass@k is reported for those of `ks` that are at most `samples`.

    Exactly one of model, endpoint and generations gives the completions. `generations` is the "evaluation" artifact of an
    earlier evaluation: its samples are judged again and nothing is generated; a model beside it is for held-out text alone.
    """

    suite: SuiteRef
    model: ArtifactRef | None = None
    endpoint: EndpointSpec | None = None
    generations: ArtifactRef | None = None
    decode: DecodeSettings = field(default_factory=DecodeSettings)
    dataset: ArtifactRef | None = None  # for held-out perplexity and bits per byte
    samples: int = 1
    ks: tuple[int, ...] = (1, 10, 100)
    max_problems: int | None = None
    timeout_seconds: float = 5.0
    allow_unsafe: bool = False
    engine: str = "openvino"  # as in DeployModel: a score is of what people will see
    quantise: str = "int8"
    languages: tuple[str, ...] = ()  # of a suite in several; () is all
    unproved: bool = False  # as in AdmitSuite


# ---- find_contamination --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FindContamination:
    """Which problems of `suite` stand in the training rows of `datasets`; of some `languages` alone, () is all.

    n_gram: tokens of an n-gram, renamed_n_gram: of one in which names and values do not count. A document is compared with
    a problem when it has `candidate_share` of the problem's n-grams, and told when it is `least_similarity` like it.
    min_tokens: what is shorter is not looked for. Sources: worker.contamination.verify.
    """

    suite: SuiteRef
    datasets: tuple[ArtifactRef, ...]
    languages: tuple[str, ...] = ()
    n_gram: int = 13
    renamed_n_gram: int = 20
    min_tokens: int = 8
    candidate_share: float = 0.25
    least_similarity: float = 0.7


# ---- deploy_model --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DeployModel:
    """Serve a model on Triton. engine: "openvino" (CPU), "transformers" (reference) or "vllm" (GPU)."""

    model: ArtifactRef
    served_name: str
    decode: DecodeSettings = field(default_factory=DecodeSettings)
    engine: str = "openvino"
    quantise: str = "int8"
    threads: int = 1


# ---- export_feedback -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ExportFeedback:
    """Turn accepted completions into documents of a new dataset version. `rows`: JSONL written by the control plane."""

    rows: ArtifactRef
    base: ArtifactRef | None = None


SPECS: dict[str, type] = {
    "ingest_dataset": IngestDataset,
    "train_tokenizer": TrainTokenizer,
    "build_shards": BuildShards,
    "train_model": TrainModel,
    "import_model": ImportModel,
    "admit_suite": AdmitSuite,
    "evaluate_model": EvaluateModel,
    "find_contamination": FindContamination,
    "deploy_model": DeployModel,
    "export_feedback": ExportFeedback,
}


def to_dict(spec: Any) -> dict[str, Any]:
    """Plain JSON types, ready for `spec.json`."""
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(spec)))
    return plain


def from_dict(stage: str, raw: Mapping[str, Any]) -> Any:
    """The spec of a stage; unknown or missing fields are refused by name."""
    if stage not in SPECS:
        raise StageFailure("spec:app:invalid", detail=f"no stage is called {stage}; known: {', '.join(SPECS)}")
    return _build(SPECS[stage], raw, stage)


def _build(cls: type, raw: Mapping[str, Any], where: str) -> Any:
    hints = typing.get_type_hints(cls)
    unknown = set(raw) - set(hints)
    if unknown:
        raise StageFailure("spec:app:invalid", detail=f"{where} has no field {', '.join(sorted(unknown))}")
    try:
        return cls(**{name: _convert(hints[name], value, f"{where}.{name}") for name, value in raw.items()})
    except TypeError as error:
        raise StageFailure("spec:app:invalid", detail=f"{where}: {error}") from error


def _convert(hint: Any, value: Any, where: str) -> Any:
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        if value is None:
            return None
        hint = next(option for option in typing.get_args(hint) if option is not type(None))
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise StageFailure("spec:app:invalid", detail=f"{where} must be an object, not {value!r}")
        return _build(typing.cast(type, hint), value, where)
    if typing.get_origin(hint) is tuple:
        inner = typing.get_args(hint)[0]
        return tuple(_convert(inner, item, f"{where}[{i}]") for i, item in enumerate(value))
    if typing.get_origin(hint) is Mapping:
        if not isinstance(value, Mapping):
            raise StageFailure("spec:app:invalid", detail=f"{where} must be an object, not {value!r}")
        inner = typing.get_args(hint)[1]
        return {str(name): _convert(inner, item, f"{where}.{name}") for name, item in value.items()}
    if hint is Any:
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise StageFailure("spec:app:invalid", detail=f"{where} must be {hint.__name__}, not {value!r}")
    return value
