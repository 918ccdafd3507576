"""A folder of Hugging Face's becomes a model of the house, or is refused with the reason."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tokenizers import Tokenizer, processors

from tests.worker.pretrained.published import PLAIN, edit, make_folder
from worker.context import Context, Stopped
from worker.events import MessageLogged
from worker.failures import StageFailure
from worker.manifest import hash_folder
from worker.pretrained import stage
from worker.serving.decode import InvalidRequest
from worker.serving.engine import load_engine
from worker.serving.prompts import Prompter
from worker.specs import DecodeSettings, ImportModel
from worker.tokenizer import load as tokenizers_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "published")


def test_a_published_model_becomes_the_folders_that_a_trained_one_has(folder, take, tmp_path):
    outcome = take(folder)
    model, tokenizer = outcome.outputs["model"], outcome.outputs["tokenizer"]
    about = json.loads((model / "modelyard.json").read_text())
    assert about["tokenizer_sha256"] == hash_folder(tokenizer)[0]
    assert about["origin"]["license"] == "apache-2.0" and about["origin"]["base_model"] == "someone/larger"
    assert tokenizers_of.roles(tokenizer)["fim_prefix"] == "<fim_prefix>"
    assert outcome.counts == {"parameters": 123_200, "vocabulary": 340} and outcome.summary["fills_middle"]
    assert {path.suffix for path in model.iterdir()} == {".json", ".safetensors"}
    engine = load_engine(model, "transformers", quantise="fp32", decode=DecodeSettings(max_tokens=4))
    assert engine.complete("def add(a, b):").n_tokens == 4


def test_the_weights_stay_what_they_were(folder, take):
    import torch
    from transformers import AutoModelForCausalLM

    theirs = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    ours = AutoModelForCausalLM.from_pretrained(take(folder).outputs["model"]).state_dict()
    assert theirs.keys() == ours.keys() and all(torch.equal(theirs[name], ours[name]) for name in theirs)


def test_a_model_without_tokens_for_the_middle_keeps_its_vocabulary_and_refuses_to_infill(tmp_path, take):
    outcome = take(make_folder(tmp_path / "plain", PLAIN))
    assert not outcome.summary["fills_middle"] and outcome.counts["vocabulary"] == 340
    audit = {finding["check"]: finding["level"] for finding in outcome.summary["tokenizer"]["audit"]}
    assert audit["fill in the middle"] == "warning" and "fim_prefix" not in audit
    prompter = Prompter(outcome.outputs["model"])
    with pytest.raises(InvalidRequest, match="no fill-in-the-middle tokens"):
        prompter.build("def f(", "return 1", 8)


def test_an_imported_model_is_shown_the_prefix_first_and_whole(folder, take):
    prompter = Prompter(take(folder).outputs["model"])
    ids = prompter.build("x = ", "\nprint(x)", 8).ids
    assert prompter.tokenizer.decode(ids, skip_special_tokens=False) == (
        "<fim_prefix>x = <fim_suffix>\nprint(x)<fim_middle>"
    )


def test_a_text_begins_as_the_model_has_always_seen_it(folder, take):
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.post_processor = processors.TemplateProcessing("<|endoftext|> $A", special_tokens=[("<|endoftext|>", 0)])
    tokenizer.save(str(folder / "tokenizer.json"))
    prompter = Prompter(take(folder).outputs["model"])
    assert prompter.build("def", None, 8).ids[0] == 0
    assert prompter.build("def", "x", 8).ids[:2] == (0, prompter.sentinels[0])


def test_the_hub_s_own_cache_is_a_folder_of_links_and_is_read(folder, take, tmp_path):
    snapshot = tmp_path / "cache" / "snapshots" / "0123"
    shutil.copytree(folder, tmp_path / "cache" / "blobs")
    snapshot.mkdir(parents=True)
    for path in (tmp_path / "cache" / "blobs").iterdir():
        (snapshot / path.name).symlink_to(f"../../blobs/{path.name}")
    assert take(snapshot).counts["parameters"] == 123_200


def test_an_object_store_is_read_as_a_folder_is(folder, take, tmp_path, monkeypatch):
    """The way that the hub takes too: everything that is not on this disk is listed and fetched by fsspec."""
    import fsspec

    monkeypatch.setattr("worker.sources.SCHEMES", ("", "memory"))
    fsspec.filesystem("memory").put(f"{folder}/", "/published/", recursive=True)
    assert take("memory://published").summary["origin"]["license"] == "apache-2.0"


def test_a_licence_that_is_not_told_is_said(folder, take, context):
    (folder / "README.md").unlink()
    assert take(folder).summary["origin"]["license"] == "unknown"
    assert any("licence" in event.text for event in context.reporter.events if isinstance(event, MessageLogged))


# ---- refused ---------------------------------------------------------------------------------------------------------


def refused(take, location, **more) -> StageFailure:
    with pytest.raises(StageFailure) as found:
        take(location, **more)
    return found.value


def without(name):
    return lambda folder: (folder / name).unlink()


def pickled(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def damaged(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])


def of_another_shape(folder):
    edit(folder / "config.json", intermediate_size=96)


def with_a_layer_less(folder):
    edit(folder / "config.json", num_hidden_layers=3)


def of_code_of_its_own(folder):
    edit(folder / "config.json", architectures=["OwnForCausalLM"], auto_map={"AutoModelForCausalLM": "own.Own"})
    (folder / "own.py").write_text("raise SystemExit('this code was run')")


def with_a_small_embedding(folder):
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_tokens([f"<|more_{number}|>" for number in range(100)])
    tokenizer.save(str(folder / "tokenizer.json"))


def index_elsewhere(folder):
    (folder / "model.safetensors").rename(folder.parent / "secret.safetensors")
    index = {"weight_map": {"lm_head.weight": "../secret.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model-00001-of-00001.safetensors").write_bytes(b"")


@pytest.mark.parametrize(
    ("spoil", "code", "says"),
    [
        (without("config.json"), "model:user:not-found", "no config.json"),
        (without("tokenizer.json"), "model:user:not-found", "no tokenizer.json"),
        (without("model.safetensors"), "model:user:not-found", "no model.safetensors"),
        (pickled, "model:user:unsupported", "can run any code"),
        (damaged, "model:user:not-found", "cannot be read"),
        (of_another_shape, "model:user:", "weights"),
        (with_a_layer_less, "model:user:unsupported", "missing keys"),
        (of_code_of_its_own, "model:user:unsupported", "LlamaForCausalLM, MistralForCausalLM"),
        (with_a_small_embedding, "model:user:unsupported", "do not belong together"),
        (index_elsewhere, "model:user:not-found", "../secret.safetensors"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_with_the_reason(folder, take, spoil, code, says):
    spoil(folder)
    failure = refused(take, folder)
    assert failure.code.startswith(code) and says in failure.message


def test_a_config_that_is_no_json_is_said(folder, take):
    (folder / "config.json").write_text("{")
    assert "config.json cannot be read" in refused(take, folder).message


def test_quantised_weights_of_another_library_are_refused(tmp_path, take):
    folder = make_folder(tmp_path / "quantised", quantization_config={"quant_method": "gptq"})
    assert "quantised (gptq)" in refused(take, folder).message


def test_a_folder_of_gguf_files_names_them(tmp_path, take):
    (tmp_path / "several").mkdir()
    for name in ("a.Q4_0.gguf", "a.Q8_0.gguf"):
        (tmp_path / "several" / name).touch()
    assert "a.Q4_0.gguf, a.Q8_0.gguf: name one of them" in refused(take, tmp_path / "several").message


def test_what_is_too_large_is_refused_before_it_is_fetched(folder, take, context):
    failure = refused(take, folder, max_bytes=1000)
    assert failure.code == "model:user:too-large" and "at most 1,000" in failure.message
    assert not (context.work / "source").exists()


def test_only_places_that_the_workers_show_are_read(folder, take, tmp_path, monkeypatch):
    shown = tmp_path / "shown"
    shutil.copytree(folder, shown / "model")
    monkeypatch.setenv("SOURCE_ROOTS", str(shown))
    assert refused(take, folder).code == "data:user:source-forbidden"
    (shown / "model" / "README.md").unlink()
    (shown / "model" / "README.md").symlink_to(folder / "README.md")
    assert refused(take, shown / "model").code == "data:user:source-forbidden"


@pytest.mark.parametrize(
    "location", ["models/mine", "http://example.org/model", "file:///srv/model", "hf://org/name", "hf:name", "s3://me:secret@store/x"]
)  # fmt: skip
def test_addresses_that_are_not_read_are_said(take, location):
    failure = refused(take, location)
    assert failure.code == "model:user:not-found"


def test_a_hub_that_cannot_be_reached_is_said(take, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert refused(take, "hf:some/model").code == "data:user:source-unreachable"


def test_stop_leaves_between_two_files(folder, take, context: Context):
    context.stop_file.parent.mkdir(parents=True, exist_ok=True)
    context.stop_file.touch()
    with pytest.raises(Stopped):
        take(folder)


def test_an_address_is_no_content_so_an_import_is_done_anew():
    assert not stage.REUSES_RECEIPT and ImportModel("/a").max_bytes > 0
