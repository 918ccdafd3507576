"""Code out of a posts dump: whose it is, since when and under which licence; and that no dump can blow up a worker."""

from __future__ import annotations

import gzip
from html import escape

import pytest

from worker.data.sources import stackoverflow

CODE = "def add(a, b):\n    return a &lt; b &amp;&amp; a\n" + "# more\n" * 12
DECODED = CODE.replace("&lt;", "<").replace("&amp;", "&")
NEWLINE = "\n"  # a dump writes it as a reference: in an attribute, XML takes a bare one for a space


def post(number, kind, body="", **attributes):
    given = {"Id": number, "PostTypeId": kind, "Body": body, **attributes}
    return (
        "  <row "
        + " ".join(f'{name}="{escape(str(value)).replace(NEWLINE, "&#xA;")}"' for name, value in given.items())
        + " />\n"
    )


def answer(number, body=f"<p>Try</p><pre><code>{CODE}</code></pre>", **attributes):
    return post(number, 2, body, **{"ParentId": 1, "Score": 5, "CreationDate": "2020-01-01T00:00:00", **attributes})


def dump(path, *rows, head=""):
    text = f'<?xml version="1.0" encoding="utf-8"?>\n{head}<posts>\n{"".join(rows)}</posts>\n'.encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


QUESTION = post(1, 1, "<pre><code>not mine</code></pre>", Tags="<python><list>", Score=9)


@pytest.mark.parametrize("name", ["Posts.xml", "Posts.xml.gz"])
def test_code_blocks_of_answers_become_documents_in_the_questions_language(contents, tmp_path, name):
    found = contents("stackoverflow", dump(tmp_path / name, QUESTION, answer(2, OwnerUserId=42)))
    assert found.texts == {"answers/2.py": DECODED}
    row = found.rows["answers/2.py"]
    assert (row["language"], row["repository"]) == ("Python", "stackoverflow.com")
    assert row["author"] == "stackoverflow.com/users/42"


def test_blocks_are_joined_and_inline_code_is_prose(contents, tmp_path):
    body = (
        f"<p>Use <code>x</code></p><pre><code>{CODE}</code></pre> or <pre class='lang-rust'><code>let b;\n</code></pre>"
    )
    found = contents("stackoverflow", dump(tmp_path / "Posts.xml", QUESTION, answer(2, body)))
    assert found.texts == {"answers/2.rs": f"{DECODED}\n\nlet b;\n".replace("\n\n\n", "\n\n")}


def test_low_scores_and_little_code_are_reasons(contents, tmp_path):
    rows = (QUESTION, answer(2, Score=-1), answer(3, "<pre><code>x</code></pre>"), answer(4))
    path = dump(tmp_path / "Posts.xml", *rows)
    assert contents("stackoverflow", path).problems == {"answers/2.py": "low-score", "answers/3.py": "no-code"}
    assert len(contents("stackoverflow", path, min_score=-5, min_code_characters=1).texts) == 3


@pytest.mark.parametrize(
    ("attributes", "license"),
    [
        ({"CreationDate": "2010-05-01T00:00:00"}, "CC-BY-SA-2.5"),
        ({"CreationDate": "2011-04-08T00:00:00"}, "CC-BY-SA-3.0"),
        ({"CreationDate": "2018-05-02T00:00:00"}, "CC-BY-SA-4.0"),
        ({"CreationDate": "2010-05-01T00:00:00", "ContentLicense": "CC BY-SA 4.0"}, "CC-BY-SA-4.0"),
    ],
)
def test_the_licence_is_that_of_the_day_unless_the_post_says_another(contents, tmp_path, attributes, license):
    found = contents("stackoverflow", dump(tmp_path / "Posts.xml", QUESTION, answer(2, **attributes)))
    assert found.rows["answers/2.py"]["license"] == license


@pytest.mark.parametrize(
    "head",
    [
        '<!DOCTYPE posts [<!ENTITY a "x"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>',
        '<!DOCTYPE posts SYSTEM "file:///etc/passwd">',
    ],
)
def test_a_document_type_is_refused(contents, tmp_path, head):
    found = contents("stackoverflow", dump(tmp_path / "Posts.xml", QUESTION, answer(2), head=head))
    assert (found.texts, found.problems) == ({}, {"Posts.xml": "corrupt-file"})


def test_a_dump_that_breaks_off_gives_what_came_before(contents, tmp_path):
    path = dump(tmp_path / "Posts.xml", QUESTION, answer(2), answer(3))
    path.write_bytes(path.read_bytes()[:-200])
    found = contents("stackoverflow", path)
    assert found.texts == {"answers/2.py": DECODED}
    assert found.problems == {"Posts.xml": "corrupt-file"}


def test_tags_in_the_newer_form_and_questions_out_of_order_are_understood(contents, tmp_path):
    late = post(1, 1, Tags="|c++|list|")
    rows = (post(7, 1, Tags="|rust|"), late, answer(8, ParentId=1), answer(9, ParentId=7), answer(10, ParentId=5))
    found = contents("stackoverflow", dump(tmp_path / "Posts.xml", *rows))
    assert sorted(found.texts) == ["answers/10.txt", "answers/8.cc", "answers/9.rs"]


@pytest.mark.parametrize(
    ("post", "author"),
    [
        ({"OwnerUserId": "42", "OwnerDisplayName": "Ada"}, "Ada <stackoverflow.com/users/42>"),
        ({"OwnerDisplayName": "user7"}, "user7"),  # a deleted account
        ({}, None),
    ],
)
def test_an_author_is_named_as_the_dump_does(post, author):
    assert stackoverflow.author_of(post) == author
