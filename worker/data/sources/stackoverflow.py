"""Kind "stackoverflow": code blocks of answers in a Posts.xml of the public dump, one document an answer.

The file is parsed as a stream; a document type, and with it every entity bomb, is refused. A question comes before its
answers: of its tags only a number for the language is kept, 9 bytes a question (24 million of them in 2024: 216 MB).
Licence by the day of the post: https://stackoverflow.com/help/licensing.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, BinaryIO
from xml.parsers import expat

from worker.data.languages import EXTENSIONS, extension_of, named
from worker.data.sources.places import Place, brief, digest, places, root_of, unpacked
from worker.data.sources.reader import Found, Read
from worker.data.sources.spool import Spool, read_spooled
from worker.sources import option
from worker.specs import SourceSpec

QUESTION, ANSWER = "1", "2"
BLOCK_BYTES = 1 << 20
SUFFIXES = (".xml", ".xml.gz", ".xml.zst", ".xml.bz2")
SITE = "stackoverflow.com"
# (first day, licence), newest first.
LICENSES = (("2018-05-02", "CC-BY-SA-4.0"), ("2011-04-08", "CC-BY-SA-3.0"), ("", "CC-BY-SA-2.5"))
# Tags and class names that are not the language's own name.
TAGS = {
    "c++": "C++",
    "cpp": "C++",
    "c#": "C#",
    "cs": "C#",
    "py": "Python",
    "python-3.x": "Python",
    "python-2.7": "Python",
    "js": "JavaScript",
    "reactjs": "JavaScript",
    "node.js": "JavaScript",
    "jquery": "JavaScript",
    "ts": "TypeScript",
    "bash": "Shell",
    "sh": "Shell",
    "rb": "Ruby",
    "ruby-on-rails": "Ruby",
    "golang": "Go",
    "vb.net": "Visual Basic .NET",
    "objective-c": "Objective-C",
    "rs": "Rust",
    "kt": "Kotlin",
    "mysql": "SQL",
    "postgresql": "SQL",
    "sql-server": "SQL",
    "pl": "Perl",
    "hs": "Haskell",
    "f#": "F#",
}
LANGUAGES = sorted(EXTENSIONS)


class NotADump(ValueError):
    """The file is no posts dump, or more than one."""


@dataclass
class Questions:
    """Question id -> language. Ids come in ascending order; the few that do not are kept aside."""

    ids: array[int] = field(default_factory=lambda: array("q"))
    languages: array[int] = field(default_factory=lambda: array("B"))
    late: dict[int, int] = field(default_factory=dict)

    def add(self, number: int, language: str | None) -> None:
        if language is None:
            return
        code = LANGUAGES.index(language)
        if self.ids and number <= self.ids[-1]:
            self.late[number] = code
            return
        self.ids.append(number)
        self.languages.append(code)

    def language(self, number: int) -> str | None:
        at = bisect_left(self.ids, number)
        if at < len(self.ids) and self.ids[at] == number:
            return LANGUAGES[self.languages[at]]
        return LANGUAGES[self.late[number]] if number in self.late else None


@dataclass(frozen=True)
class PostsReader:
    spec: SourceSpec
    scratch: Path | None = None

    def list(self) -> Iterator[Found]:
        root = root_of(self.spec.location)
        for place in self._places():
            if self.scratch is None:
                raise ValueError("a dump needs a scratch folder")
            try:
                with root.open(place.name) as file, Spool(self.scratch, f"{self.spec.name}\0{place.name}") as spool:
                    yield from self._answers(unpacked(file, place.name), place, spool)
            except (expat.ExpatError, NotADump, OSError, EOFError) as error:
                yield Found(place.name, place.name.encode(), problem="corrupt-file", detail=brief(error))

    def read(self, locators: Sequence[bytes], sizes: Sequence[int]) -> Sequence[Read]:
        assert self.scratch is not None
        return read_spooled(self.scratch, locators)

    def snapshot(self) -> str:
        return digest(self._places())

    def _places(self) -> Sequence[Place]:
        return places(root_of(self.spec.location), self.spec.location, SUFFIXES)

    def _answers(self, file: BinaryIO, place: Place, spool: Spool) -> Iterator[Found]:
        questions = Questions()
        for post in posts(file):
            if post.get("PostTypeId") == QUESTION:
                questions.add(int(post.get("Id", "0")), _of_tags(post.get("Tags", "")))
            elif post.get("PostTypeId") == ANSWER:
                yield self._answer(post, questions, place, spool)

    def _answer(self, post: dict[str, str], questions: Questions, place: Place, spool: Spool) -> Found:
        code, language = code_of(post.get("Body", ""))
        language = language or questions.language(int(post.get("ParentId") or 0))
        path = f"answers/{post.get('Id', 'unknown')}.{extension_of(language) if language else 'txt'}"
        problem, detail = None, None
        if int(post.get("Score") or 0) < option("stackoverflow", self.spec.options, "min_score"):
            problem, detail = "low-score", f"score {post.get('Score')}"
        elif len(code) < option("stackoverflow", self.spec.options, "min_code_characters"):
            problem, detail = "no-code", f"{len(code)} characters of code"
        content = code.encode()
        return Found(
            path,
            path.encode() if problem else spool.add(content),
            len(content),
            post.get("LastEditDate") or post.get("CreationDate") or place.stamp,
            problem,
            detail,
            license_of(post),
            language,
            SITE,
            author_of(post),
        )


def posts(file: BinaryIO) -> Iterator[dict[str, str]]:
    """The attributes of every <row>. Raises NotADump for a document type, ExpatError for what is no XML."""
    found: list[dict[str, str]] = []
    parser = expat.ParserCreate()
    parser.StartElementHandler = lambda name, attributes: found.append(attributes) if name == "row" else None
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.EntityDeclHandler = _refuse_doctype
    is_last = False
    while not is_last:
        block = file.read(BLOCK_BYTES)
        is_last = not block
        try:
            parser.Parse(block, is_last)
        finally:  # what came before a damage in this block counts as well
            yield from found
            found.clear()


def code_of(body: str) -> tuple[str, str | None]:
    """(the text of the <pre><code> blocks, a blank line between two; the language that a block's class names)."""
    parser = _Blocks()
    parser.feed(body)
    parser.close()
    blocks = [block.strip("\n") for block in parser.blocks if block.strip()]
    return "\n\n".join(blocks) + "\n" if blocks else "", parser.language


def license_of(post: dict[str, str]) -> str:
    """What the post says of itself (ContentLicense, in dumps since 2021), else by its day."""
    said = post.get("ContentLicense", "").replace(" ", "-")
    return said.upper() or next(name for day, name in LICENSES if post.get("CreationDate", "") >= day)


def author_of(post: dict[str, str]) -> str | None:
    """Posts.xml has a name of deleted accounts only; of all others the page, which a licence's attribution asks for as well."""
    name, number = post.get("OwnerDisplayName", ""), post.get("OwnerUserId", "")
    page = f"{SITE}/users/{number}" if number else ""
    return f"{name} <{page}>" if name and page else name or page or None


class _Blocks(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.blocks: list[str] = []
        self.language: str | None = None
        self.in_pre = self.in_code = False

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag == "pre":
            self.in_pre = True
        if tag == "code" and self.in_pre:
            self.in_code = True
            self.blocks.append("")
        if self.in_pre:
            names = (dict(attributes).get("class") or "").split()
            hints = [_language(name.partition("-")[2]) for name in names if name.startswith(("lang-", "language-"))]
            self.language = self.language or next(filter(None, hints), None)

    def handle_endtag(self, tag: str) -> None:
        if tag in {"pre", "code"}:
            self.in_code = False
            self.in_pre = self.in_pre and tag != "pre"

    def handle_data(self, data: str) -> None:
        if self.in_code:
            self.blocks[-1] += data


def _of_tags(tags: str) -> str | None:
    """`<python><list>` or, in dumps since 2024, `|python|list|`; the first tag that is a language."""
    names = tags.strip("<>|").replace("><", "|").split("|")
    return next(filter(None, map(_language, names)), None)


def _language(name: str) -> str | None:
    return TAGS.get(name.lower()) or named(name)


def _refuse_doctype(*about: Any) -> None:
    raise NotADump("it declares a document type or entities, which no posts dump does")
