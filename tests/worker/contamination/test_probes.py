"""What is looked for of a problem, and what of it does not count."""

from __future__ import annotations

import dataclasses

from tests.worker.contamination.plants import JAVASCRIPT, PYTHON
from worker.contamination import grams
from worker.contamination.probes import CODE, WORDS, probes_of, tokens_of
from worker.evaluation.suites import Problem
from worker.specs import FindContamination, SuiteRef

ASKED = FindContamination(SuiteRef("planted", "planted"), ())


def texts(view: str, *problems: Problem) -> list[str]:
    return [probe.text for probe in probes_of(problems, ASKED) if probe.view == view]


def cut(text: str, language: str, view: str = CODE) -> list[str]:
    found = tokens_of(text, language, view)
    return [text.encode()[start:end].decode() for start, end in zip(found.starts, found.ends, strict=True)]


def test_a_prompt_is_looked_for_by_the_words_of_its_comments():
    (said,) = texts(WORDS, Problem.from_json(PYTHON))
    assert said.startswith("Give the length") and said.endswith("2")
    (said,) = texts(WORDS, Problem.from_json(JAVASCRIPT))
    assert said.startswith("Split the ledger") and said.endswith("limit given")


def test_a_prompt_without_comments_is_no_probe_of_its_own():
    assert texts(WORDS, Problem("p", "python", "def f(first, second, third):\n    return ", "first", "assert f")) == []


def test_only_what_touches_the_completion_counts():
    problem = Problem.from_json(PYTHON)
    (code,) = (probe for probe in probes_of([problem], ASKED) if probe.view == CODE)
    assert code.places.min() + code.n > code.body[0]
    assert code.text.startswith("longest_rise") is False  # up to 13 tokens of the signature stand before
    assert code.text.endswith("return best")


def test_what_many_problems_share_does_not_count():
    shared = "# Write a function that takes the list of the numbers and gives back exactly what is asked for here: "
    problems = [
        dataclasses.replace(
            Problem.from_json(PYTHON),
            task_id=str(n),
            prompt=f"{shared}task number {n} of many, {'abcdefghij'[n] * 5}\ndef f_{n}(values):\n",
            reference=f"    return values[{n}]\n",
        )
        for n in range(8)
    ]
    wanted = [probe for probe in probes_of(problems, ASKED) if probe.view == WORDS]
    assert len(wanted) == 8
    alone = [probe for probe in probes_of(problems[:1], ASKED) if probe.view == WORDS]
    assert len(wanted[0].grams) < len(alone[0].grams)


def test_code_has_no_comments_and_a_string_is_one_token():
    assert cut("x = 'a b'  # c\n", "Python") == ["x", "=", "'a b'"]
    assert cut('def f():\n    """Say."""\n    return 1.5\n', "Python")[-4:] == ["return", "1", ".", "5"]
    assert cut("a /* b */ + `c\nd`; // e", "JavaScript") == ["a", "+", "`c\nd`", ";"]


def test_quotes_case_and_blanks_are_no_difference():
    one, two = (tokens_of(text, "Python", CODE) for text in ("x = F('a  b')", 'X=f( "a b" )'))
    assert one.hashes.tolist() == two.hashes.tolist()


def test_names_are_told_apart_by_where_they_recur():
    shapes = [
        grams.shape_grams(tokens_of(text, "Python", CODE), 9).tolist()
        for text in ("for a in b: a(b, 1)", "for n in rows: n(rows, 22)", "for a in b: b(a, 1)")
    ]
    assert shapes[0] == shapes[1] != shapes[2]


def test_a_keyword_keeps_its_name():
    one, two = (grams.shape_grams(tokens_of(text, "Python", CODE), 2).tolist() for text in ("if a", "while a"))
    assert one != two


def test_a_shape_does_not_depend_on_what_stands_before_it():
    found = tokens_of(f"{PYTHON['prompt']}{PYTHON['reference']}x = y + x\n" * 3, "Python", CODE)
    rolled = grams.shape_grams(found, 9).tolist()
    alone = [grams.shape_grams(found[k:], 9)[0] for k in range(len(rolled))]
    assert rolled == alone
