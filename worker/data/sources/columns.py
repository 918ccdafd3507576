"""What the columns of a table are to us: known corpora by name, others by the names people use, or as a person mapped them.

The licences that a corpus lists for a repository hold together (AND): a file is as free as the strictest of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from worker.data.languages import extension_of, named
from worker.failures import StageFailure
from worker.sources import ROLES, repository_name
from worker.specs import SourceSpec


@dataclass(frozen=True)
class Schema:
    """A published layout: recognised when a table has all columns of `marks`."""

    title: str
    marks: frozenset[str]
    columns: Mapping[str, str]


STACK = {"content": "content", "path": "max_stars_repo_path", "repository": "max_stars_repo_name"}
# Most particular first.
SCHEMAS: tuple[Schema, ...] = (
    Schema(
        "The Stack v1",  # huggingface.co/datasets/bigcode/the-stack-dedup
        frozenset({"content", "lang", "max_stars_repo_path", "max_stars_repo_name", "max_stars_repo_licenses"}),
        {**STACK, "language": "lang", "license": "max_stars_repo_licenses"},
    ),
    Schema(
        "StarCoder data",  # huggingface.co/datasets/bigcode/starcoderdata: a folder a language, no column of it
        frozenset({"content", "max_stars_repo_path", "max_stars_repo_name", "id"}),
        STACK,
    ),
    Schema(
        "The Stack v2 with contents",  # bigcode/the-stack-v2 once its blobs are fetched into `content`
        frozenset({"content", "blob_id", "path", "repo_name", "language", "detected_licenses"}),
        {
            "content": "content",
            "path": "path",
            "language": "language",
            "license": "detected_licenses",
            "repository": "repo_name",
        },
    ),
    Schema(
        "GitHub Code",  # huggingface.co/datasets/codeparrot/github-code
        frozenset({"code", "repo_name", "path", "language", "license"}),
        {"content": "code", "path": "path", "language": "language", "license": "license", "repository": "repo_name"},
    ),
)
# Columns that name a text kept elsewhere: a table with these and no content has to be filled first.
BLOBS = frozenset({"blob_id", "content_id"})
USUAL: dict[str, tuple[str, ...]] = {
    "content": ("content", "code", "text", "source_code", "body"),
    "path": ("path", "file_path", "filepath", "max_stars_repo_path", "filename", "file_name"),
    "language": ("language", "lang", "programming_language"),
    "license": ("license", "licenses", "detected_licenses", "spdx"),
    "repository": (
        *("repository", "repo_name", "repo", "repository_name", "max_stars_repo_name"),
        *("repo_url", "repository_url", "html_url", "github_repo", "repo_full_name"),
    ),
    "author": ("author", "authors", "author_name", "author_email", "commit_author", "committer", "user", "owner"),
}
EXTENSION_COLUMNS = ("ext", "extension")


@dataclass(frozen=True)
class Mapped:
    """Columns by role, and the name of the corpus they were recognised by ("" if by none)."""

    columns: Mapping[str, str]
    schema: str = ""
    extension: str | None = None

    @property
    def content(self) -> str:
        return self.columns["content"]

    def wanted(self, names: Iterable[str]) -> list[str]:
        """The columns to read of those that a file has."""
        asked = {*self.columns.values(), *((self.extension,) if self.extension else ())}
        return [name for name in names if name in asked]


def mapping_of(spec: SourceSpec, names: Sequence[str], where: str) -> Mapped:
    """How a table with these columns is read. Raises data:user:missing-column by role and name.

    What a person mapped goes first; a role that was mapped to "" is left out.
    """
    asked: Mapping[str, str] = spec.options.get("columns") or {}
    for role, name in asked.items():
        if name and name not in names:
            raise _missing(spec, role, name, names, where)
    found, title = recognise(names)
    columns = {role: asked.get(role, found.get(role, "")) for role in ROLES}
    columns = {role: name for role, name in columns.items() if name}
    if "content" not in columns:
        if set(names) & BLOBS:
            detail = (
                "it holds ids of texts that are kept elsewhere, and no text; fetch the contents into a column first"
            )
            raise StageFailure("data:user:bad-source", name=spec.name, detail=detail)
        raise _missing(spec, "content", asked.get("content") or "content", names, where)
    extension = next((name for name in EXTENSION_COLUMNS if name in names), None)
    return Mapped(columns, title, extension)


def recognise(names: Sequence[str]) -> tuple[dict[str, str], str]:
    """(columns by role, the corpus's name or ""). An author that somebody added to a known corpus counts."""
    usual = {role: next((name for name in known if name in names), "") for role, known in USUAL.items()}
    found = {role: name for role, name in usual.items() if name}
    for schema in SCHEMAS:
        if schema.marks <= set(names):
            author = {"author": found["author"]} if "author" in found else {}
            return {**schema.columns, **author}, schema.title
    return found, ""


def text_of(value: Any) -> str | None:
    """A cell for people and rows; of a list, its distinct items joined as an SPDX expression."""
    if isinstance(value, (list, tuple)):
        items = sorted({str(item).strip() for item in value if item})
        return " AND ".join(items) or None
    return str(value).strip() or None if value is not None else None


def authors_of(value: Any) -> str | None:
    """A cell as `Name <address>`, several with semicolons between: a text, an object with name and email, or a list."""
    if isinstance(value, Mapping):
        name, address = text_of(value.get("name")), text_of(value.get("email"))
        return f"{name} <{address}>" if name and address else name or address
    if isinstance(value, (list, tuple)):
        return "; ".join(filter(None, map(authors_of, value))) or None
    return text_of(value)


def path_of(row: Mapping[str, Any], mapped: Mapped, fallback: str) -> str:
    """repository/path; without a column of paths `fallback` with the extension that the row's language has."""
    path = text_of(row.get(mapped.columns.get("path", "")))
    if path is None:
        return f"{fallback}.{_extension(row, mapped)}"
    repository = repository_name(text_of(row.get(mapped.columns.get("repository", ""))) or "")
    clean = "/".join(part for part in path.replace("\0", "").split("/") if part not in {"", ".", ".."})
    return clean if not repository or clean.startswith(f"{repository}/") else f"{repository}/{clean}"


def _extension(row: Mapping[str, Any], mapped: Mapped) -> str:
    language = named(text_of(row.get(mapped.columns.get("language", ""))) or "")
    given = text_of(row.get(mapped.extension or ""))
    return extension_of(language) if language else (given or "txt").lstrip(".")


def _missing(spec: SourceSpec, role: str, column: str, names: Sequence[str], where: str) -> StageFailure:
    known = ", ".join(names) or "none"
    return StageFailure(
        "data:user:missing-column", name=spec.name, where=where, role=role, column=column, known=known[:500]
    )
