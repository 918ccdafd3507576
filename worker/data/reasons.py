"""Why a file did not become a document: every reason code, the step that gives it, and its wording.

A reason is a slug; `measured` beside it in dropped.parquet is the number the step looked at, in the unit named here.
"""

from __future__ import annotations

from typing import NamedTuple


class Reason(NamedTuple):
    """`unit` says what `measured` counts; empty where there is no number."""

    step: str
    text: str
    unit: str = ""


REASONS: dict[str, Reason] = {
    "unreadable-folder": Reason("walk", "The folder could not be listed."),
    "symlink": Reason(
        "walk", "A symbolic link: inside the source its target is read at its own place, outside it is not ours."
    ),
    "special-file": Reason("walk", "Neither a file nor a folder (a pipe, socket or device)."),
    "unknown-language": Reason("language", "The extension is not in the table of languages."),
    "language-not-asked": Reason("language", "A language that the recipe leaves out."),
    "too-small": Reason("size", "Smaller than the recipe's smallest file.", "bytes"),
    "too-large": Reason("size", "Larger than the recipe's largest file.", "bytes"),
    "not-sampled": Reason("sample", "Beyond the total size asked for; the sample is drawn by hash.", "bytes"),
    "unreadable-file": Reason("read", "The file could not be read."),
    "binary": Reason("encoding", "Holds a NUL byte, so it is not text.", "byte offset of the first NUL"),
    "not-utf8": Reason("encoding", "Not UTF-8.", "byte offset of the first bad byte"),
    "long-line": Reason("lines", "Its longest line is longer than the recipe allows.", "characters"),
    "long-mean-line": Reason("lines", "Its lines are longer on average than the recipe allows.", "characters"),
    "few-alphanumerics": Reason("lines", "Too small a share of its characters are letters or digits.", "share"),
    "duplicate": Reason("deduplication", "Equal content was kept under another path or source."),
    "bad-row": Reason("feedback", "The line is not an object with the fields of a completion.", "line number"),
    "repeated-row": Reason("feedback", "The same completion came twice, or the base dataset has it already."),
    "not-accepted": Reason("feedback", "Nobody accepted this completion."),
}

STEPS: tuple[str, ...] = (
    "feedback",
    "walk",
    "language",
    "size",
    "sample",
    "read",
    "encoding",
    "lines",
    "redaction",
    "deduplication",
)
