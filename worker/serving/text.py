"""From token ids to text that can be shown, piece by piece, and equal at the end to decoding all ids at once.

Our own and not the engine's, so that sentinel tokens, healing and stops are the same under every engine.
"""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import Tokenizer


class Detokeniser:
    """Gives out text only where it is whole: a tail that decodes to U+FFFD may be half of a multi-byte character."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.ids: list[int] = []
        # Text is decoded from `begin`, a clean boundary a few tokens back, because some decoders treat a first token
        # specially (they drop its space); `shown` is how many ids have been given out.
        self.begin = self.shown = 0

    def feed(self, ids: Sequence[int]) -> str:
        """The new whole text after these ids; may be empty. Special tokens have no text."""
        self.ids.extend(ids)
        fresh = self._fresh()
        if not fresh or fresh.endswith("\ufffd"):
            return ""
        self.begin, self.shown = self.shown, len(self.ids)
        return fresh

    def flush(self) -> str:
        """The rest, however it decodes."""
        fresh = self._fresh()
        self.begin = self.shown = len(self.ids)
        return fresh

    def _fresh(self) -> str:
        known = self.tokenizer.decode(self.ids[self.begin : self.shown])
        return self.tokenizer.decode(self.ids[self.begin :])[len(known) :]


class Healer:
    """Drops from a completion's start the text that was cut off the prompt's end (see worker.serving.prompts)."""

    def __init__(self, cut: str) -> None:
        self.remaining = cut
        self.diverged = False

    def feed(self, text: str) -> str:
        """The text without what the prompt already has. `diverged` tells that the completion began otherwise."""
        same = next((i for i, (a, b) in enumerate(zip(text, self.remaining, strict=False)) if a != b), None)
        if same is None:
            same = min(len(text), len(self.remaining))
        self.remaining, text = self.remaining[same:], text[same:]
        if text and self.remaining:
            self.diverged, self.remaining = True, ""
        return text
