"""A suite's file from a browser: checked as JSON lines, then kept in storage under its hash.

Whether each line is a problem is said by the worker, which knows the formats; what it cannot read at all is refused here.
"""

from __future__ import annotations

import gzip
import io
import json
import tempfile
import zlib
from pathlib import Path

from django.conf import settings

from controlplane.access.refusals import Refused
from worker import manifest

MOST_BYTES = 20_000_000  # as it is sent; HumanEval in 18 languages is 7 MB
MOST_PLAIN_BYTES = 200_000_000  # unpacked: a gzip file of 200 kB can hold as much
SUFFIXES = (".jsonl", ".jsonl.gz")


def keep(file_name: str, content: bytes) -> str:
    """The address of the file in storage. Raises Refused, naming the line, for what is no file of JSON objects."""
    suffix = next((item for item in reversed(SUFFIXES) if file_name.endswith(item)), None)
    if suffix is None:
        raise Refused("Choose a .jsonl or .jsonl.gz file.")
    if len(content) > MOST_BYTES:
        raise Refused(f"The file has {len(content) / 1e6:.1f} MB; at most {MOST_BYTES / 1e6:.0f} MB are taken.")
    _check(_plain(content) if suffix.endswith(".gz") else content)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "suite"
        folder.mkdir()
        (folder / f"problems{suffix}").write_bytes(content)
        artifact = manifest.publish(folder, settings.STORAGE_URL, "suite")
    return f"{artifact.uri}/problems{suffix}"


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
