"""Kind "folder" in an object store: every object below a prefix. A stamp is the store's own (an ETag where it has one)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from worker.data.sources.folder import SKIPPED_FOLDERS
from worker.data.sources.places import Place, Root, brief, digest, places, root_of
from worker.data.sources.reader import Found, Read
from worker.specs import SourceSpec


@dataclass(frozen=True)
class RemoteFolderReader:
    """Locators are names below the prefix."""

    spec: SourceSpec

    def list(self) -> Iterator[Found]:
        """Raises data:user:source-missing or source-unreachable when the prefix cannot be listed."""
        for place in self._places(root_of(self.spec.location)):
            name = place.name.encode("utf-8", "surrogateescape")
            yield Found(name.decode("utf-8", "backslashreplace"), name, place.size_bytes, place.stamp)

    def read(self, locators: Sequence[bytes], sizes: Sequence[int]) -> Sequence[Read]:
        """All at once: a shard's objects are small and each has its round trip."""
        root = root_of(self.spec.location)
        paths = [root.path_of(locator.decode("utf-8", "surrogateescape")) for locator in locators]
        found = root.fs.cat_ranges(paths, [0] * len(paths), [size + 1 for size in sizes], on_error="return")
        return [(None, brief(item)) if isinstance(item, BaseException) else (bytes(item), None) for item in found]

    def snapshot(self) -> str:
        return digest(self._places(root_of(self.spec.location)))

    def _places(self, root: Root) -> Sequence[Place]:
        found = places(root, self.spec.location, exclude=self.spec.exclude)
        return [place for place in found if not SKIPPED_FOLDERS & set(place.name.split("/"))]
