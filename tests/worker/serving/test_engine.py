"""Both engines as their callers know them, and the fast one against the reference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from worker.failures import StageFailure
from worker.serving.convert import convert
from worker.serving.decode import InvalidRequest
from worker.serving.engine import Ask, Engine, Tokens, load_engine
from worker.specs import DecodeSettings

PROMPTS = ["def add(a, b):", "return ", "class Point:\n", "x", "", "for item in items:\n    if "]


@pytest.mark.parametrize("penalty", [1.0, 1.3])
def test_the_fast_engine_writes_what_the_reference_writes(openvino: Engine, reference: Engine, penalty: float) -> None:
    settings = DecodeSettings(max_tokens=12, repetition_penalty=penalty)
    assert openvino.complete_many(PROMPTS, settings) == reference.complete_many(PROMPTS, settings)


def test_the_parity_is_not_of_a_model_that_only_repeats_itself(reference: Engine) -> None:
    assert len(set(reference.complete("def add(a, b):").text)) > 4


def test_middles_agree_too(openvino: Engine, reference: Engine) -> None:
    asks = [Ask("def f(", "):\n    return 1"), Ask("x = ", "+ 1", DecodeSettings(max_tokens=4))]
    assert openvino.generate(asks) == reference.generate(asks)


def test_log_probabilities_agree(openvino: Engine, reference: Engine) -> None:
    ask = Ask("def add(a", logprobs=True)
    (ours,), (theirs,) = openvino.generate([ask]), reference.generate([ask])
    assert len(ours.logprobs) == ours.n_tokens
    assert ours.logprobs == pytest.approx(theirs.logprobs, abs=1e-3)


def test_a_batch_gives_what_each_prompt_gives_alone(engine: Engine) -> None:
    together = engine.complete_many(PROMPTS)
    assert together == [engine.complete(prompt) for prompt in PROMPTS]


def test_a_seed_gives_the_same_text_alone_and_among_others(engine: Engine) -> None:
    settings = DecodeSettings(max_tokens=12, temperature=0.8, top_p=0.95, top_k=40)
    alone = engine.complete("def add(a, b):", settings, seed=7)
    among = engine.complete_many([*PROMPTS, "def add(a, b):"], settings, [1, 2, 3, 4, 5, 6, 7])[-1]
    other = engine.complete("def add(a, b):", settings, seed=8)
    assert alone == among
    assert alone.text != other.text


def test_a_stop_string_ends_a_completion_before_it(engine: Engine) -> None:
    whole = engine.complete("def add(a, b):").text
    stop = whole[4:6]
    cut = engine.complete("def add(a, b):", DecodeSettings(max_tokens=12, stop=(stop,)))
    assert cut.text == whole[: whole.index(stop)]
    assert cut.finish_reason == "stop"


def test_length_is_reported_and_counted(engine: Engine) -> None:
    done = engine.complete("x", DecodeSettings(max_tokens=3))
    assert (done.n_tokens, done.finish_reason) == (3, "length")


def test_streamed_chunks_add_up_to_the_completion(engine: Engine) -> None:
    running, texts = engine.start(Ask("def add(a, b):")), []
    while not running.finished:
        engine.step()
        if chunk := running.poll():
            texts.append(chunk.text)
    assert len(texts) > 1
    assert "".join(texts) == engine.complete("def add(a, b):").text


def test_a_cancelled_completion_leaves_the_others_alone(engine: Engine) -> None:
    leaving, staying, text = engine.start(Ask("x")), engine.start(Ask("def add(a, b):")), ""
    engine.step()
    leaving.cancel()
    while not staying.finished:
        if chunk := staying.poll():
            text += chunk.text
        engine.step()
    assert text == engine.complete("def add(a, b):").text


def test_a_completion_never_outgrows_the_context(engine: Engine) -> None:
    done = engine.complete("x = 1\n" * 200, DecodeSettings(max_tokens=250))
    assert done.n_prompt_tokens + done.n_tokens <= engine.prompter.context_tokens


def test_settings_that_cannot_be_are_refused(engine: Engine) -> None:
    with pytest.raises(InvalidRequest, match="temperature"):
        engine.complete("x", DecodeSettings(temperature=-1.0))


def test_eight_bit_weights_are_smaller_and_complete_text(model_dir: Path, cache_dir: Path) -> None:
    engine = load_engine(model_dir, "openvino", quantise="int8", cache_dir=cache_dir)
    sizes = {path.parent.name[:13]: path.stat().st_size for path in cache_dir.glob("*/openvino_model.bin")}
    assert sizes["openvino-int8"] < sizes["openvino-fp32"] / 3
    assert engine.complete("def add(a, b):", DecodeSettings(max_tokens=4)).n_tokens == 4


def test_an_engine_nobody_knows_is_refused_with_the_known_ones(model_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(StageFailure, match="openvino: int8, fp32"):
        convert(model_dir, tmp_path / "out", engine="onnx", quantise="int8")


def test_an_architecture_that_does_not_convert_is_refused_by_name(model_dir: Path, tmp_path: Path) -> None:
    strange = tmp_path / "strange"
    strange.mkdir()
    (strange / "config.json").write_text('{"architectures": ["UnheardOfModel"], "model_type": "unheard-of"}')
    with pytest.raises(StageFailure, match="UnheardOfModel") as refused:
        convert(strange, tmp_path / "out", engine="openvino", quantise="fp32")
    assert refused.value.code == "serving:user:unsupported-architecture"


class Script:
    """A core that continues known prompts with known text, a token a step."""

    def __init__(self, engine: Engine, answers: dict[str, str]) -> None:
        self.tokenizer = engine.prompter.tokenizer
        self.answers, self.asked, self.sequences = answers, list[str](), list["Scripted"]()

    def add(self, ids: Sequence[int], *settings: object) -> Scripted:
        self.asked.append(self.tokenizer.decode(list(ids)))
        self.sequences.append(Scripted(self.tokenizer.encode(self.answers[self.asked[-1]]).ids))
        return self.sequences[-1]

    def step(self) -> None:
        for sequence in self.sequences:
            sequence.ready += 1


class Scripted:
    def __init__(self, ids: list[int]) -> None:
        self.ids, self.ready, self.read_to = ids, 0, 0

    def read(self) -> Tokens:
        fresh = tuple(self.ids[self.read_to : self.ready])
        self.read_to = self.ready
        return Tokens(fresh, (), "stop" if self.ready >= len(self.ids) else None)

    def cancel(self) -> None:
        self.ids = []


@pytest.mark.parametrize(
    ("prompt", "answers", "text"),
    [
        ("return ", {"return": " a"}, "a"),
        ("return ", {"return": "(a)"}, "(a)"),
        ("def f():\n", {"def f():": "\n    return"}, "    return"),
        ("def f():\n", {"def f():": " return", "def f():\n": "# done"}, "# done"),
    ],
)
def test_a_completion_continues_the_prompt_as_it_was_typed(
    reference: Engine, prompt: str, answers: dict[str, str], text: str
) -> None:
    core = Script(reference, answers)
    assert Engine(core, reference.prompter, DecodeSettings()).complete(prompt).text == text
    assert core.asked == list(answers)


def test_a_long_context_takes_no_more_memory_than_one_of_it_needs_or_two_gigabytes_hold():
    from worker.serving.openvino_core import BLOCK_TOKENS, _cache_blocks

    model = {"num_attention_heads": 16, "hidden_size": 2048, "num_hidden_layers": 28, "num_key_value_heads": 8}
    block_bytes = 2 * 28 * 8 * 128 * 4 * BLOCK_TOKENS
    assert _cache_blocks({**model, "max_position_embeddings": 256}) * block_bytes <= 2**28
    assert _cache_blocks({**model, "max_position_embeddings": 4096}) * block_bytes <= 2**31
    assert _cache_blocks({**model, "max_position_embeddings": 131_072}) == 131_072 // BLOCK_TOKENS
