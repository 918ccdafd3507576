"""The Procfile: `name: command` lines. Variables come from the environment; no shell runs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

from controlplane.pipeline.services.accounts import ServiceError

LINE = re.compile(r"^(?P<name>[a-z][a-z0-9-]*):\s*(?P<command>\S.*)$")


@dataclass(frozen=True)
class Entry:
    name: str
    command: str

    def argv(self, environment: Mapping[str, str]) -> list[str]:
        """The command's words with $NAMES filled in. Raises ServiceError for a name that is not in `environment`."""
        try:
            return [Template(word).substitute(environment) for word in shlex.split(self.command)]
        except KeyError as missing:
            raise ServiceError(f"Procfile: {self.name} needs ${missing.args[0]}, which is not set.") from None


def read_procfile(file: Path) -> list[Entry]:
    """The entries in order. Raises ServiceError, with its number, for a line that is none or repeats a name."""
    entries: dict[str, Entry] = {}
    for number, line in enumerate(file.read_text().splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        found = LINE.match(line)
        if found is None:
            raise ServiceError(f"{file.name}, line {number}: expected `name: command`, found {line!r}.")
        if found["name"] in entries:
            raise ServiceError(f"{file.name}, line {number}: there is a process {found['name']!r} already.")
        entries[found["name"]] = Entry(found["name"], found["command"])
    return list(entries.values())
