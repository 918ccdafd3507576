"""Rows whose files are there: those that the stages made into tests/artifacts (see tests/worker/artifacts.py)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests import factories

FOLDER = Path(__file__).resolve().parent / "artifacts"
ACCOUNTS: dict[str, Any] = json.loads((FOLDER / "accounts.json").read_text())


def uri(name: str) -> str:
    return (FOLDER / name).as_uri()


def version(project: Any) -> Any:
    return factories.make_dataset_version(project, uri=uri("dataset"))


def dataset_versions(project: Any) -> list[Any]:
    """code v1 and v2: the same two sources by the usual recipe and by a stricter one (tests.worker.dataset_versions)."""
    folder = FOLDER.parent / "dataset_versions"
    made = json.loads((folder / "accounts.json").read_text())
    sources = [factories.make_source(project, name) for name in ("tools", "web")]
    rows = []
    for number, name in enumerate(("one", "two"), 1):
        row = factories.make_dataset_version(project, "code", (folder / name).as_uri(), number)
        row.counts, row.summary, row.recipe = (
            made[name]["counts"],
            made[name]["summary"],
            made[name]["summary"]["recipe"],
        )
        row.save()
        row.sources.set(sources)
        rows.append(row)
    return rows


def tokenizer(of: Any, name: str = "tokenizer", kind: str = "tokenizer") -> Any:
    """`kind`: "tokenizer" (340 tokens, GPT-2's pre-tokeniser) or "digits" (330, Qwen2's)."""
    row = factories.make_tokenizer(of, name)
    row.uri, row.counts, row.summary = uri(kind), ACCOUNTS[kind]["counts"], ACCOUNTS[kind]["summary"]
    row.save()
    return row


def shards(of: Any, by: Any) -> Any:
    row = factories.make_shard_set(of, by)
    row.uri, row.counts, row.summary = uri("shards"), ACCOUNTS["shards"]["counts"], ACCOUNTS["shards"]["summary"]
    row.parameters = {"sequence_length": 64, "units": "documents", "boundaries": True}
    row.save()
    return row


def run(of: Any, name: str = "brave-heron-1") -> Any:
    """Finished after 12 steps of 4 samples."""
    row = factories.make_training_run(of, name, batch_size=4)
    row.summary = {"batches": {"uri": uri("batches"), "sha256": factories.sha("batches")}}
    row.save()
    return row
