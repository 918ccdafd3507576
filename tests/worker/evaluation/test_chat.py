from __future__ import annotations

import pytest

from worker.evaluation.chat import completion, messages

SUM = 'from typing import List\n\n\ndef f(n: List[int]) -> int:\n    """ Sum.\n    >>> f([1])\n    1\n    """\n'
DOUBLE = "def double(n):\n    return"


def fenced(code: str) -> str:
    return f"Of course!\n```python\n{code}\n```\nThis works because of ```it```."


def test_the_instruction_names_the_language_and_holds_the_prompt() -> None:
    (message,) = messages(DOUBLE, "Python")
    assert message["role"] == "user"
    assert (
        message["content"].startswith("Continue the Python code") and f"```python\n{DOUBLE}\n```" in message["content"]
    )


@pytest.mark.parametrize(
    "answer",
    [
        fenced("    return sum(n)"),
        fenced("return sum(n)"),
        fenced(SUM + "    return sum(n)"),
        fenced("from typing import List\n\ndef f(n: List[int]) -> int:\n    return sum(n)"),
        fenced("def f(n: List[int]) -> int:\n    return sum(n)"),
        "    return sum(n)\n",
        "<think>\n```python\nreturn 0\n```\n</think>" + fenced("    return sum(n)"),
        "```python\n    return sum(n)\n",
    ],
    ids=[
        "continued",
        "without indentation",
        "all of it again",
        "no docstring",
        "no import",
        "no fence",
        "thoughts",
        "cut off",
    ],
)
def test_the_code_after_the_prompt_is_taken_out_of_an_answer(answer: str) -> None:
    assert completion(answer, SUM) == "    return sum(n)\n"


def test_an_import_before_a_repeated_function_goes_into_its_body() -> None:
    answer = fenced("import math\ndef f(n: List[int]) -> int:\n    return math.fsum(n)")
    assert completion(answer, SUM) == "    import math\n    return math.fsum(n)\n"


@pytest.mark.parametrize("code", ["n * 2", " n * 2", "return n * 2", "    return n * 2", DOUBLE + " n * 2"])
def test_a_prompt_that_ends_in_a_line_is_continued_there(code: str) -> None:
    assert completion(fenced(code), DOUBLE) == " n * 2\n"


def test_a_prompt_that_ends_in_indentation_keeps_it_once() -> None:
    assert completion(fenced("x = 1\nreturn x"), "def f():\n    ") == "x = 1\n    return x\n"
    assert completion(fenced("    x = 1\n    return x"), "def f():\n    ") == "x = 1\n    return x\n"


def test_a_block_after_a_colon_is_indented() -> None:
    assert completion(fenced("return 1"), "class A:\n    def f(self):\n") == "        return 1\n"


def test_an_answer_without_code_is_an_empty_completion() -> None:
    assert completion("", SUM) == ""
    assert completion("```python\n```", SUM) == ""
