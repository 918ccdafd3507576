"""Sound code has no error in eleven languages, planted errors are found, and a parser's end costs one file only."""

from __future__ import annotations

import random
import subprocess
import sys
import threading

import pytest

from tests.worker.data.near_copies import real_sources
from worker.data import parse_process
from worker.data.parse_process import ParseProcess
from worker.data.syntax import GRAMMARS, MAX_ERROR_SHARE, TooComplex, error_share

SOUND = {
    "C": '#include <stdio.h>\nint main(void) {\n    printf("%d\\n", 1 + 2);\n    return 0;\n}\n',
    "C++": "template <typename T>\nclass Box {\n public:\n  explicit Box(T value) : value_(value) {}\n private:\n  T value_;\n};\n",
    "Go": "package main\n\nfunc add(a, b int) int {\n\treturn a + b\n}\n",
    "JSON": '{"name": "yard", "sizes": [1, 2.5, null], "deep": {"ok": true}}\n',
    "Java": "class Box {\n    private final int value;\n    Box(int value) { this.value = value; }\n}\n",
    "JavaScript": "const add = (a, b) => a + b;\nexport default function App() { return <p>{add(1, 2)}</p>; }\n",
    "PHP": "<h1>Hi</h1>\n<?php\nfunction add(int $a, int $b): int {\n    return $a + $b;\n}\n",
    "Python": "def add(a: int, *, b: int = 1) -> int:\n    return a + b\n",
    "Ruby": "class Box\n  def initialize(value)\n    @value = value\n  end\nend\n",
    "Rust": "fn add(a: i32, b: i32) -> i32 {\n    let sum = a + b;\n    sum\n}\n",
    "TypeScript": "function first<T>(items: T[]): T | undefined {\n  return items[0];\n}\n",
}


def test_every_grammar_has_a_bound():
    assert SOUND.keys() == GRAMMARS.keys() == MAX_ERROR_SHARE.keys()


@pytest.mark.parametrize("language", SOUND)
def test_sound_code_has_no_error(language):
    assert error_share(SOUND[language].encode(), language) == 0.0


@pytest.mark.parametrize("language", SOUND)
def test_a_bracket_that_is_never_closed_is_an_error(language):
    broken = SOUND[language].replace(
        next(mark for mark in "})" if mark in SOUND[language]) if language != "Ruby" else "end", "", 1
    )
    share = error_share(broken.encode(), language)
    assert share is not None
    assert 0 < share <= 1


@pytest.mark.parametrize("language", [name for name in SOUND if name != "JSON"])
def test_prose_is_beyond_the_bound_of_every_language(language):
    prose = "It was the best of times, it was the worst of times; it was an age of wisdom, and of foolishness.\n" * 5
    opened = f"<?php\n{prose}" if language == "PHP" else prose
    share = error_share(opened.encode(), language)
    assert share is not None
    assert share > MAX_ERROR_SHARE[language]


@pytest.mark.parametrize("text", ["let a = <string>value;\n", "const a = <p>value</p>;\n"])
def test_typescript_may_hold_casts_or_elements(text):
    assert error_share(text.encode(), "TypeScript") == 0.0


def test_an_export_macro_makes_no_error_of_the_whole_class():
    body = "".join(f"  int method{i}(int value) const {{ return value + {i}; }}\n" for i in range(40))
    share = error_share(f"class YARD_API Box {{\n public:\n{body}}};\n".encode(), "C++")
    assert share is not None
    assert share < MAX_ERROR_SHARE["C++"]


def test_a_language_without_a_grammar_has_no_share():
    assert error_share(b"(car x)", "Scheme") is None
    assert parse_process.error_share(b"(car x)", "Scheme") is None


def test_an_empty_file_has_no_error():
    assert all(error_share(b"", language) == 0.0 for language in ("Python", "C", "Ruby"))


def test_real_files_parse_and_planted_errors_are_found():
    """One bracket is taken out; where it stood in a string or comment there is nothing to find."""
    rng = random.Random(5)
    texts = [text for text in real_sources(40, seed=21) if ")" in text]
    assert sum(error_share(text.encode(), "Python") == 0.0 for text in texts) / len(texts) >= 0.95
    found = 0
    for text in texts:
        at = rng.choice([i for i, character in enumerate(text) if character == ")"])
        found += error_share((text[:at] + text[at + 1 :]).encode(), "Python") != 0.0
    assert found / len(texts) >= 0.8


def test_a_parse_that_takes_too_many_steps_is_given_up_and_the_next_is_not_touched(monkeypatch):
    monkeypatch.setattr("worker.data.syntax.LEAST_CHECKS", 1)
    monkeypatch.setattr("worker.data.syntax.CHECKS_PER_BYTE", 0.0)
    with pytest.raises(TooComplex, match="more than 1 checks"):
        error_share(SOUND["Python"].encode() * 100, "Python")
    monkeypatch.undo()
    assert error_share(SOUND["Python"].encode(), "Python") == 0.0


@pytest.mark.parametrize("language", ["Python", "Java", "C++", "JSON"])
def test_deep_nesting_ends(language):
    assert error_share(b"(" * 20_000 + b")" * 20_000, language) is not None


@pytest.fixture
def process():
    process = ParseProcess()
    yield process
    process.close()


def test_a_process_answers_as_the_parser_does(process):
    for language, text in SOUND.items():
        for content in (text.encode(), text.encode()[: len(text) // 2], "é\n".encode() * 9, b""):
            assert process.error_share(content, language) == error_share(content, language)


def test_a_crash_costs_one_file(process):
    assert process.error_share(b"x = 1\n", "Python") == 0.0
    process._child.kill()
    with pytest.raises(TooComplex, match="SIGKILL"):
        process.error_share(b"x = 2\n", "Python")
    assert process.error_share(b"x = 3\n", "Python") == 0.0


def test_each_thread_has_its_own_process():
    shares: list[float | None] = []

    def check():
        shares.extend(parse_process.error_share(text.encode(), language) for language, text in SOUND.items())

    threads = [threading.Thread(target=check) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shares == [0.0] * 3 * len(SOUND)


def test_a_process_ends_with_its_input_and_imports_no_engine():
    code = "import sys, worker.data.parse_process; print([m for m in ('daft', 'numba', 'pyarrow') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
    done = subprocess.run(
        [sys.executable, "-m", "worker.data.parse_process"],
        input=b"share Python 6\nx = 1\n",
        capture_output=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, b"0.0\n")
