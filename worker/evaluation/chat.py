"""A chat made to complete code: the instruction, and the way back from its answer to a completion.

The recipe is the one of the published chat harnesses: the prompt in a fence and only code asked for (EvalPlus,
provider/openai.py; HumanEval in simple-evals), the first fence of the answer taken (bigcode-evaluation-harness,
humanevalpack_openai.py, ContentParser), and what it repeats of the prompt cut off, since most chats write the whole
function again, and many without its docstring. Those harnesses then run a whole script; here the completion goes after
the prompt like any other model's, so that one program template holds for all.

An answer is text to be judged: nothing here makes wrong code right, beyond its indentation and the place of an import.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

_INSTRUCTION = (
    "Continue the {language} code below from exactly where it ends. Answer with one fenced code block that holds only the "
    "code that comes next: do not repeat the code below and do not explain.\n\n```{fence}\n{prompt}\n```"
)
_THOUGHTS = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
_FENCE = re.compile(r"```[^\n`]*\n(.*?)(?:^[ \t]*```|\Z)", re.DOTALL | re.MULTILINE)
# A line that loads something, which an answer may put before a function that it writes anew.
_LOADS = re.compile(r"\s*(?:import|from|using|use|const \w+ = require|var \w+ = require|#include|require)\b")
_IN_A_WORD = re.compile(r"\w\w")


def messages(prompt: str, language: str) -> list[dict[str, str]]:
    """What is asked, as the API has it: one message of the user, since some models take no other."""
    text = _INSTRUCTION.format(language=language, fence=language.lower(), prompt=prompt)
    return [{"role": "user", "content": text}]


def completion(answer: str, prompt: str) -> str:
    """The code in an answer that comes after the prompt; all of the answer where it has no fence."""
    text = _THOUGHTS.sub("", answer)
    fences = _FENCE.findall(text)
    code = next(filter(str.strip, fences), "") if fences else text
    return _joined(prompt, _after_repetition(code.split("\n"), prompt))


def _after_repetition(lines: Sequence[str], prompt: str) -> str:
    """The lines without those at their beginning that the prompt has too."""
    *whole, begun = prompt.split("\n")
    told = [line.strip() for line in whole if line.strip()]
    start = _first_repeated(lines, told)
    if start is None:
        return _without_begun(list(lines), begun, only_first=True)
    end, complete = _end_of_run(lines, start, told)
    rest = _without_begun(list(lines[end:]), begun, only_first=complete)
    first = next(filter(str.strip, rest.split("\n")), "")
    loads = [f"{_indentation(first)}{line.strip()}" for line in lines[:start] if line.strip()]
    return "\n".join([*loads, rest])


def _first_repeated(lines: Sequence[str], told: Sequence[str]) -> int | None:
    """The first line with code that is the prompt's; only lines that load something may be before it."""
    for number, line in enumerate(lines):
        if line.strip() in told:
            return number
        if line.strip() and not _LOADS.match(line):
            return None
    return None


def _end_of_run(lines: Sequence[str], start: int, told: Sequence[str]) -> tuple[int, bool]:
    """(the first line after the longest run of the prompt's own lines, whether it goes on to the prompt's end)."""
    beginnings = [at for at, line in enumerate(told) if line == lines[start].strip()]
    return max(_run(lines, start, told[at:]) for at in beginnings)


def _run(lines: Sequence[str], start: int, told: Sequence[str]) -> tuple[int, bool]:
    """As _end_of_run, of one beginning. Empty lines do not count: answers space out what they repeat."""
    expected, end = iter(told), start
    wanted = next(expected, None)
    for number in range(start, len(lines)):
        line = lines[number].strip()
        if wanted is not None and line == wanted:
            end, wanted = number + 1, next(expected, None)
        elif line:
            break
    return end, wanted is None


def _without_begun(lines: list[str], begun: str, only_first: bool) -> str:
    """What follows the prompt's last, unfinished line: in the first line with code, or in the first that begins so."""
    begun = begun.strip()
    filled = [number for number, line in enumerate(lines) if line.strip()]
    for number in filled[:1] if only_first else filled:
        if begun and lines[number].lstrip().startswith(begun):
            rest = lines[number].lstrip().removeprefix(begun)
            return "\n".join([rest, *lines[number + 1 :]])
    return "\n".join(lines)


def _joined(prompt: str, text: str) -> str:
    """The text as it must stand after the prompt: indented as far as that, and apart from a word that it ends in."""
    last = prompt.rpartition("\n")[2]
    if last.strip():
        return f" {text}" if _IN_A_WORD.match(prompt[-1] + text[:1]) else text
    text, indentation = text.lstrip("\n"), last or _expected(prompt)
    if indentation and text[:1].strip():
        text = textwrap.indent(text, indentation)
    return text.removeprefix(last)


def _expected(prompt: str) -> str:
    """The indentation of a line after the prompt's last; one step more after a colon, which opens a block."""
    before = next((line for line in reversed(prompt.splitlines()) if line.strip()), "")
    return _indentation(before) + ("    " if before.rstrip().endswith(":") else "")


def _indentation(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]
