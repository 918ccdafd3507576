"""Which files of a dataset repository a configuration and split mean."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from worker.failures import StageFailure


@pytest.fixture
def dataset(tmp_path):
    """dataset(readme, names) -> a folder in the hub's layout; each file's one row says which file it is."""

    def make(readme, names):
        for name in names:
            path = tmp_path / "hub" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if name.endswith(".parquet"):
                pq.write_table(pa.table({"content": [name], "path": [f"{name}.py"]}), path)
            else:
                path.write_text(f'{{"content": "{name}", "path": "{name}.py"}}\n')
        if readme:
            (tmp_path / "hub" / "README.md").write_text(f"---\n{readme}\n---\n# About\n")
        return tmp_path / "hub"

    return make


FILES = ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet", "data/test-00000-of-00001.parquet"]
TWO = """
configs:
- config_name: default
  data_files:
  - split: train
    path: data/train-*
  - split: test
    path: data/test-*
- config_name: rust
  data_files: "rust/**/*.jsonl"
"""


def texts(contents, folder, **options):
    return sorted(contents("huggingface", folder, **options).texts.values())


def test_the_readmes_configs_say_which_files(contents, dataset):
    folder = dataset(TWO, [*FILES, "rust/a/b.jsonl", "rust/c.jsonl"])
    assert texts(contents, folder) == FILES[:2]
    assert texts(contents, folder, split="test") == FILES[2:]
    assert texts(contents, folder, config="rust") == ["rust/a/b.jsonl", "rust/c.jsonl"]


def test_without_configs_names_of_files_say_which_split(contents, dataset):
    folder = dataset("", FILES)
    assert texts(contents, folder) == FILES[:2]
    assert texts(contents, folder, split="test") == FILES[2:]


def test_files_without_a_splits_name_are_the_train_split(contents, dataset):
    folder = dataset("license: mit", ["data/python/0000.parquet", "data/go/0000.parquet"])
    assert texts(contents, folder) == ["data/go/0000.parquet", "data/python/0000.parquet"]
    assert texts(contents, folder, data_dir="data/python") == ["data/python/0000.parquet"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"config": "java"}, "no configuration java; it has default, rust"),
        ({"split": "dev"}, "no split dev; it has train, test"),
    ],
)
def test_what_it_does_not_have_is_refused_with_what_it_has(contents, dataset, options, words):
    with pytest.raises(StageFailure, match=words):
        contents("huggingface", dataset(TWO, FILES), **options)


def test_a_script_beside_the_data_is_not_run(contents, dataset, tmp_path):
    folder = dataset("", FILES)
    (folder / "hub.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    assert texts(contents, folder) == FILES[:2]
    assert not (tmp_path / "ran").exists()


def test_a_damaged_readme_is_none(contents, dataset):
    assert texts(contents, dataset("configs: [", FILES)) == FILES[:2]
