"""import_model: a published model becomes the two folders that the rest of the house takes.

    model/        as train_model's (worker.training.export): config, weights as safetensors, the tokenizer's files, and
                  modelyard.json with where it came from
    tokenizer/    as train_tokenizer's (worker.tokenizer.artifact): its hash is what the model is pinned to

The weights and the vocabulary stay what they were; a tokenizer without the tokens for filling in the middle does not
get them, since the model has never seen any, and whoever asks it to infill is refused.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from transformers import GenerationConfig

from worker.context import Context, Outcome
from worker.events import MessageLogged
from worker.failures import StageFailure
from worker.manifest import hash_folder, write_atomically
from worker.pretrained import gguf, place, published
from worker.pretrained.published import Published
from worker.serving.prompts import Prompter
from worker.specs import ImportModel
from worker.tokenizer import artifact, engines, equality, importing
from worker.tokenizer.audit import Finding, audit, has_errors
from worker.tokenizer.special import ROLES, find_roles, vocabulary_size
from worker.tokenizer.splitting import scheme_of

VERSION = "1"
REUSES_RECEIPT = False  # an address is no content: what lies there may have changed
SEED = 17


def run(spec: ImportModel, context: Context) -> Outcome:
    """Raises StageFailure model:user:..., tokenizer:user:... for a vocabulary that cannot be used, and data:user:source-...
    for a place that cannot be read; Stopped while files are fetched.
    """
    context.enter("look")
    found = place.look(spec)
    published.check(found)
    context.enter("fetch")
    folder = place.bring(found, spec.max_bytes, context.work / "source", context)
    context.enter("read the model")
    model = gguf.read(folder / found.gguf, spec.location) if found.gguf else published.read(folder, found)
    _refuse_small_embedding(model, spec.location)
    tokenizer = _tokenizer(model, spec, context)
    context.enter("write the model")
    origin = _origin(model, spec, found)
    _write(model, tokenizer, origin, context.out / "model")
    shutil.rmtree(folder)
    return _outcome(model, tokenizer, origin, context.out)


def _refuse_small_embedding(model: Published, location: str) -> None:
    embedding: Any = model.network.get_input_embeddings()
    size, rows = vocabulary_size(model.tokenizer), int(embedding.weight.shape[0])
    if size > rows:
        detail = f"its tokenizer has ids up to {size - 1}, its embedding only {rows} rows: they do not belong together"
        raise published.unsupported(location, detail)


def _tokenizer(model: Published, spec: ImportModel, context: Context) -> Outcome:
    """Raises tokenizer:user:unsupported and tokenizer:user:bad-special-ids."""
    tokenizer = model.tokenizer
    tokenizer.no_padding()
    tokenizer.no_truncation()
    importing.refuse_unless_byte_level(tokenizer, spec.location)
    roles = find_roles(tokenizer, model.config)
    findings = _findings(model, roles)
    if has_errors(findings):
        wrong = "; ".join(f"{each['check']}: {each['detail']}" for each in findings if each["level"] == "error")
        raise StageFailure("tokenizer:user:bad-special-ids", location=spec.location, detail=wrong)
    if "license" not in model.card:
        context.reporter.report(
            MessageLogged("The model does not say its licence; look it up before you use it.", "warning")
        )
    encoder = engines.Encoder(tokenizer)
    texts = [artifact.SNIPPET, *equality.AWKWARD]
    findings.append(importing.round_trip(encoder, texts, spec.location))
    equality.check_ids(encoder, texts)
    scheme = scheme_of(json.loads(tokenizer.to_str())["pre_tokenizer"]) or "its own"
    origin = {"pre_tokenizer": scheme, "merges": f"imported with the model from {spec.location}"}
    made = artifact.Made(tokenizer, roles, findings, origin, model.config)
    return artifact.finish(made, encoder, None, SEED, context)


def _findings(model: Published, roles: dict[str, str]) -> list[Finding]:
    """The audit's. A model may lack the tokens that only training needs; without an end of text it would never stop."""
    raw = json.loads(model.tokenizer.to_str())
    lacking = [role for role in ROLES if role not in roles and role != "end_of_text"]
    found = audit(model.tokenizer, raw, roles, set(), model.config)
    kept = [finding for finding in found if finding["check"] not in lacking]
    if lacking:
        detail = (
            f"no token is for {', '.join(lacking)}: the model cannot do it, and no shards are built with this tokenizer"
        )
        kept.append({"check": "fill in the middle", "level": "warning", "detail": detail})
    return kept


def _origin(model: Published, spec: ImportModel, found: place.Place) -> dict[str, Any]:
    """Where it came from, as pages show it."""
    return {
        "location": spec.location,
        "revision": found.revision or spec.revision,
        "format": "gguf" if found.gguf else "safetensors",
        "stored_as": model.stored,
        "license": "unknown",
        **model.card,
    }


def _write(model: Published, tokenizer: Outcome, origin: dict[str, Any], out: Path) -> None:
    network, source = model.network, tokenizer.outputs["tokenizer"]
    config = network.config
    if hasattr(config, "auto_map"):
        del config.auto_map  # names of code that the repository brought and nobody runs
    # Published models learn the middle after both sides (PSM); ours learn both orders, and serve the other.
    config.infilling_layout = "psm"
    network.generation_config = GenerationConfig(
        bos_token_id=config.bos_token_id,
        eos_token_id=config.eos_token_id,
        pad_token_id=config.pad_token_id,
        do_sample=False,
    )
    network.save_pretrained(out, safe_serialization=True)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copyfile(source / name, out / name)
    about = {"tokenizer_sha256": hash_folder(source)[0], "origin": origin}
    write_atomically(out / "modelyard.json", json.dumps(about, indent=1, sort_keys=True) + "\n")


def _outcome(model: Published, tokenizer: Outcome, origin: dict[str, Any], out: Path) -> Outcome:
    prompter = Prompter(out / "model")
    counts = {"parameters": model.network.num_parameters(), "vocabulary": tokenizer.counts["vocabulary"]}
    summary = {
        "origin": origin,
        "architecture": type(model.network).__name__,
        "context_tokens": prompter.context_tokens,
        "fills_middle": prompter.fills_middle,
        "tokenizer": tokenizer.summary,
    }
    return Outcome({"model": out / "model", "tokenizer": tokenizer.outputs["tokenizer"]}, counts, summary)
