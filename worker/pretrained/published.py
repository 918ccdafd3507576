"""What every published model comes down to, and a folder in Hugging Face's format as one.

A folder has config.json, tokenizer.json and safetensors. Pickled weights are refused: reading a pickle runs what is in
it. The licence and the names of a model card are taken as they are told.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from safetensors import SafetensorError
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, PreTrainedModel

from worker.failures import StageFailure
from worker.pretrained.architectures import KNOWN
from worker.pretrained.place import GGUF, INDEX, PICKLED, Place
from worker.tokenizer import importing

HEAD = re.compile(r"\A---\s*\n(.*?)\n---\s*(\n|\Z)", re.DOTALL)


@dataclass(frozen=True)
class Published:
    """A model as it was found. `config`: its tokenizer_config.json, or what a GGUF file says of the same; `card`: what
    it tells of itself, by name; `stored`: the types of its weights.
    """

    network: PreTrainedModel
    tokenizer: Tokenizer
    config: Mapping[str, Any] = field(default_factory=dict)
    card: Mapping[str, str] = field(default_factory=dict)
    stored: str = ""


def unsupported(location: str, detail: str) -> StageFailure:
    return StageFailure("model:user:unsupported", location=location, detail=detail)


def not_found(location: str, detail: object) -> StageFailure:
    return StageFailure("model:user:not-found", location=location, detail=detail)


def check(place: Place) -> None:
    """What names alone tell, before anything is fetched. Raises model:user:not-found or model:user:unsupported."""
    if place.gguf:
        return
    found = [name for name in place.sizes if name.lower().endswith(GGUF)]
    if "config.json" not in place.sizes:
        hint = f"; it has {', '.join(sorted(found)[:5])}: name one of them" if found else ""
        raise not_found(place.location, f"there is no config.json{hint}")
    if "tokenizer.json" not in place.sizes:
        raise not_found(place.location, "there is no tokenizer.json; a model is of no use without its own tokenizer")
    pickled = sorted(name for name in place.sizes if name.lower().endswith(PICKLED))
    if not place.weights and pickled:
        why = f"its weights are pickled ({pickled[0]}), and reading a pickle can run any code; save them as safetensors"
        raise unsupported(place.location, why)
    if not place.weights:
        raise not_found(place.location, "there is no model.safetensors")


def read(folder: Path, place: Place) -> Published:
    """Of a folder that `place.bring` made. Raises StageFailure model:user:... and tokenizer:user:..."""
    location = place.location
    _refuse_unknown(_parsed(folder / "config.json", location), location)
    _refuse_missing_parts(folder, place)
    tokenizer, config = importing.parsed(
        _bytes(folder / "tokenizer.json"), _bytes(folder / "tokenizer_config.json"), location
    )
    network = load(folder, location)
    return Published(network, tokenizer, config, _card(folder), str(network.dtype).removeprefix("torch."))


def load(folder: Path, location: str, **options: Any) -> PreTrainedModel:
    """The weights, whole: a parameter that no file gives, or a tensor of another shape, is refused."""
    network: PreTrainedModel
    try:
        found: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
            **{"dtype": "auto", **options},
        )
        network, info = found
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise not_found(location, f"its weights cannot be read: {_first_line(error)}") from error
    wrong = {name: sorted(map(str, info[name])) for name in ("missing_keys", "mismatched_keys", "unexpected_keys")}
    told = [f"{name.replace('_', ' ')}: {', '.join(keys[:3])}" for name, keys in wrong.items() if keys]
    if told:
        raise unsupported(location, f"its weights are not those of its architecture; {'; '.join(told)}")
    return network.eval()


def _refuse_unknown(config: Mapping[str, Any], location: str) -> None:
    named = config.get("architectures") or []
    if not named or named[0] not in KNOWN:
        name = named[0] if named else "an architecture that config.json does not name"
        raise unsupported(location, f"it is {name}; the serving engines run {', '.join(KNOWN)}")
    if config.get("quantization_config"):
        kind = config["quantization_config"].get("quant_method", "unknown")
        raise unsupported(location, f"its weights are quantised ({kind}); take the unquantised ones or a GGUF file")


def _refuse_missing_parts(folder: Path, place: Place) -> None:
    """An index may name only files that lie beside it: a part of another name, "../x" too, is not among them."""
    if "model.safetensors" in place.weights:
        return
    index = _parsed(folder / INDEX, place.location) if INDEX in place.sizes else {}
    named = set((index.get("weight_map") or {}).values())
    missing = sorted(map(str, named - set(place.weights)))
    if not named or missing:
        raise not_found(place.location, f"{INDEX} is missing or names what is not there: {', '.join(missing[:3])}")


def _parsed(path: Path, location: str) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise not_found(location, f"{path.name} cannot be read: {_first_line(error)}") from error
    if not isinstance(found, dict):
        raise not_found(location, f"{path.name} holds no object")
    return found


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def _card(folder: Path) -> dict[str, str]:
    """license, base_model and the like from the YAML head of README.md; nothing where there is none."""
    card = folder / "README.md"
    head = HEAD.match(card.read_text(errors="replace")) if card.exists() else None
    try:
        told = yaml.safe_load(head.group(1)) if head else {}
    except yaml.YAMLError:
        told = {}  # a card is for people: a broken head leaves the licence unknown, which the page says
    names = {
        "license": "license",
        "license_name": "license",
        "license_link": "license_link",
        "base_model": "base_model",
    }
    found = {ours: told[theirs] for theirs, ours in names.items() if isinstance(told, dict) and told.get(theirs)}
    return {
        name: ", ".join(map(str, value)) if isinstance(value, list) else str(value) for name, value in found.items()
    }


def _first_line(error: BaseException) -> str:
    return (str(error).strip().partition("\n")[0] or type(error).__name__)[:300]
