"""Tokenizers: trained or imported from a form, their vocabulary searched, several side by side."""

from __future__ import annotations

import pytest

from datasets_app import comparing, encoding, jobs
from datasets_app.models import Tokenizer
from tests import factories, stage_rows

PAGES = "/projects/demo/tokenizers"


@pytest.fixture
def version(project):
    return stage_rows.version(project)


@pytest.fixture
def tokenizer(version):
    return stage_rows.tokenizer(version, "words")


@pytest.fixture
def digits(version):
    return stage_rows.tokenizer(version, "digits", "digits")


def text_of(answer) -> str:
    return answer.content.decode()


def shown(column) -> str:
    return "".join(piece.text for piece in column.pieces)


# ---- start -----------------------------------------------------------------------------------------------------------


def test_a_tokenizer_is_imported_from_its_form(version, grace_client):
    form = {"name": "theirs", "import_from": "s3://models/qwen/", "dataset_version": version.pk, "seed": 3}
    assert grace_client.post(f"{PAGES}/import", form).status_code == 302
    spec = jobs.train_tokenizer.spec_for(Tokenizer.objects.get(name="theirs").job)
    assert (spec.import_from, spec.seed, spec.dataset.sha256) == ("s3://models/qwen/", 3, version.sha256)


@pytest.mark.parametrize("location", ["models/qwen", "qwen", "../secret"])
def test_an_address_that_a_worker_could_not_know_is_refused(version, grace_client, location):
    form = {"name": "theirs", "import_from": location, "dataset_version": version.pk, "seed": 3}
    answer = grace_client.post(f"{PAGES}/import", form)
    assert (answer.status_code, list(answer.context["form"].errors)) == (422, ["import_from"])


def test_special_tokens_and_pre_tokenisation_reach_the_spec(version, grace_client):
    form = {"name": "chatty", "dataset_version": version.pk, "vocabulary_size": 512, "sample_bytes": 100_000}
    form |= {"reserved_tokens": 4, "seed": 1, "pre_tokenizer": "qwen2", "special_tokens": "<|im_start|>\n<|im_end|>"}
    assert grace_client.post(f"{PAGES}/new", form).status_code == 302
    spec = jobs.train_tokenizer.spec_for(Tokenizer.objects.get(name="chatty").job)
    assert (spec.pre_tokenizer, spec.special_tokens) == ("qwen2", ("<|im_start|>", "<|im_end|>"))
    answer = grace_client.post(f"{PAGES}/new", form | {"name": "twice", "special_tokens": "<|x|> <|x|>"})
    assert answer.status_code == 422 and "Named twice" in text_of(answer)


# ---- look ------------------------------------------------------------------------------------------------------------


def test_the_page_tells_of_unused_tokens_the_audit_and_gpt2(tokenizer, grace_client):
    page = text_of(grace_client.get(f"{PAGES}/{tokenizer.pk}/"))
    for words in ("never seen in held-out text", "fim_prefix", "GPT-2", "gigatoken 0.10.0", "no chat tokens"):
        assert words in page


def test_a_tokenizer_from_before_the_audit_still_has_a_page(version, grace_client):
    old = factories.make_tokenizer(version)
    assert grace_client.get(f"{PAGES}/{old.pk}/").status_code == 200


@pytest.mark.parametrize(
    ("query", "check"),
    [
        ({}, lambda rows: [row["id"] for row in rows] == list(range(100))),
        ({"text": "return"}, lambda rows: rows and all("return" in row["text"] for row in rows)),
        ({"text": "%"}, lambda rows: [row["text"] for row in rows] == ["%"]),
        ({"shown": "special"}, lambda rows: [row["id"] for row in rows] == list(range(7))),
        ({"shown": "held_out"}, lambda rows: rows and all(row["held_out"] == 0 for row in rows)),
        ({"shown": "rare", "below": 3}, lambda rows: rows and all(row["sample"] < 3 for row in rows)),
        ({"order": "longest"}, lambda rows: rows[0]["n_bytes"] >= rows[1]["n_bytes"] >= rows[2]["n_bytes"]),
        ({"page": 3}, lambda rows: [row["id"] for row in rows] == list(range(300, 340))),
        ({"page": 9}, lambda rows: rows == []),
    ],
)
def test_the_vocabulary_is_searched_sorted_and_paged(tokenizer, grace_client, query, check):
    answer = grace_client.get(f"{PAGES}/{tokenizer.pk}/vocabulary", query)
    assert check(answer.context["tokens"].rows)


def test_what_has_no_glyph_is_spelt_out(tokenizer, grace_client):
    rows = grace_client.get(f"{PAGES}/{tokenizer.pk}/vocabulary", {"page": 1}).context["tokens"].rows
    shown = {row["shown"] for row in rows} | {
        row["shown"]
        for page in (0, 2)
        for row in grace_client.get(f"{PAGES}/{tokenizer.pk}/vocabulary", {"page": page}).context["tokens"].rows
    }
    assert {"\\n", "\\x00", "\\xe6", " "} <= shown


def test_the_list_has_imports_too_while_they_run_and_when_done(version, tokenizer, grace, grace_client):
    from datasets_app import actions

    asked = {"import_from": "gpt2", "seed": 1}
    actions.train_tokenizer(project=version.project, by=grace, name="gpt2", dataset_version=version, parameters=asked)
    page = text_of(grace_client.get(f"{PAGES}/"))
    assert 'aria-label="Choose words"' in page and 'aria-label="Choose gpt2"' not in page and "gpt2" in page


@pytest.mark.parametrize("query", [{"shown": "x' OR 1"}, {"order": "id; DROP"}, {"below": "a"}, {"page": "-1"}])
def test_a_question_that_no_form_asks_is_not_found(tokenizer, grace_client, query):
    assert grace_client.get(f"{PAGES}/{tokenizer.pk}/vocabulary", query).status_code == 404


def test_files_that_have_gone_are_said_so(version, grace_client):
    gone = factories.make_tokenizer(version)
    for page in (f"{gone.pk}/vocabulary", f"compare?ids={gone.pk}"):
        answer = grace_client.get(f"{PAGES}/{page}")
        assert answer.status_code == 503 and "cannot be read" in text_of(answer)


# ---- compare ---------------------------------------------------------------------------------------------------------


def test_the_same_text_is_cut_by_each(tokenizer, digits, grace_client):
    answer = grace_client.get(f"{PAGES}/compare", {"ids": f"{tokenizer.pk},{digits.pk}", "text": "x = 12345"})
    columns = {column.name: [piece.text for piece in column.pieces] for column in answer.context["spelt"]}
    assert columns["digits"][-5:] == ["1", "2", "3", "4", "5"]
    assert {"".join(pieces) for pieces in columns.values()} == {"x = 12345"}


def test_characters_and_special_words_are_shown_whole(tokenizer, grace_client):
    text = "é 日本 \U0001f600 <|endoftext|>\r\n\t<b>"
    answer = grace_client.get(f"{PAGES}/compare", {"ids": tokenizer.pk, "text": text})
    (column,) = answer.context["spelt"]
    assert "".join(piece.text for piece in column.pieces if not piece.partial) == text.replace("\r\n", "\n")
    assert not any(piece.special for piece in column.pieces)
    assert "&lt;b&gt;" in text_of(answer) and "<b>\n</pre>" not in text_of(answer)


def test_tokenizers_of_one_version_compare_by_what_their_jobs_measured(tokenizer, digits, grace_client):
    comparison = grace_client.get(f"{PAGES}/compare", {"ids": f"{tokenizer.pk},{digits.pk}"}).context["comparison"]
    assert comparison.names == ["words", "digits", "GPT-2, for comparison"] and not comparison.is_sample
    (row,) = comparison.rows
    measured = tokenizer.summary["fertility"]["held_out"]["languages"]["Python"]["bytes_per_token"]
    assert (row.language, row.values[0]) == ("Python", measured)


def test_tokenizers_of_different_versions_are_measured_on_one_text(project, tokenizer, grace_client):
    other = stage_rows.tokenizer(factories.make_dataset_version(project, "other"), "elsewhere")
    answer = grace_client.get(f"{PAGES}/compare", {"ids": f"{tokenizer.pk},{other.pk}"})
    comparison = answer.context["comparison"]
    assert comparison.is_sample and "do not compare" in text_of(answer)
    # The same vocabulary on the same text: the same figure, near what the stage measured on all of it.
    (row,) = comparison.rows
    assert row.values[0] == row.values[1]
    assert row.values[0] == pytest.approx(tokenizer.summary["fertility"]["held_out"]["bytes_per_token"], rel=0.01)


def test_one_more_is_added_by_name_and_no_more_than_fit(tokenizer, version, grace_client):
    rows = [stage_rows.tokenizer(version, f"more-{n}") for n in range(4)]
    answer = grace_client.get(f"{PAGES}/compare", {"ids": tokenizer.pk, "add": "more-1"})
    assert [row.name for row in answer.context["tokenizers"]] == ["words", "more-1"]
    ids = ",".join(row.pk for row in (tokenizer, *rows))
    assert len(grace_client.get(f"{PAGES}/compare", {"ids": ids}).context["tokenizers"]) == comparing.MOST


def test_text_is_bounded(tokenizer, grace_client):
    answer = grace_client.get(f"{PAGES}/compare", {"ids": tokenizer.pk, "text": "x" * (encoding.MAX_CHARACTERS + 1)})
    assert answer.status_code == 422
    assert answer.context["spelt"][0].pieces == []


def test_while_one_types_only_the_tokens_are_sent(tokenizer, grace_client):
    answer = grace_client.get(f"{PAGES}/compare", {"ids": tokenizer.pk, "text": "abc"}, headers={"HX-Request": "true"})
    assert text_of(answer).strip().startswith('<div id="snippet"')


def test_another_projects_tokenizer_leads_to_nothing(tokenizer, other_project, mallory_client):
    answer = mallory_client.get("/projects/elsewhere/tokenizers/compare", {"ids": tokenizer.pk, "text": "abc"})
    assert answer.context["tokenizers"] == []


def test_comparing_reads_rows_in_few_queries(tokenizer, digits, grace_client, django_assert_max_num_queries):
    url = f"{PAGES}/compare?ids={tokenizer.pk},{digits.pk}"
    grace_client.get(url)
    with django_assert_max_num_queries(8):
        grace_client.get(url)
