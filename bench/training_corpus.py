"""A small real corpus for the training benchmark: this Python's own standard library as packed 256-token samples.

Whole files in a seeded order, byte-level BPE of 4096, one file in fifty held out. It exists so that the benchmark needs
nothing but Python; what the pipeline makes of the same files has its own stages.
"""

from __future__ import annotations

import json
import random
import sysconfig
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from streaming import MDSWriter
from tokenizers import ByteLevelBPETokenizer

SPECIALS = ("end_of_text", "fim_prefix", "fim_middle", "fim_suffix", "fim_pad")
SEQUENCE_LENGTH, VOCABULARY_SIZE, SEED = 256, 4096, 17


def build(folder: Path, tokenizer_sha256: str, max_bytes: int = 8_000_000) -> Path:
    """Write a shard set with train/ and held_out/ to `folder` (about 20 s for 8 MB) and return it."""
    texts = _texts(max_bytes)
    cut = max(1, len(texts) // 50)
    splits = {"held_out": texts[:cut], "train": texts[cut:]}
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(
        splits["train"], vocab_size=VOCABULARY_SIZE, special_tokens=list(SPECIALS), show_progress=False
    )
    bytes_per_token = {name: _write_split(folder / name, part, tokenizer) for name, part in splits.items()}
    meta = {
        "tokenizer_sha256": tokenizer_sha256,
        "sequence_length": SEQUENCE_LENGTH,
        "vocabulary_size": VOCABULARY_SIZE,
        "special_ids": {name: index for index, name in enumerate(SPECIALS)},
        "bytes_per_token": bytes_per_token,
    }
    (folder / "meta.json").write_text(json.dumps(meta))
    return folder


def _texts(max_bytes: int) -> list[str]:
    paths = sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py"))
    paths = [path for path in paths if "site-packages" not in path.parts and "test" not in path.parts]
    random.Random(SEED).shuffle(paths)
    texts: list[str] = []
    for path in paths:
        text = path.read_bytes().decode("utf-8", "ignore")
        if max_bytes > 0 and text.strip():
            texts.append(text)
            max_bytes -= len(text)
    return texts


def _write_split(folder: Path, texts: list[str], tokenizer: ByteLevelBPETokenizer) -> float:
    """Bytes per token of the split, its end-of-text tokens counted."""
    stream = _stream(texts, tokenizer)
    columns = {"tokens": f"ndarray:uint16:{SEQUENCE_LENGTH}"}
    with MDSWriter(out=str(folder), columns=columns, compression=None) as writer:
        for row in stream[: len(stream) // SEQUENCE_LENGTH * SEQUENCE_LENGTH].reshape(-1, SEQUENCE_LENGTH):
            writer.write({"tokens": row})
    return sum(len(text.encode()) for text in texts) / len(stream)


def _stream(texts: list[str], tokenizer: ByteLevelBPETokenizer) -> NDArray[np.uint16]:
    encodings = tokenizer.encode_batch(texts)
    return np.concatenate([np.array([*encoding.ids, 0], dtype=np.uint16) for encoding in encodings])
