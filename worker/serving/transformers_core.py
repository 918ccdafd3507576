"""Plain transformers as a core: the reference that the fast engine's tokens are compared with.

One forward pass per sequence and step, each with a key-value cache of its own: nothing is shared, so nothing can leak
between requests. Slow (3 to 4 times OpenVINO per token), but it also serves architectures that do not convert.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from worker import torchvision_hook
from worker.serving.engine import Tokens
from worker.specs import DecodeSettings

torchvision_hook.install()
from transformers import AutoModelForCausalLM, DynamicCache  # noqa: E402
from transformers.generation import logits_process  # noqa: E402


class TransformersCore:
    """Loads from the folder only; nothing is looked up on the network. float32."""

    def __init__(self, model_dir: Path, threads: int) -> None:
        torch.set_num_threads(threads)
        self.model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32, local_files_only=True).eval()
        self.running: list[TransformersSequence] = []

    def add(
        self, ids: Sequence[int], decode: DecodeSettings, stop_ids: frozenset[int], max_tokens: int, logprobs: bool
    ) -> TransformersSequence:
        sequence = TransformersSequence(self.model, ids, decode, stop_ids, max_tokens, logprobs)
        self.running.append(sequence)
        return sequence

    def step(self) -> None:
        self.running = [sequence for sequence in self.running if not sequence.ended]
        for sequence in self.running:
            sequence.advance()


class TransformersSequence:
    def __init__(
        self,
        model: Any,
        ids: Sequence[int],
        decode: DecodeSettings,
        stop_ids: frozenset[int],
        max_tokens: int,
        logprobs: bool,
    ) -> None:
        self.model, self.decode, self.stop_ids, self.logprobs = model, decode, stop_ids, logprobs
        self.left = max_tokens
        self.seen = torch.tensor([list(ids)])
        self.unread = self.seen
        self.cache = DynamicCache()
        self.generator = torch.Generator().manual_seed(decode.seed)
        self.processors = _processors(decode)
        self.fresh: list[tuple[int, float]] = []
        self.finish: str | None = None
        self.ended = False

    @torch.inference_mode()
    def advance(self) -> None:
        output = self.model(input_ids=self.unread, past_key_values=self.cache, use_cache=True)
        logits: torch.Tensor = self.processors(self.seen, output.logits[:, -1].float())  # type: ignore[arg-type]
        token = self._choose(logits)
        logprob = float(torch.log_softmax(logits, -1)[0, token]) if self.logprobs else 0.0
        self.fresh.append((token, logprob))
        self.unread = torch.tensor([[token]])
        self.seen = torch.cat([self.seen, self.unread], dim=1)
        self.left -= 1
        if token in self.stop_ids or not self.left:
            self.finish, self.ended = ("stop" if token in self.stop_ids else "length"), True

    def _choose(self, logits: torch.Tensor) -> int:
        if self.decode.temperature == 0:
            return int(logits.argmax())
        return int(torch.multinomial(torch.softmax(logits, -1)[0], 1, generator=self.generator))

    def read(self) -> Tokens:
        fresh, self.fresh = self.fresh, []
        logprobs = tuple(value for _, value in fresh) if self.logprobs else ()
        return Tokens(tuple(token for token, _ in fresh), logprobs, self.finish)

    def cancel(self) -> None:
        self.ended = True


def _processors(decode: DecodeSettings) -> logits_process.LogitsProcessorList:
    processors = logits_process.LogitsProcessorList()
    if decode.repetition_penalty != 1.0:
        processors.append(logits_process.RepetitionPenaltyLogitsProcessor(decode.repetition_penalty))
    if decode.temperature > 0:
        processors.append(logits_process.TemperatureLogitsWarper(decode.temperature))
        if decode.top_k:
            processors.append(logits_process.TopKLogitsWarper(decode.top_k))
        if decode.top_p < 1.0:
            processors.append(logits_process.TopPLogitsWarper(decode.top_p))
    return processors
