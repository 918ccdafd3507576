from __future__ import annotations

import math
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from tests.worker.serving.tiny_model import make_model
from worker.evaluation.held_out import measure
from worker.evaluation.likelihood import Reader


def write_dataset(folder: Path, rows: list[tuple[str, str, str]]) -> Path:
    """rows: (language, split, content)."""
    (folder / "data").mkdir(parents=True)
    columns = {
        "id": [f"{n:032x}" for n in range(len(rows))],
        "source": ["s"] * len(rows),
        "path": [f"{n}.py" for n in range(len(rows))],
        "language": [row[0] for row in rows],
        "split": [row[1] for row in rows],
        "content": [row[2] for row in rows],
    }
    table = pa.table(columns)
    pq.write_table(table.slice(0, len(rows) // 2), folder / "data" / "0.parquet")
    pq.write_table(table.slice(len(rows) // 2), folder / "data" / "1.parquet")
    return folder


def one_nat_per_character(text: str) -> tuple[float, int]:
    return float(len(text)), len(text) // 2


def test_figures_follow_from_loss_tokens_and_bytes(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "d", [("python", "held_out", "abcd" * 10), ("python", "train", "x" * 100)])
    python = measure(folder, one_nat_per_character, seed=1)["held_out"]["python"]
    assert python["bits_per_byte"] == pytest.approx(1 / math.log(2))
    assert python["perplexity"] == pytest.approx(math.exp(2))
    assert (python["n_tokens"], python["n_bytes"], python["n_documents"]) == (20, 40, 1)


def test_all_weighs_languages_by_their_bytes_in_the_split(tmp_path: Path) -> None:
    rows = [("go", "held_out", "g" * 300), ("python", "held_out", "é" * 50)]
    all_ = measure(write_dataset(tmp_path / "d", rows), one_nat_per_character, seed=1)["held_out"]["all"]
    assert all_["bits_per_byte"] == pytest.approx((300 * 1.0 + 100 * 0.5) / 400 / math.log(2))
    assert all_["split_bytes"] == 400


def test_the_sample_is_bounded_shared_by_the_languages_and_repeats_with_the_seed(tmp_path: Path) -> None:
    rows = [(language, "held_out_source", f"{n:04d}" * 50) for language in ("go", "python") for n in range(50)]
    folder = write_dataset(tmp_path / "d", rows)
    found = measure(folder, one_nat_per_character, seed=1, budget=1000)["held_out_source"]
    assert found["go"]["n_tokens"] == found["python"]["n_tokens"] == 500
    seen: list[str] = []

    def listen(text: str) -> tuple[float, int]:
        seen.append(text)
        return one_nat_per_character(text)

    measure(folder, listen, seed=1, budget=1000)
    again, seen = seen, []
    measure(folder, listen, seed=1, budget=1000)
    first, seen = seen, []
    measure(folder, listen, seed=2, budget=1000)
    assert again == first != seen


def test_a_dataset_without_held_out_documents_measures_nothing(tmp_path: Path) -> None:
    assert measure(write_dataset(tmp_path / "d", [("python", "train", "x")] * 2), one_nat_per_character, seed=1) == {}


def test_a_reader_predicts_every_token_once_across_windows(tmp_path: Path) -> None:
    """Compared with one forward pass per token over the same contexts."""
    reader = Reader(make_model(tmp_path / "model"))
    reader.context_tokens = 16
    text = "def add(a, b):\n    return a + b\n" * 6
    loss, n_tokens = reader.read(text)
    ids = reader.tokenizer.encode(text, add_special_tokens=False).ids
    ids = [*reader.begin, *ids]
    assert n_tokens == len(ids) - 1
    expected = 0.0
    with torch.inference_mode():
        for at in range(1, len(ids)):
            begin = (at - 1) // 16 * 16
            logits = reader.model(input_ids=torch.tensor([ids[begin:at]])).logits[0, -1]
            expected -= float(torch.log_softmax(logits, -1)[ids[at]])
    assert loss == pytest.approx(expected, rel=1e-4)
    assert reader.read("") == (0, 0)
