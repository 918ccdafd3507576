"""A real corpus of source code out of packages of the registries: bench/corpus.txt is the list.

    python -m bench.corpus FOLDER [--megabytes 450]

Packages are loaded one after another, with the registries' own clients as this machine has them set up, until the
corpus is full; what was loaded stays in FOLDER/archives. One whose registry or package is not there is said and passed
over. A file is taken if it is UTF-8 text of at most a megabyte in a language that we know; of a package at most a
sixteenth of the corpus is taken and of a language an eighth, by a hash of their names. The result is zstd Parquet with the
columns repo_name, path, language, license and content: the same files are read by all sides.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tarfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from worker.data.languages import language_of

LIST = Path(__file__).with_name("corpus.txt")
MOST_BYTES = 1_000_000
PER_PACKAGE, PER_LANGUAGE = 1 / 16, 1 / 8
ROWS_PER_FILE = 4_000
CONFIGURATION = Path("/etc/apt")
PATIENCE_SECONDS = 300
SCHEMA = pa.schema([(name, pa.string()) for name in ("repo_name", "path", "language", "license", "content")])


@dataclass(frozen=True)
class Package:
    registry: str
    name: str
    version: str

    @property
    def folder(self) -> str:
        return f"{self.registry}-{self.name.replace('/', '-').lstrip('@')}-{self.version}"


@dataclass
class Corpus:
    """Rows so far, against the limits of a corpus of `wanted` bytes."""

    wanted: int
    rows: list[dict[str, str]] = field(default_factory=list)
    n_bytes: int = 0
    by_language: Counter[str] = field(default_factory=Counter)

    @property
    def is_full(self) -> bool:
        return self.n_bytes >= self.wanted

    def add(self, package: Package, texts: dict[str, str]) -> int:
        """Bytes taken of a package."""
        taken = 0
        for path in sorted(texts, key=lambda path: hashlib.sha256(path.encode()).digest()):
            language, size = str(language_of(path)), len(texts[path].encode())
            too_much = self.by_language[language] + size > PER_LANGUAGE * self.wanted
            if too_much or taken + size > PER_PACKAGE * self.wanted or self.is_full:
                continue
            self.by_language[language] += size
            self.n_bytes, taken = self.n_bytes + size, taken + size
            row = {"repo_name": f"{package.registry}/{package.name}", "path": path, "language": language}
            self.rows.append({**row, "license": "unknown", "content": texts[path]})
        return taken


def build(folder: Path, megabytes: int) -> Path:
    """The folder of Parquet files, made if it is not there yet. Raises SystemExit when the list gives too little."""
    made = folder / f"corpus-{megabytes}"
    if (made / "done").exists():
        return made
    corpus = Corpus(megabytes * 1_000_000)
    for package in packages():
        if corpus.is_full:
            break
        archives = load(package, folder / "archives")
        taken = corpus.add(package, texts_of(archives)) if archives else 0
        print(f"corpus: {corpus.n_bytes / 1e6:6.1f} MB; {package.folder} gave {taken / 1e6:.1f}", flush=True)
    if corpus.n_bytes < 0.9 * corpus.wanted:
        raise SystemExit(f"the packages gave {corpus.n_bytes / 1e6:.0f} of {megabytes} MB: add to {LIST.name}")
    write(corpus.rows, made)
    (made / "done").touch()
    return made


def write(rows: list[dict[str, str]], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, start in enumerate(range(0, len(rows), ROWS_PER_FILE)):
        table = pa.Table.from_pylist(rows[start : start + ROWS_PER_FILE], SCHEMA)
        pq.write_table(table, folder / f"part-{number:03d}.parquet", compression="zstd", row_group_size=1_000)


def packages() -> list[Package]:
    lines = [line.split() for line in LIST.read_text().splitlines() if line and not line.startswith("#")]
    return [Package(*line) for line in lines]


def load(package: Package, folder: Path) -> list[Path]:
    """Its archives; [] where the client has none, which is said."""
    target = folder / package.folder
    if not (target / "done").exists():
        target.mkdir(parents=True, exist_ok=True)
        try:
            _ask(_command(package, target), target)
        except (OSError, subprocess.SubprocessError) as error:
            print(f"corpus: {package.folder} could not be loaded: {_last_line(error)}", flush=True)
            return []
        (target / "done").touch()
    return sorted(path for path in target.iterdir() if path.suffix in {".whl", ".tgz", ".gz", ".xz", ".bz2"})


def _command(package: Package, target: Path) -> list[str]:
    if package.registry == "pypi":
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        return [*pip, "--dest", str(target), f"{package.name}=={package.version}"]
    if package.registry == "npm":
        return ["npm", "pack", "--silent", "--pack-destination", str(target), f"{package.name}@{package.version}"]
    return [
        "apt-get",
        *_of_sources(target.parent),
        "--quiet",
        "--download-only",
        "--only-source",
        "source",
        package.name,
    ]


def _of_sources(folder: Path) -> list[str]:
    """apt's options for an index of source packages of our own, from the mirrors that the machine's apt is set to."""
    own = folder / "apt"
    options = [f"Dir::State::lists={own / 'lists'}", f"Dir::Etc::sourcelist={own / 'none.list'}"]
    options += [f"Dir::Etc::sourceparts={own / 'parts'}", f"Dir::Cache={own / 'cache'}", "APT::Sandbox::User="]
    given = [part for option in options for part in ("-o", option)]
    if not (own / "done").exists():
        for name in ("lists/partial", "parts", "cache/archives/partial"):
            (own / name).mkdir(parents=True, exist_ok=True)
        for file in (CONFIGURATION / "sources.list", *sorted((CONFIGURATION / "sources.list.d").glob("*"))):
            if file.is_file():
                lines = file.read_text().replace("Types: deb\n", "Types: deb-src\n").splitlines()
                text = "\n".join(f"deb-src{line[3:]}" if line.startswith("deb ") else line for line in lines)
                (own / "parts" / file.name).write_text(f"{text}\n")
        _ask(["apt-get", *given, "--quiet", "update"], own)
        (own / "done").touch()
    return given


def _ask(command: list[str], folder: Path) -> None:
    subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=PATIENCE_SECONDS)


def _last_line(error: Exception) -> str:
    said = str(getattr(error, "stderr", "") or error).strip().splitlines()
    return said[-1][:200] if said else type(error).__name__


# ---- archives --------------------------------------------------------------------------------------------------------


def texts_of(archives: list[Path]) -> dict[str, str]:
    """Path -> text of the files worth having."""
    texts: dict[str, str] = {}
    for archive in archives:
        for path, raw in _files(archive):
            try:
                texts[path.removeprefix("./")] = raw.decode()
            except UnicodeDecodeError:
                continue
    return texts


def _files(archive: Path) -> Iterator[tuple[str, bytes]]:
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as file:
            for entry in file.infolist():
                if _is_wanted(entry.filename, entry.file_size):
                    yield entry.filename, file.read(entry)
        return
    with tarfile.open(archive) as file:
        for member in file:
            opened = file.extractfile(member) if member.isfile() and _is_wanted(member.name, member.size) else None
            if opened is not None:
                yield member.name, opened.read()


def _is_wanted(path: str, size: int) -> bool:
    return 0 < size <= MOST_BYTES and language_of(path) is not None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--megabytes", type=int, default=450)
    asked = parser.parse_args()
    print(build(asked.folder.resolve(), asked.megabytes))


if __name__ == "__main__":
    main()
