"""From a model folder in Hugging Face format to the folder that an engine loads.

    openvino      OpenVINO IR (stateful, float32 or int8 weights) plus the tokenizer and config
    transformers  the same files
    vllm          the same files; vLLM reads them itself on the GPU machine

Every result has an engine.json that says what made it. Nothing is looked up on the network.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from importlib.metadata import version
from pathlib import Path

from worker import torchvision_hook
from worker.failures import StageFailure

VERSION = "1"
QUANTISATIONS = {"openvino": ("int8", "fp32"), "transformers": ("fp32", "int8"), "vllm": ("fp32", "int8")}
PACKAGES = {
    "openvino": ("openvino-genai", "openvino", "optimum-intel", "nncf", "transformers", "torch", "tokenizers"),
    "transformers": ("transformers", "torch", "tokenizers"),
    "vllm": (),
}


def check_engine(engine: str, quantise: str) -> None:
    """Raises StageFailure serving:user:unknown-engine."""
    if quantise not in QUANTISATIONS.get(engine, ()):
        known = "; ".join(f"{name}: {', '.join(kinds)}" for name, kinds in QUANTISATIONS.items())
        raise StageFailure("serving:user:unknown-engine", engine=engine, quantise=quantise, known=known)


def is_converted(folder: Path) -> bool:
    return (folder / "engine.json").exists()


def convert_cached(model_dir: Path, cache_dir: Path, *, engine: str, quantise: str) -> Path:
    """The converted folder below `cache_dir`, made if it is not there. Its name is a hash of the model's files."""
    target = cache_dir / f"{engine}-{quantise}-{VERSION}-{_fingerprint(model_dir)}"
    if not target.exists():
        partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
        convert(model_dir, partial, engine=engine, quantise=quantise)
        partial.rename(target)
    return target


def convert(model_dir: Path, out: Path, *, engine: str, quantise: str) -> None:
    """Fill `out`, replacing what is there.

    Raises StageFailure serving:user:unknown-engine, or serving:user:unsupported-architecture when the exporter refuses.
    """
    check_engine(engine, quantise)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    if engine == "openvino":
        _to_openvino(model_dir, out, quantise)
        _copy(model_dir, out, ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "config.json"))
    else:
        _copy(model_dir, out, [path.name for path in model_dir.iterdir() if path.is_file()])
    about = {"engine": engine, "quantise": quantise, "converter": VERSION, "versions": versions(engine)}
    (out / "engine.json").write_text(json.dumps(about, indent=1, sort_keys=True) + "\n")


def versions(engine: str) -> dict[str, str]:
    """Installed versions of what the engine runs on."""
    return {name: version(name) for name in PACKAGES[engine]}


def _to_openvino(model_dir: Path, out: Path, quantise: str) -> None:
    os.environ["HF_HUB_OFFLINE"] = "1"  # read at import: a local folder must not be looked up by name
    torchvision_hook.install()
    from optimum.exporters.openvino import main_export
    from optimum.intel import OVConfig

    architecture = (json.loads((model_dir / "config.json").read_text()).get("architectures") or ["unnamed"])[0]
    try:
        main_export(
            str(model_dir),
            str(out),
            task="text-generation-with-past",
            ov_config=OVConfig(dtype="fp32"),
            local_files_only=True,
        )
    except (ValueError, KeyError, NotImplementedError) as error:
        raise StageFailure("serving:user:unsupported-architecture", architecture=architecture, detail=error) from error
    if quantise == "int8":
        _compress(out)


def _compress(folder: Path) -> None:
    """Weights to 8 bits, per channel, asymmetric (NNCF's data-free default). Activations stay float32."""
    import nncf
    import openvino

    # Read from bytes: the file is written over below, and read_model would keep it mapped.
    model = openvino.Core().read_model(
        (folder / "openvino_model.xml").read_bytes(), (folder / "openvino_model.bin").read_bytes()
    )
    model = nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_ASYM)
    openvino.save_model(model, folder / "openvino_model.xml", compress_to_fp16=False)


def _copy(model_dir: Path, out: Path, names: tuple[str, ...] | list[str]) -> None:
    for name in names:
        if (model_dir / name).exists():
            shutil.copyfile(model_dir / name, out / name)


def _fingerprint(model_dir: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in model_dir.iterdir() if path.is_file()):
        with path.open("rb") as file:
            digest.update(f"{path.name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()[:16]
