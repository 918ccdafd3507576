"""What a package says of itself: its repository and its authors, out of the metadata file that its archive holds.

    PKG-INFO, METADATA     sdist and wheel   packaging.python.org/specifications/core-metadata
    Cargo.toml             crate             doc.rust-lang.org/cargo/reference/manifest.html
    package.json           npm               the manual page package.json(5) of npm

A home page counts as the repository only where it lies on a forge. What cannot be parsed says nothing: a broken metadata
file is no reason to lose a package's code.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesHeaderParser
from email.utils import getaddresses
from pathlib import PurePosixPath
from typing import Any

from worker.sources import repository_name

LARGEST_BYTES = 1_000_000
FORGES = ("github.com", "gitlab.com", "bitbucket.org", "codeberg.org")
SOURCE_LABELS = frozenset({"repository", "source", "source code", "sourcecode", "code", "github", "gitlab"})
MOST_AUTHORS = 20


@dataclass(frozen=True)
class Said:
    """`author`: `Name <address>`, several with semicolons between; "" for what is not said."""

    repository: str = ""
    author: str = ""


def rank_of(member: str) -> int | None:
    """Which metadata file this is, the lowest rank goes first; None for any other member, and below the top folder."""
    path = PurePosixPath(member)
    if len(path.parts) > 2:
        return None
    is_wheels = path.name == "METADATA" and path.parent.name.endswith(".dist-info")
    return 0 if is_wheels else {"PKG-INFO": 1, "Cargo.toml": 2, "package.json": 3}.get(path.name)


def said_by(rank: int, content: bytes) -> Said:
    """`rank`: of rank_of."""
    try:
        return (_core, _core, _cargo, _npm)[rank](content)
    except (ValueError, RecursionError):  # tomllib's, json's and the decoder's errors are ValueErrors
        return Said()


def _core(content: bytes) -> Said:
    about = BytesHeaderParser().parsebytes(content)
    labelled = dict(_labelled(about))
    pages = [labelled[label] for label in labelled if label in SOURCE_LABELS]
    pages += _on_forges([*labelled.values(), str(about.get("Home-page", ""))])
    names, addresses = str(about.get("Author", "")), getaddresses([str(about.get("Author-email", ""))])
    authors = [_author(name or (names if len(addresses) == 1 else ""), address) for name, address in addresses]
    return Said(_repository(pages), _joined([*authors, *([names] if not any(authors) else [])]))


def _labelled(about: Message) -> Iterable[tuple[str, str]]:
    for line in about.get_all("Project-URL") or ():
        label, comma, url = str(line).partition(",")
        if comma:
            yield label.strip().lower(), url.strip()


def _cargo(content: bytes) -> Said:
    package = _mapping(tomllib.loads(content.decode()).get("package"))
    pages = [_text(package.get("repository")), *_on_forges([_text(package.get("homepage"))])]
    authors = package.get("authors")
    return Said(_repository(pages), _joined(map(_text, authors if isinstance(authors, list) else ())))


def _npm(content: bytes) -> Said:
    package = _mapping(json.loads(content))
    where = package.get("repository")
    url = _text(where.get("url") if isinstance(where, Mapping) else where).removeprefix("github:")
    people = [package.get("author"), *_items(package.get("contributors"))]
    pages = [url, *_on_forges([_text(package.get("homepage"))])]
    return Said(_repository(pages), _joined(map(_person, people)))


def _person(value: Any) -> str:
    """`Name <address> (page)`, or an object of these."""
    if isinstance(value, Mapping):
        return _author(_text(value.get("name")), _text(value.get("email")))
    return _text(value).partition("(")[0]


def _author(name: str, address: str) -> str:
    return f"{name} <{address}>" if name and address else name or address


def _joined(authors: Iterable[str]) -> str:
    clean = [" ".join(author.replace(";", ",").split()) for author in authors]
    return "; ".join(list(dict.fromkeys(filter(None, clean)))[:MOST_AUTHORS])


def _repository(pages: Sequence[str]) -> str:
    """The first one's name; of a page within a repository on github.com the repository's."""
    name = repository_name(next(filter(None, pages), ""))
    is_on_github = name.count("/") > 1 and "." not in name.partition("/")[0]
    return "/".join(name.split("/")[:2]) if is_on_github else name


def _on_forges(pages: Iterable[str]) -> list[str]:
    return [page for page in pages if page.partition("://")[2].removeprefix("www.").startswith(FORGES)]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""
