"""Samples as a model will see them: token by token, with the documents they were packed from."""

from __future__ import annotations

import pytest

from tests import factories, stage_rows


@pytest.fixture
def shards(project):
    version = stage_rows.version(project)
    return stage_rows.shards(version, stage_rows.tokenizer(version))


@pytest.fixture
def pages(shards):
    return f"/projects/demo/shards/{shards.pk}/samples"


def documents(shards) -> dict[str, dict]:
    from datasets_app import documents as rows

    found = rows.find(shards.dataset_version.uri, {}).rows
    return {row["id"]: rows.get(shards.dataset_version.uri, row["id"]) for row in found}


def test_a_sample_is_the_text_of_its_documents(shards, pages, grace_client):
    rows = documents(shards)
    total = shards.summary["meta"]["n_samples"]["train"]
    shown = [grace_client.get(f"{pages}/train/{index}").context["sample"] for index in range(total)]
    parts = [part for sample in shown for part in sample.parts]
    # Documents that begin and end within the shards are there whole, whatever samples they were cut into.
    texts: dict[str, str] = {}
    for part in parts:
        whole = [piece for piece in part.tokens if not piece.special and not piece.partial]
        texts[part.document] = texts.get(part.document, "") + "".join(piece.text for piece in whole)
    ended = {part.document for part in parts if part.ends} - {parts[-1].document}
    assert len(ended) > 20
    for document in ended:
        cut = "\ufffd" in texts[document] or any(
            piece.partial for p in parts for piece in p.tokens if p.document == document
        )
        assert cut or texts[document] == rows[document]["content"]


def test_tokens_cover_the_sample_and_parts_begin_where_recorded(shards, pages, grace_client):
    sample = grace_client.get(f"{pages}/train/3").context["sample"]
    assert sum(len(part.tokens) for part in sample.parts) == 64
    assert list(sample.starts) == [part.token_start for part in sample.parts]


def test_the_page_leads_to_rows_and_explains_loss_and_fim(shards, pages, grace_client):
    page = grace_client.get(f"{pages}/train/0").content.decode()
    assert f"/projects/demo/datasets/{shards.dataset_version_id}/rows/" in page
    assert "on 63 of 64 tokens" in page and "fim_rate" in page
    assert "fim_rate" not in grace_client.get(f"{pages}/held_out/0").content.decode()


def test_special_tokens_are_marked_and_text_that_looks_like_them_is_not(shards, pages, grace_client):
    awkward = next(row["id"] for row in documents(shards).values() if row["path"] == "pkg/awkward.py")
    held = grace_client.get(f"{pages}/", {"document": awkward}).context["held"]
    tokens = [
        piece
        for index in held.samples
        for part in grace_client.get(f"{pages}/train/{index}").context["sample"].parts
        if part.document == awkward
        for piece in part.tokens
    ]
    assert [piece.text for piece in tokens if piece.special] == ["<|endoftext|>"]
    assert "<|endoftext|>" in "".join(piece.text for piece in tokens if not piece.special)
    assert "日" in "".join(piece.text for piece in tokens)


def test_samples_are_paged_and_looked_up_by_number(shards, pages, grace_client):
    total = shards.summary["meta"]["n_samples"]["train"]
    first = grace_client.get(f"{pages}/").context
    assert [row.index for row in first["rows"]] == list(range(20))
    assert [row.index for row in grace_client.get(f"{pages}/", {"first": total - 2}).context["rows"]] == [
        total - 2,
        total - 1,
    ]
    assert [row.index for row in grace_client.get(f"{pages}/", {"first": 10**9}).context["rows"]] == [total - 1]


def test_which_samples_hold_a_document(shards, pages, grace_client):
    sample = grace_client.get(f"{pages}/train/5").context["sample"]
    document = sample.parts[0].document
    context = grace_client.get(f"{pages}/", {"document": document}).context
    assert 5 in context["held"].samples
    assert context["held"].total == len(context["rows"])
    assert grace_client.get(f"{pages}/", {"document": "' OR 1=1 --"}).context["rows"] == []


@pytest.mark.parametrize("path", ["train/100000", "nowhere/0", "?split=nowhere", "?first=-1"])
def test_what_is_not_there_is_not_found(pages, grace_client, path):
    assert grace_client.get(f"{pages}/{path}").status_code == 404


def test_files_that_have_gone_are_said_so(project, grace_client):
    version = factories.make_dataset_version(project)
    gone = factories.make_shard_set(version, stage_rows.tokenizer(version))
    for page in ("", "train/0"):
        answer = grace_client.get(f"/projects/demo/shards/{gone.pk}/samples/{page}")
        assert answer.status_code == 503


def test_recording_boundaries_is_asked_for_in_the_form(shards, grace_client):
    from datasets_app.models import ShardSet

    form = {"dataset_version": shards.dataset_version_id, "tokenizer": shards.tokenizer_id, "sequence_length": 64}
    form |= {"units": "documents", "seed": 1, "boundaries": "on"}
    assert grace_client.post("/projects/demo/shards/new", form).status_code == 302
    assert ShardSet.objects.exclude(pk=shards.pk).get().parameters["boundaries"] is True
