"""A published tokenizer taken over: what it lacks is added, what cannot be trained on is refused with the reason."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers

from tests.worker.tokenizer.conftest import python_text
from worker.failures import StageFailure
from worker.specs import TrainTokenizer
from worker.tokenizer import merges
from worker.tokenizer.audit import audit
from worker.tokenizer.baseline import gpt2
from worker.tokenizer.load import load, roles
from worker.tokenizer.special import find_roles
from worker.tokenizer.train import reuses_receipt, run


def published(
    folder, specials=("<fim_prefix>", "<fim_middle>", "<fim_suffix>", "<|endoftext|>"), change=None, **config
):
    """A folder as the hub has them, with the sentinels of StarCoder."""
    texts = [python_text(number) for number in range(40)]
    tokenizer = merges.learn_by_reference(iter(texts), 360, list(specials), "gpt2")
    if change is not None:
        change(tokenizer)
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|endoftext|>", **config}))
    return str(folder)


@pytest.fixture
def take_over(dataset, make_context):
    return lambda location: run(TrainTokenizer(dataset, import_from=location), make_context())


def test_gpt2_is_the_published_one_and_gets_the_tokens_it_lacks(take_over):
    outcome = take_over("gpt2")
    tokenizer = load(outcome.outputs["tokenizer"])
    # The ids of OpenAI's own encoder for these words.
    assert tokenizer.encode("Hello world, def main():").ids == [15496, 995, 11, 825, 1388, 33529]
    assert outcome.counts == {"vocabulary": 50261, "added_tokens": 4}
    assert outcome.summary["roles"]["end_of_text"] == "<|endoftext|>"
    assert outcome.summary["special_tokens"]["<|fim_prefix|>"] >= 50257
    assert outcome.summary["fertility"] == outcome.summary["baselines"]["gpt2"]


def test_a_folder_keeps_its_own_names_for_the_roles(take_over, tmp_path):
    template = "{{ messages }}"
    location = published(tmp_path / "theirs", chat_template=template, auto_map={"AutoTokenizer": "evil.Tokenizer"})
    outcome = take_over(location)
    folder = outcome.outputs["tokenizer"]
    assert roles(folder)["fim_prefix"] == "<fim_prefix>"
    assert roles(folder)["fim_pad"] == "<|fim_pad|>"  # added
    config = json.loads((folder / "tokenizer_config.json").read_text())
    assert config["chat_template"] == template and "auto_map" not in config
    found = {finding["check"]: finding for finding in outcome.summary["audit"]}
    assert "added by the import" in found["fim_pad"]["detail"]
    assert found["text comes back"]["level"] == "ok"
    assert "with a chat template" in found["chat"]["detail"]


def test_counts_of_an_import_are_those_of_held_out_text_alone(take_over, tmp_path):
    folder = take_over(published(tmp_path / "theirs")).outputs["tokenizer"]
    rows = pq.read_table(folder / "vocabulary.parquet").to_pylist()
    assert {row["sample"] for row in rows} == {None}
    assert sum(row["held_out"] for row in rows) > 100


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("not byte-level", lambda: Tokenizer(models.WordLevel({"a": 0, "[UNK]": 1}, "[UNK]"))),
        ("not byte-level", lambda: Tokenizer(models.BPE({"a": 0}, []))),
    ],
)
def test_what_is_not_byte_level_is_refused(take_over, tmp_path, name, make):
    make().save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(StageFailure, match=name) as refused:
        take_over(str(tmp_path))
    assert refused.value.code == "tokenizer:user:unsupported"


def test_a_normaliser_that_changes_text_is_refused(take_over, tmp_path):
    location = published(
        tmp_path / "theirs", change=lambda tokenizer: setattr(tokenizer, "normalizer", normalizers.Lowercase())
    )
    with pytest.raises(StageFailure, match="Lowercase"):
        take_over(location)


@pytest.mark.parametrize("content", [None, "{", '{"version": "1.0"}'])
def test_what_cannot_be_read_is_said(take_over, tmp_path, content):
    if content is not None:
        (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(StageFailure) as refused:
        take_over(str(tmp_path))
    assert refused.value.code == "tokenizer:user:not-found"


def test_a_hub_that_cannot_be_reached_is_said(take_over, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(StageFailure, match="the hub cannot be reached"):
        take_over("hf:some/tokenizer")


def test_an_address_is_no_content_so_an_import_is_never_taken_from_a_receipt(dataset):
    assert reuses_receipt(TrainTokenizer(dataset))
    assert not reuses_receipt(TrainTokenizer(dataset, import_from="gpt2"))


# ---- the audit -------------------------------------------------------------------------------------------------------


def findings(tokenizer, **config):
    raw = json.loads(tokenizer.to_str())
    found = audit(tokenizer, raw, find_roles(tokenizer, config), set(), config)
    return {finding["check"]: finding for finding in found}


def small(specials=("<|endoftext|>",), plain=()):
    vocabulary = {token: number for number, token in enumerate([*plain, *sorted(pre_tokenizers.ByteLevel.alphabet())])}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokenizer.add_special_tokens(list(specials))
    return tokenizer


def test_a_token_that_only_looks_special_is_pointed_out():
    found = findings(small(plain=["<|fim_prefix|>"]))
    assert found["special tokens stay whole"]["level"] == "warning"
    assert "<|fim_prefix|>" in found["special tokens stay whole"]["detail"]
    assert found["fim_prefix"]["level"] == "error"


def test_one_token_for_end_and_padding_is_pointed_out():
    found = findings(small(), pad_token="<|endoftext|>")
    assert "several roles" in found["roles differ"]["detail"]


def test_tokens_that_swallow_blanks_or_match_anywhere_are_pointed_out():
    tokenizer = small(specials=[AddedToken("<|endoftext|>", lstrip=True)])
    tokenizer.add_tokens(["    "])
    found = findings(tokenizer)
    assert found["special tokens keep blanks"]["level"] == found["added words"]["level"] == "warning"


def test_gpt2s_ids_are_dense_and_unique():
    found = findings(gpt2())
    assert found["ids are dense"]["detail"] == "0 to 50256"
    assert found["ids are unique"]["level"] == "ok"
    assert found["chat"]["detail"] == "no chat tokens, without a chat template"
