"""Kind "huggingface": the files of a dataset repository, of the hub or of the same layout on disk.

Which files a configuration has is read as the hub reads it: `configs` in the README's YAML head (data_files as a pattern,
a list, or by split; data_dir), else by the names of files and folders. A dataset's own script is never run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from worker.data.sources.folder import is_excluded
from worker.data.sources.places import Place, Root, answering, places, root_of
from worker.data.sources.tables import SUFFIXES
from worker.failures import StageFailure
from worker.sources import option
from worker.specs import SourceSpec

HEAD = re.compile(r"\A---\s*\n(.*?)\n---\s*(\n|\Z)", re.DOTALL)
SPLITS = {
    "train": ("train", "training"),
    "test": ("test", "testing", "eval", "evaluation"),
    "validation": ("validation", "valid", "dev", "val"),
}


@dataclass(frozen=True)
class HubDataset:
    """Which files a source of this kind means."""

    spec: SourceSpec

    def root(self) -> Root:
        location = self.spec.location
        if location.startswith("/"):
            return root_of(location)
        name = location.removeprefix("hf://").removeprefix("datasets/")
        revision = self._option("revision")
        return root_of(f"hf://datasets/{name}@{revision}" if revision and "@" not in name else f"hf://datasets/{name}")

    def files(self, root: Root) -> Sequence[Place]:
        """Raises data:user:bad-source for a configuration or split that is not there."""
        config = self._config(_configs(root, self.spec.location))
        patterns = self._patterns(config)
        found = [place for place in places(root, self.spec.location) if not is_excluded(place.name, self.spec.exclude)]
        below = self._option("data_dir") or str(config.get("data_dir") or "")
        chosen = [place for place in found if _is_below(place.name, below)]
        chosen = _matching(chosen, patterns) if patterns else _of_split(chosen, self._split)
        readable = [place for place in chosen if place.name.lower().endswith(SUFFIXES)]
        if not readable:
            raise self._refuse(f"no Parquet or JSON-lines file belongs to its split {self._split}")
        return readable

    @property
    def _split(self) -> str:
        return self._option("split")

    def _option(self, name: str) -> str:
        return str(option("huggingface", self.spec.options, name) or "")

    def _config(self, configs: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        asked = self._option("config")
        named = {str(config.get("config_name", "default")): config for config in configs}
        if asked and asked not in named:
            raise self._refuse(f"it has no configuration {asked}; it has {', '.join(named) or 'none'}")
        first: Mapping[str, Any] = configs[0] if configs else {}
        marked = next((config for config in configs if config.get("default")), first)
        return named.get(asked or "default", marked)

    def _patterns(self, config: Mapping[str, Any]) -> list[str]:
        files = config.get("data_files")
        if isinstance(files, list) and all(isinstance(item, Mapping) for item in files):
            by_split = {str(item.get("split")): _as_list(item.get("path")) for item in files}
            if self._split not in by_split:
                raise self._refuse(f"it has no split {self._split}; it has {', '.join(by_split)}")
            return by_split[self._split]
        return _as_list(files)

    def _refuse(self, detail: str) -> StageFailure:
        return StageFailure("data:user:bad-source", name=self.spec.name, detail=detail)


def _configs(root: Root, location: str) -> list[Mapping[str, Any]]:
    def look() -> str:
        if not root.fs.exists(root.path_of("README.md")):
            return ""
        with root.open("README.md") as file:
            return file.read(1_000_000).decode("utf-8", "replace")

    head = HEAD.match(answering(location, look).replace("\r\n", "\n"))
    try:
        about = yaml.safe_load(head[1]) if head else {}
    except yaml.YAMLError:
        about = {}
    configs = about.get("configs") if isinstance(about, Mapping) else None
    return [config for config in configs or [] if isinstance(config, Mapping)]


def _as_list(value: Any) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else [str(value)] if value else []


def _is_below(name: str, folder: str) -> bool:
    return not folder.strip("/.") or name.startswith(f"{folder.strip('/')}/")


def _matching(found: Sequence[Place], patterns: Sequence[str]) -> list[Place]:
    tests = [_expression(pattern.removeprefix("./")) for pattern in patterns]
    return [place for place in found if any(test.fullmatch(place.name) for test in tests)]


def _expression(pattern: str) -> re.Pattern[str]:
    """A data_files pattern: ** crosses folders, * and ? stay in one."""
    return re.compile("".join(_piece(token) for token in _tokens(pattern)))


def _tokens(pattern: str) -> Iterator[str]:
    yield from re.findall(r"\*\*/|\*\*|\*|\?|\[[^\]]*\]|[^*?\[]+|\[", pattern)


def _piece(token: str) -> str:
    wild = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return wild.get(token) or (token if token.startswith("[") and len(token) > 1 else re.escape(token))


def _of_split(found: Sequence[Place], split: str) -> list[Place]:
    """Without configs: files whose name has the split's word; where none has any split's, all of them are `train`."""
    words = SPLITS.get(split, (split,))
    chosen = [place for place in found if _has_word(place.name, words)]
    any_split = [word for names in SPLITS.values() for word in names]
    if not chosen and split == "train" and not any(_has_word(place.name, any_split) for place in found):
        return list(found)
    return chosen


def _has_word(name: str, words: Sequence[str]) -> bool:
    return bool(set(re.split(r"[-._/ 0-9]+", name.lower())) & set(words))
