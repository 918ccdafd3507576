"""From the text around a cursor to the token ids a model continues.

Three things are decided here.

The middle. With a suffix the layout is SPM, `<PRE> <SUF> suffix <MID> prefix`, one of the two that training uses: what
grows while one types stays last, so the engine's prefix cache survives each keystroke. An imported model's config says
"infilling_layout": "psm", `<PRE> prefix <SUF> suffix <MID>`, the one layout that all published models have learnt; there
the prefix is whole, since those were cut at any character.

The beginning. Where the tokenizer's own post-processor puts a token before a text (Llama 3's <|begin_of_text|>), so does
every prompt: a model that never saw a text without it answers much worse. Our own tokenizers have none.

The end (light token healing). Byte-level BPE glues the space before a word to the word: a prompt that ends in a space
is one that training never showed (three such prompts all gave `return 1` at mid-training). The prompt is therefore cut
back to where training would have had a token boundary, and what was cut is dropped from the completion's start again:

    "return "          ->  "return"           the completion begins " x"; if it does not, it is shown as it is
    "def f():\\n    "  ->  "def f():\\n   "   the same, with one space cut
    "def f():\\n"      ->  "def f():"         training had "\\n   " as one token; a completion that does not begin with
                                            a newline is thrown away and asked for again with the whole prompt

The left edge. A prompt longer than the model's context loses its beginning in steps of a quarter of the room, not token
by token, so that the edge stands still over many keystrokes and the cache stays good.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from worker.serving.decode import InvalidRequest

END_OF_TEXT = "<|endoftext|>"
# Ours first, then those of published tokenizers, as in worker.tokenizer.special: a model may be trained on an imported one.
SENTINELS = (
    ("<|fim_prefix|>", "<fim_prefix>", "<fim-prefix>", "<｜fim▁begin｜>", "▁<PRE>", "<PRE>", "[PREFIX]"),
    ("<|fim_suffix|>", "<fim_suffix>", "<fim-suffix>", "<｜fim▁hole｜>", "▁<SUF>", "<SUF>", "[SUFFIX]"),
    ("<|fim_middle|>", "<fim_middle>", "<fim-middle>", "<｜fim▁end｜>", "▁<MID>", "<MID>", "[MIDDLE]"),
)
WHITESPACE = " \t\r\n"


@dataclass(frozen=True)
class Prompt:
    """`ids` to continue; `cut` is the prompt's end that they leave out. `whole_ids`: to ask if that guess was wrong."""

    ids: tuple[int, ...]
    cut: str = ""
    whole_ids: tuple[int, ...] | None = None


class Prompter:
    """Builds prompts for one model folder (tokenizer.json and config.json)."""

    def __init__(self, model_dir: Path) -> None:
        self.tokenizer = Tokenizer.from_file(str(model_dir / "tokenizer.json"))
        # Beside a suffix, text that looks like a sentinel is text: someone may be editing a tokenizer's source.
        self.literal = Tokenizer.from_file(str(model_dir / "tokenizer.json"))
        self.literal.encode_special_tokens = True
        config = json.loads((model_dir / "config.json").read_text())
        self.context_tokens = int(config.get("max_position_embeddings") or config.get("n_positions") or 2048)
        specials = {
            token.content: token_id
            for token_id, token in self.tokenizer.get_added_tokens_decoder().items()
            if token.special
        }
        self.stop_ids = frozenset({*specials.values(), *_end_ids(config)})
        sentinels = [next((specials[name] for name in names if name in specials), None) for names in SENTINELS]
        self.sentinels = [token_id for token_id in sentinels if token_id is not None]
        self.start_id = specials.get(END_OF_TEXT, min(self.stop_ids, default=0))
        self.begin = tuple(self.tokenizer.encode("", add_special_tokens=True).ids)
        self.prefix_first = config.get("infilling_layout") == "psm"

    @property
    def fills_middle(self) -> bool:
        return len(self.sentinels) == len(SENTINELS)

    def build(self, prefix: str, suffix: str | None, max_tokens: int) -> Prompt:
        """Raises InvalidRequest when there is a suffix and the tokenizer has no sentinels. A blank suffix is none."""
        room = self.context_tokens - min(max_tokens, self.context_tokens // 2)
        if suffix is None or not suffix.strip():
            return self._finished([], self._healed(self.tokenizer, prefix), room)
        if not self.fills_middle:
            raise InvalidRequest("this model's tokenizer has no fill-in-the-middle tokens; leave the suffix out")
        before, after, middle = self.sentinels
        kept = self.literal.encode(suffix, add_special_tokens=False).ids[: room // 4]
        if self.prefix_first:
            whole = Prompt(tuple(self.literal.encode(prefix, add_special_tokens=False).ids))
            return self._finished([before], whole, room, (after, *kept, middle))
        head = [before, after, *kept, middle]
        return self._finished(head, self._healed(self.literal, prefix), room)

    def _finished(self, head: list[int], prompt: Prompt, room: int, tail: tuple[int, ...] = ()) -> Prompt:
        around = len(self.begin) + len(head) + len(tail)

        def fit(ids: Sequence[int]) -> tuple[int, ...]:
            return (*self.begin, *head, *_without_left(ids, room - around), *tail) or (self.start_id,)

        whole = prompt.whole_ids
        return Prompt(fit(prompt.ids), prompt.cut, None if whole is None else fit(whole))

    def _healed(self, tokenizer: Tokenizer, text: str) -> Prompt:
        whole = tuple(tokenizer.encode(text, add_special_tokens=False).ids)
        bare = text.rstrip(WHITESPACE)
        if not bare or bare == text:
            return Prompt(whole)
        if text.endswith("\n"):
            return Prompt(tuple(tokenizer.encode(bare, add_special_tokens=False).ids), text[len(bare) :], whole)
        bare = text[: self._last_boundary(text)]
        if not bare:
            return Prompt(whole)
        return Prompt(tuple(tokenizer.encode(bare, add_special_tokens=False).ids), text[len(bare) :])

    def _last_boundary(self, text: str) -> int:
        """Where the pre-tokenizer would cut if a word came next; the letter stands for that word."""
        if self.tokenizer.pre_tokenizer is None:
            return len(text.rstrip(" "))
        _, (start, _) = self.tokenizer.pre_tokenizer.pre_tokenize_str(text + "x")[-1]
        return min(int(start), len(text))


def _without_left(ids: Sequence[int], room: int) -> Sequence[int]:
    """The right end of `ids`, at most `room` long, cut at a multiple of a quarter of the room."""
    step = max(room // 4, 1)
    excess = max(len(ids) - room, 0)
    return ids[-(-excess // step) * step :]


def _end_ids(config: dict[str, object]) -> list[int]:
    end = config.get("eos_token_id")
    return (
        [end]
        if isinstance(end, int)
        else [item for item in end if isinstance(item, int)]
        if isinstance(end, list)
        else []
    )
