"""A model that completes text: what Triton's model.py, the evaluation and the benches all hold.

An engine is a core (OpenVINO or transformers: ids in, ids out, many sequences at once, one token each per `step`) plus
what is the same under every core: prompt building, detokenising, healing, stops. It is driven by one thread; it starts
none. It knows nothing of Triton, jobs or storage.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from worker.serving.decode import StopCutter, checked
from worker.serving.prompts import Prompt, Prompter
from worker.serving.text import Detokeniser, Healer
from worker.specs import DecodeSettings

ENGINES = ("openvino", "transformers", "vllm")
TOGETHER = 32  # sequences that complete_many keeps in flight; more only queue inside the core


@dataclass(frozen=True)
class Tokens:
    """What a sequence produced since it was last read. `finish`: None while it runs, then "stop" or "length"."""

    ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    finish: str | None = None


class TokenSequence(Protocol):
    """One sequence inside a core."""

    def read(self) -> Tokens: ...
    def cancel(self) -> None: ...


class Core(Protocol):
    """A batch of sequences that all advance together."""

    def add(
        self, ids: Sequence[int], decode: DecodeSettings, stop_ids: frozenset[int], max_tokens: int, logprobs: bool
    ) -> TokenSequence: ...
    def step(self) -> None: ...


@dataclass(frozen=True)
class Ask:
    """One completion that somebody wants. decode None: the engine's defaults."""

    prompt: str
    suffix: str | None = None
    decode: DecodeSettings | None = None
    logprobs: bool = False


@dataclass(frozen=True)
class Chunk:
    """New text and ids. Text lags behind ids: it is held until it is whole. `finish` as in Tokens."""

    text: str
    ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    finish: str | None = None


@dataclass(frozen=True)
class Generation:
    """A whole completion. `n_tokens` counts generated tokens, the end token included; log probabilities are natural."""

    text: str
    n_tokens: int
    finish_reason: str
    n_prompt_tokens: int = 0
    logprobs: tuple[float, ...] = field(default=(), repr=False)


class Engine:
    """See the module. `decode` are the model version's own settings, used where a request gives none."""

    def __init__(self, core: Core, prompter: Prompter, decode: DecodeSettings, kept: object = None) -> None:
        self.core = core
        self.prompter = prompter
        self.decode = checked(decode)
        self.kept = kept  # a temporary folder that must live as long as the engine

    def start(self, ask: Ask) -> Running:
        """Begin a completion; `step` moves it. Raises InvalidRequest for what the model cannot do."""
        decode = checked(ask.decode or self.decode)
        return Running(self, ask, decode, self.prompter.build(ask.prompt, ask.suffix, decode.max_tokens))

    def step(self) -> None:
        """One more token for every running completion."""
        self.core.step()

    def complete(self, prompt: str, decode: DecodeSettings | None = None, seed: int | None = None) -> Generation:
        """The completion of one prompt. `seed` replaces the settings' own."""
        return self.complete_many([prompt], decode, None if seed is None else [seed])[0]

    def complete_many(
        self,
        prompts: Sequence[str],
        decode: DecodeSettings | None = None,
        seeds: Sequence[int] | None = None,
        suffixes: Sequence[str | None] | None = None,
    ) -> list[Generation]:
        """Completions in the order of the prompts, decoded together in one batch; prompts may differ in length.

        With suffixes the middles are filled in; raises InvalidRequest where the tokenizer has no sentinels for that.
        """
        decode = decode or self.decode
        seeds = seeds or [decode.seed] * len(prompts)
        parts = zip(prompts, seeds, suffixes or [None] * len(prompts), strict=True)
        return self.generate([Ask(prompt, suffix, _seeded(decode, seed)) for prompt, seed, suffix in parts])

    def generate(self, asks: Sequence[Ask]) -> list[Generation]:
        """All of `asks`, at most TOGETHER at a time."""
        done: dict[int, Generation] = {}
        waiting = list(enumerate(asks))[::-1]
        running: dict[int, tuple[Running, list[Chunk]]] = {}
        while waiting or running:
            while waiting and len(running) < TOGETHER:
                index, ask = waiting.pop()
                running[index] = (self.start(ask), list[Chunk]())
            self.step()
            for index, (item, chunks) in list(running.items()):
                chunks += [chunk] if (chunk := item.poll()) else []
                if item.finished:
                    done[index] = _gathered(chunks, item.n_prompt_tokens)
                    del running[index]
        return [done[index] for index in range(len(asks))]


class Running:
    """A completion on its way. Poll it once after each `Engine.step`."""

    def __init__(self, engine: Engine, ask: Ask, decode: DecodeSettings, prompt: Prompt) -> None:
        self.engine, self.ask, self.decode, self.prompt = engine, ask, decode, prompt
        self.finished = False
        self._begin(prompt.ids, prompt.cut)

    def _begin(self, ids: tuple[int, ...], cut: str) -> None:
        prompter = self.engine.prompter
        self.n_prompt_tokens = len(ids)
        room = max(prompter.context_tokens - len(ids), 1)
        limit = min(self.decode.max_tokens, room)
        self.sequence = self.engine.core.add(ids, self.decode, prompter.stop_ids, limit, self.ask.logprobs)
        self.detokeniser = Detokeniser(prompter.tokenizer)
        self.healer = Healer(cut)
        self.cutter = StopCutter(self.decode.stop)

    def poll(self) -> Chunk | None:
        """What is new, or None. The last chunk has `finish`."""
        tokens = self.sequence.read()
        if not tokens.ids and tokens.finish is None:
            return None
        text = self.detokeniser.feed(tokens.ids) + (self.detokeniser.flush() if tokens.finish else "")
        text = self.healer.feed(text)
        if self.healer.diverged and self.prompt.whole_ids is not None:
            self.sequence.cancel()
            self._begin(self.prompt.whole_ids, "")
            self.prompt = Prompt(self.prompt.whole_ids)
            return None
        text = self.cutter.feed(text)
        return self._chunk(text, tokens)

    def cancel(self) -> None:
        """Stop working on it; nothing more comes."""
        self.sequence.cancel()
        self.finished = True

    def _chunk(self, text: str, tokens: Tokens) -> Chunk:
        finish = tokens.finish
        if self.cutter.matched:
            if finish is None:
                self.sequence.cancel()
            finish = "stop"
        elif finish:
            text += self.cutter.flush()
        self.finished = finish is not None
        return Chunk(text, tokens.ids, tokens.logprobs, finish)


def load_engine(
    model_dir: Path,
    engine: str = "openvino",
    *,
    quantise: str = "int8",
    threads: int = 1,
    decode: DecodeSettings | None = None,
    cache_dir: Path | None = None,
    prefix_cache: bool = True,
) -> Engine:
    """The engine for a model folder: Hugging Face format, or one that worker.serving.convert has made.

    A folder in Hugging Face format is converted first, into `cache_dir` (found there again) or a temporary folder.
    `prefix_cache` False is for measuring what the cache is worth (OpenVINO).
    One thread is the default: on two shared cores a second one made torch a hundred times slower (OpenMP's spinning).
    """
    from worker.serving.convert import convert_cached, is_converted

    kept = None
    if not is_converted(model_dir):
        if cache_dir is None:
            kept = tempfile.TemporaryDirectory(prefix="engine-")
            cache_dir = Path(kept.name)
        model_dir = convert_cached(model_dir, cache_dir, engine=engine, quantise=quantise)
    core = _core(model_dir, engine, threads, prefix_cache)
    return Engine(core, Prompter(model_dir), decode or DecodeSettings(), kept)


def _core(model_dir: Path, engine: str, threads: int, prefix_cache: bool) -> Core:
    made_for = json.loads((model_dir / "engine.json").read_text())["engine"]
    if made_for != engine:
        raise ValueError(f"{model_dir} was made for the engine {made_for}, not for {engine}")
    if engine == "openvino":
        from worker.serving.openvino_core import OpenVinoCore

        return OpenVinoCore(model_dir, threads, prefix_cache)
    if engine == "transformers":
        from worker.serving.transformers_core import TransformersCore

        return TransformersCore(model_dir, threads)
    raise ValueError(f"{engine} does not run in this process; known: openvino, transformers")


def _seeded(decode: DecodeSettings, seed: int) -> DecodeSettings:
    return dataclasses.replace(decode, seed=seed)


def _gathered(chunks: Sequence[Chunk], n_prompt_tokens: int) -> Generation:
    return Generation(
        "".join(chunk.text for chunk in chunks),
        sum(len(chunk.ids) for chunk in chunks),
        chunks[-1].finish or "stop",
        n_prompt_tokens,
        tuple(value for chunk in chunks for value in chunk.logprobs),
    )
