"""Who asked to be left out: a list of repositories, path patterns and authors, and whether a row is one of theirs.

The list is a text file, one rule a line:

    # a comment; blank lines are skipped
    repo: owner/name           a repository or source, a pattern of shell type
    path: drafts/*             a pattern of paths, in every source
    path: owner/name:drafts/*  the same, in one repository or source
    author: ada@example.org    a name or an address, whatever its case

In patterns `*` stands for any characters, "/" too, `?` for one, and [...] for one of several. Repositories and paths
mind their case; an address of a repository means its name (worker.sources.repository_name). Modelled on The Stack's
opt-out process (Kocetkov et al. 2022, arXiv:2211.15533, section 3), which goes by repository and owner: `repo: owner/*`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import translate
from functools import cached_property

from worker.sources import repository_name

KINDS = ("repo", "path", "author")


class OptOutError(ValueError):
    """What is wrong with a list, each problem with the number of its line."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True)
class OptOuts:
    """Patterns by kind, as written. A path pattern may begin with the repository it is for and a colon."""

    repositories: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()

    def rule_for(self, repositories: Iterable[str | None], path: str, author: str | None) -> str | None:
        """The first rule that covers a row, as a line of the list, or None.

        `repositories`: every name the row goes by: its repository and its source. `author`: `Name <address>`, either
        part, several of them with semicolons between, or None.
        """
        names = [name for name in repositories if name]
        for pattern, rule in self._repositories:
            if any(rule.match(name) for name in names):
                return f"repo: {pattern}"
        for pattern, where, rule in self._paths:
            if rule.match(path) and (where is None or any(where.match(name) for name in names)):
                return f"path: {pattern}"
        found = self._authors & _names_of(author or "")
        return f"author: {min(found)}" if found else None

    @cached_property
    def _repositories(self) -> list[tuple[str, re.Pattern[str]]]:
        return [(pattern, _compiled(repository_name(pattern))) for pattern in self.repositories]

    @cached_property
    def _paths(self) -> list[tuple[str, re.Pattern[str] | None, re.Pattern[str]]]:
        return [(pattern, *_path_rule(pattern)) for pattern in self.paths]

    @cached_property
    def _authors(self) -> frozenset[str]:
        return frozenset(_plain(author) for author in self.authors)


def read_opt_outs(text: str) -> OptOuts:
    """The rules of a list. Raises OptOutError with every line that is none."""
    rules: dict[str, list[str]] = {kind: [] for kind in KINDS}
    problems = []
    for number, line in enumerate(text.splitlines(), 1):
        content = line.strip()
        if not content or content.startswith("#"):
            continue
        kind, colon, pattern = (part.strip() for part in content.partition(":"))
        if problem := _problem(kind, colon, pattern):
            problems.append(f"Line {number}: {problem}")
        else:
            rules[kind].append(pattern)
    if problems:
        raise OptOutError(problems)
    return OptOuts(tuple(rules["repo"]), tuple(rules["path"]), tuple(rules["author"]))


def _problem(kind: str, colon: str, pattern: str) -> str | None:
    if not colon or kind not in KINDS:
        return f"it begins with none of {', '.join(f'{known}:' for known in KINDS)}"
    if not pattern:
        return f"nothing stands behind {kind}:"
    if set(pattern) <= {"*", "/", ":"}:
        return f"{kind}: {pattern} would leave out everything"
    return None


def _path_rule(pattern: str) -> tuple[re.Pattern[str] | None, re.Pattern[str]]:
    where, colon, path = pattern.partition(":")
    return (_compiled(repository_name(where)), _compiled(path)) if colon else (None, _compiled(pattern))


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(translate(pattern))


_ADDRESS = re.compile(r"^(.*?)\s*<([^<>]*)>$")


def _names_of(authors: str) -> frozenset[str]:
    """`Ada L <ada@example.org>` -> itself, the name and the address; of several authors those of each."""
    names: set[str] = set()
    for author in authors.split(";"):
        match = _ADDRESS.match(author.strip())
        names |= {author, *(match.groups() if match else ())}
    return frozenset(_plain(name) for name in names if name.strip())


def _plain(name: str) -> str:
    """Whatever its case, letter by letter: as the control plane's database compares, which looks for an author's rows."""
    return "".join(letter.lower()[0] for letter in name.strip())
