"""The log likelihood that a model gives a text: transformers on the CPU in float32, the reference and not the fast
path.

Quantisation and the serving engine's rounding are left out on purpose: these figures are about training.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer

from worker import torchvision_hook

torchvision_hook.install()
from transformers import AutoModelForCausalLM  # noqa: E402

WINDOWS_TOGETHER = 8


class Reader:
    """One model folder, read for likelihoods. Loads from the folder only."""

    def __init__(self, model_dir: Path) -> None:
        torch.set_num_threads(len(os.sched_getaffinity(0)))
        self.model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32, local_files_only=True).eval()
        self.tokenizer = Tokenizer.from_file(str(model_dir / "tokenizer.json"))
        self.tokenizer.encode_special_tokens = True  # a source file that mentions <|endoftext|> mentions it as text
        config = json.loads((model_dir / "config.json").read_text())
        self.context_tokens = int(config.get("max_position_embeddings") or 1024)
        ends = config.get("eos_token_id")
        # What the tokenizer itself puts before a text, else the end of the text before, as in training.
        self.begin: list[int] = self.tokenizer.encode("", add_special_tokens=True).ids or (
            [ends] if isinstance(ends, int) else []
        )

    def read(self, text: str) -> tuple[float, int]:
        """(loss in nats, tokens predicted). Without an end-of-text token the first token has no context and is not
        predicted.
        """
        ids = [*self.begin, *self.tokenizer.encode(text, add_special_tokens=False).ids]
        windows = self._windows(ids)
        return sum(
            self._loss(windows[at : at + WINDOWS_TOGETHER]) for at in range(0, len(windows), WINDOWS_TOGETHER)
        ), max(len(ids) - 1, 0)

    def _windows(self, ids: Sequence[int]) -> list[Sequence[int]]:
        """Pieces of at most a context and one token, each sharing one token with the next."""
        step = self.context_tokens
        return [ids[at : at + step + 1] for at in range(0, len(ids) - 1, step)]

    @torch.inference_mode()
    def _loss(self, windows: Sequence[Sequence[int]]) -> float:
        """Total loss of up to WINDOWS_TOGETHER windows; targets of shorter ones are padded with the ignored index."""
        width = max(map(len, windows)) - 1
        inputs = torch.zeros(len(windows), width, dtype=torch.long)
        targets = torch.full((len(windows), width), -100)
        for row, window in enumerate(windows):
            inputs[row, : len(window) - 1] = torch.tensor(window[:-1])
            targets[row, : len(window) - 1] = torch.tensor(window[1:])
        logits = self.model(input_ids=inputs).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), reduction="sum")
        return float(loss)
