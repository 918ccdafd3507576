"""Kind "archive": members of tar and zip files, which sdists, wheels, crates and npm packages are.

A tar is passed through once in order and its members spooled; a zip's members are read in place. Bombs are met by two
bounds: what unpacks to more than MOST_TIMES its packed size (source code packs to 3-12 times, deflate's most is 1,032)
beyond a first FREE_BYTES, and the option max_unpacked_bytes for all archives of the source together. Members are never
written under their own names, so a path that climbs out reaches nothing; it is refused all the same, and links are not
followed. The member whose bytes do not fit their checksum is lost alone; a tar that breaks off ends there.

Whose an archive is, its package's metadata says (sources.packages); of one without any the repository is its own name.
"""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from tarfile import InvalidHeaderError, ReadError, TruncatedHeaderError  # type: ignore[attr-defined]
from typing import BinaryIO, Self, cast

from worker.data.sources.folder import SKIPPED_FOLDERS, is_excluded
from worker.data.sources.packages import LARGEST_BYTES, Said, rank_of, said_by
from worker.data.sources.places import Place, Root, brief, digest, places, root_of, unpacked
from worker.data.sources.reader import Found, Read
from worker.data.sources.spool import Spool, read_spooled
from worker.sources import option
from worker.specs import SourceSpec

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".crate", ".tar.bz2", ".tar.zst", ".tar.xz", ".txz")
ZIP_SUFFIXES = (".zip", ".whl", ".jar", ".nupkg")
SUFFIXES = (*TAR_SUFFIXES, *ZIP_SUFFIXES)
NESTED = (*SUFFIXES, ".gz", ".bz2", ".xz", ".zst", ".7z", ".rar")
MOST_TIMES, FREE_BYTES = 200, 16_000_000
# Far above the largest file that a recipe keeps; larger members are listed with their size and not held.
LARGEST_MEMBER_BYTES = 64_000_000
# Of a package's members its metadata is among the first few thousand; a tar of anything has none.
HELD_BACK, NO_RANK = 10_000, 99
TAR, ZIP = b"t", b"z"
_OFFSET = struct.Struct(">Q")
BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    OSError,
    EOFError,
    zlib.error,
    NotImplementedError,
    RuntimeError,
    ValueError,
)


class Bomb(Exception):
    """An archive unpacks to more than it may."""


@dataclass
class Meter:
    """How much has come out of the archives of a source, and out of this one against what went in."""

    limit: int
    total: int = 0
    unpacked: int = 0

    def start(self) -> None:
        self.unpacked = 0

    def add(self, n_bytes: int, packed: int) -> None:
        self.total += n_bytes
        self.unpacked += n_bytes
        if self.total > self.limit:
            raise Bomb(f"the archives hold more than the {self.limit:,} bytes that are allowed")
        if self.unpacked > FREE_BYTES + MOST_TIMES * packed:
            raise Bomb(f"it unpacks to more than {MOST_TIMES} times its size")


@dataclass(frozen=True)
class ArchiveReader:
    spec: SourceSpec
    scratch: Path | None = None

    def list(self) -> Iterator[Found]:
        """Raises StageFailure when the location cannot be reached."""
        root = root_of(self.spec.location)
        meter = Meter(option("archive", self.spec.options, "max_unpacked_bytes"))
        for place in self._places(root):
            meter.start()
            try:
                yield from self._members(root, place, meter)
            except Bomb as error:
                yield Found(place.name, place.name.encode(), problem="archive-bomb", detail=str(error))
            except BROKEN as error:
                yield Found(place.name, place.name.encode(), problem="corrupt-archive", detail=brief(error))

    def read(self, locators: Sequence[bytes], sizes: Sequence[int]) -> Sequence[Read]:
        found: dict[bytes, Read] = {}
        tars = [locator for locator in locators if locator[:1] == TAR]
        if tars and self.scratch is not None:
            found |= dict(zip(tars, read_spooled(self.scratch, [locator[1:] for locator in tars]), strict=True))
        by_archive: dict[bytes, dict[int, tuple[bytes, int]]] = {}
        for locator, size in zip(locators, sizes, strict=True):
            if locator[:1] == ZIP:
                offset = _OFFSET.unpack(locator[-_OFFSET.size :])[0]
                by_archive.setdefault(locator[1 : -_OFFSET.size - 1], {})[offset] = (locator, size)
        if by_archive:
            root = root_of(self.spec.location)
            for name, wanted in by_archive.items():
                found |= _read_zip(root, name.decode("utf-8", "surrogateescape"), wanted)
        return [found.get(locator, (None, "larger than any recipe keeps")) for locator in locators]

    def snapshot(self) -> str:
        return digest(self._places(root_of(self.spec.location)))

    def _places(self, root: Root) -> Sequence[Place]:
        return places(root, self.spec.location, SUFFIXES)

    def _members(self, root: Root, place: Place, meter: Meter) -> Iterator[Found]:
        if _is_zip(root, place):
            found = _zip_members(root, place, meter)
        else:
            if self.scratch is None:
                raise ValueError("a tar needs a scratch folder")
            found = _tar_members(root, place, meter, Spool(self.scratch, f"{self.spec.name}\0{place.name}"))
        for item in found:
            if not SKIPPED_FOLDERS & set(item.path.split("/")) and not is_excluded(item.path, self.spec.exclude):
                yield item


def _is_zip(root: Root, place: Place) -> bool:
    """By its first bytes: a package's name may end in anything."""
    with root.open(place.name) as file:
        return file.read(4) in {b"PK\x03\x04", b"PK\x05\x06"}


# ---- tar -------------------------------------------------------------------------------------------------------------


def _tar_members(root: Root, place: Place, meter: Meter, spool: Spool) -> Iterator[Found]:
    whose = _Whose(place)
    with root.open(place.name) as packed, spool:
        metered = _Metered(packed, place.name, meter)
        with tarfile.open(fileobj=cast("BinaryIO", metered), mode="r|", encoding="utf-8", tarinfo=_Strict) as tar:
            try:
                while (member := tar.next()) is not None:
                    if not member.isdir():
                        yield from whose.hold(_tar_member(tar, member, place, spool, whose))
                    tar.members = []  # type: ignore[attr-defined]  # tarfile keeps them all, which for a large archive is its memory
            except (Bomb, *BROKEN):
                yield from whose.release()
                raise
            yield from whose.release()


@dataclass
class _Whose:
    """Members of a tar wait until it is known whose they are: its metadata may lie anywhere in it. At most HELD_BACK wait."""

    place: Place
    rank: int = NO_RANK
    said: Said = field(default_factory=Said)
    held: list[Found] = field(default_factory=list)

    def look(self, member: str, content: bytes) -> None:
        rank = rank_of(member)
        if rank is not None and rank < self.rank and len(content) <= LARGEST_BYTES:
            self.rank, self.said = rank, said_by(rank, content)

    def hold(self, item: Found) -> Iterator[Found]:
        self.held.append(item)
        if len(self.held) >= HELD_BACK:
            yield from self.release()

    def release(self) -> Iterator[Found]:
        held, self.held = self.held, []
        repository = self.said.repository or _package(self.place)
        yield from (replace(item, repository=repository, author=self.said.author) for item in held)


def _tar_member(tar: tarfile.TarFile, member: tarfile.TarInfo, place: Place, spool: Spool, whose: _Whose) -> Found:
    path, problem, detail = _named(member.name, place)
    if member.issym() or member.islnk():
        problem = "symlink"
    elif not member.isreg():
        problem = "special-file"
    if problem is not None or member.size > LARGEST_MEMBER_BYTES:
        return Found(path, b"-" + path.encode(), member.size, place.stamp, problem, detail)
    file = tar.extractfile(member)
    content = file.read() if file is not None else b""
    if len(content) != member.size:
        raise EOFError(f"it breaks off in {path}")
    whose.look(member.name, content)
    return Found(path, TAR + spool.add(content), len(content), place.stamp)


class _Strict(tarfile.TarInfo):
    """A damaged header is an error: tarfile itself takes it for the archive's end, and drops what follows unsaid."""

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(tarfile)
        except (InvalidHeaderError, TruncatedHeaderError) as error:
            raise ReadError(f"it is damaged after {tarfile.offset:,} bytes: {error}") from error


class _Metered(io.RawIOBase):
    """The unpacked bytes of a file, counted against the packed ones that were taken for them."""

    def __init__(self, packed: BinaryIO, name: str, meter: Meter) -> None:
        super().__init__()
        self.packed, self.meter = packed, meter
        stream = unpacked(packed, name)
        self.take: Callable[[int], bytes] = getattr(
            stream, "read1", stream.read
        )  # read1 gives what there is before damage

    def read(self, size: int = -1) -> bytes:
        block = self.take(size)
        self.meter.add(len(block), self.packed.tell())
        return block


# ---- zip -------------------------------------------------------------------------------------------------------------


def _zip_members(root: Root, place: Place, meter: Meter) -> Iterator[Found]:
    with root.open(place.name) as file, zipfile.ZipFile(file) as archive:
        said = _said_in(archive)
        repository = said.repository or _package(place)
        for info in archive.infolist():
            if info.is_dir():
                continue
            path, problem, detail = _named(info.filename, place)
            if info.external_attr >> 28 == 0o12:  # the upper half is the Unix mode; 0o12 its type of a link
                problem = "symlink"
            elif info.flag_bits & 1:
                problem, detail = "corrupt-member", "it is encrypted"
            if problem is None:
                meter.add(info.file_size, place.size_bytes)
            locator = ZIP + place.name.encode("utf-8", "surrogateescape") + b"\0" + _OFFSET.pack(info.header_offset)
            yield Found(
                path, locator, info.file_size, place.stamp, problem, detail, repository=repository, author=said.author
            )


def _said_in(archive: zipfile.ZipFile) -> Said:
    ranked = [(rank_of(info.filename), info) for info in archive.infolist() if info.file_size <= LARGEST_BYTES]
    known = [(rank, info) for rank, info in ranked if rank is not None and not info.is_dir()]
    if not known:
        return Said()
    rank, info = min(known, key=lambda item: (item[0], item[1].filename))
    content, _ = _read_member(archive, info, info.file_size)
    return said_by(rank, content or b"")


def _read_zip(root: Root, name: str, wanted: dict[int, tuple[bytes, int]]) -> dict[bytes, Read]:
    try:
        with root.open(name) as file, zipfile.ZipFile(file) as archive:
            by_offset = {info.header_offset: info for info in archive.infolist()}
            return {
                locator: _read_member(archive, by_offset.get(offset), size)
                for offset, (locator, size) in sorted(wanted.items())
            }
    except BROKEN as error:
        return {locator: (None, brief(error)) for locator, _ in wanted.values()}


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo | None, size: int) -> Read:
    """At most one byte more than the size that was listed comes out, whatever the member would unpack to."""
    if info is None:
        return None, "changed since it was listed"
    try:
        with archive.open(info) as member:
            return member.read(size + 1), None
    except BROKEN as error:
        return None, brief(error)


# ---- names -----------------------------------------------------------------------------------------------------------


def _named(name: str, place: Place) -> tuple[str, str | None, str | None]:
    """(path with the archive's own in front, reason, detail) of a member."""
    raw = name.replace("\\", "/").encode("utf-8", "surrogateescape")
    shown = raw.decode("utf-8", "backslashreplace")
    path = f"{place.name}/{shown.removeprefix('./')}"
    parts = PurePosixPath(shown).parts
    if shown.startswith("/") or ".." in parts or "\0" in shown:
        return path.replace("\0", "\\x00"), "unsafe-path", "its path leads out of the archive"
    if shown.lower().endswith(NESTED):
        return path, "nested-archive", None
    return path, None, None


def _package(place: Place) -> str:
    """An archive's name without its suffix: what a package calls itself, with its version."""
    name = place.name.rpartition("/")[2]
    suffix = next((each for each in sorted(SUFFIXES, key=len, reverse=True) if name.lower().endswith(each)), "")
    return name[: len(name) - len(suffix)] if suffix else name
