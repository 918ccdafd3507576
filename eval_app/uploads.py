"""Files from a browser, kept in storage under their hash: a suite, checked as JSON lines, or another harness's results.

Whether each line is a problem is said by the worker, which knows the formats; what it cannot read at all is refused here.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from django.conf import settings

from controlplane.access.refusals import Refused
from worker import manifest

MOST_BYTES = 20_000_000  # as it is sent; HumanEval in 18 languages is 7 MB
MOST_PLAIN_BYTES = 200_000_000  # unpacked: a gzip file of 200 kB can hold as much
SUFFIXES = (".jsonl", ".jsonl.gz")
_PLAIN_NAME = re.compile(r"\w[\w.,:+@= -]{0,199}")


def keep(file_name: str, content: bytes) -> str:
    """The address of the file in storage. Raises Refused, naming the line, for what is no file of JSON objects."""
    suffix = next((item for item in reversed(SUFFIXES) if file_name.endswith(item)), None)
    if suffix is None:
        raise Refused("Choose a .jsonl or .jsonl.gz file.")
    if len(content) > MOST_BYTES:
        raise Refused(f"The file has {len(content) / 1e6:.1f} MB; at most {MOST_BYTES / 1e6:.0f} MB are taken.")
    _check(_plain(content) if suffix.endswith(".gz") else content)
    return f"{keep_files({f'problems{suffix}': content}, 'suite').uri}/problems{suffix}"


def keep_files(files: Mapping[str, bytes], noun: str) -> manifest.Artifact:
    """A folder of `files` by name, in storage among those of its `noun`. Raises Refused for a name that is no plain one."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / noun
        folder.mkdir()
        for name, content in files.items():
            if not _PLAIN_NAME.fullmatch(name):
                raise Refused(f"The file's name {name!r} is not one to keep: use letters, digits, dots and dashes.")
            (folder / name).write_bytes(content)
        return manifest.publish(folder, settings.STORAGE_URL, noun)


def _plain(content: bytes) -> bytes:
    try:
        with gzip.open(io.BytesIO(content)) as packed:
            plain = packed.read(MOST_PLAIN_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise Refused(f"The file cannot be unpacked: {error}.") from error
    if len(plain) > MOST_PLAIN_BYTES:
        raise Refused(f"Unpacked the file has more than {MOST_PLAIN_BYTES / 1e6:.0f} MB.")
    return plain


def _check(plain: bytes) -> None:
    seen = 0
    for number, line in enumerate(plain.splitlines(), start=1):
        if line.strip():
            _check_line(line, number)
            seen += 1
    if not seen:
        raise Refused("The file holds no problem.")


def _check_line(line: bytes, number: int) -> None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Refused(f"Line {number} is not JSON: {error}.") from error
    if not isinstance(row, dict):
        raise Refused(f"Line {number} is no object with a problem's fields.")
