"""The kinds of source: what each is, what its location means and which options it takes.

Pure data, shared by the control plane (which draws the add-a-source page from it) and the worker (whose readers in
worker.data.sources follow it). `problem` says what is wrong with a source as asked, before anything is opened.
Credentials are no options: readers find them in the worker's environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

# What a column of a table can be to us; `content` is needed, the others are taken where they are.
ROLES = ("content", "path", "language", "license", "repository", "author")
# Addresses that readers follow. No http: a member could make the worker ask machines that only it can reach.
SCHEMES = ("", "file", "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "hf")


@dataclass(frozen=True)
class Option:
    """type: text or integer. `default` None: the option may be left out and then means what `help` says."""

    name: str
    title: str
    help: str
    type: str = "text"
    default: str | int | None = None
    minimum: int | None = None


@dataclass(frozen=True)
class Kind:
    """`has_columns`: its rows are a table's, whose columns may be mapped by the option `columns` ({role: column})."""

    name: str
    title: str
    about: str
    location: str
    example: str
    options: tuple[Option, ...] = ()
    has_columns: bool = False
    is_local: bool = False


UNPACKED = Option(
    "max_unpacked_bytes",
    "At most unpacked, bytes",
    "The rest of an archive that holds more is refused.",
    "integer",
    20_000_000_000,
    1,
)
KINDS: tuple[Kind, ...] = (
    Kind(
        "folder",
        "Folder",
        "Every file below a folder, or below a prefix of an object store. Links are not followed.",
        "An absolute path that the workers see, or s3://bucket/prefix.",
        "/srv/code/checkouts",
    ),
    Kind(
        "git",
        "Git repository",
        "The files that a commit tracks, read from the repository's objects: changes that are not committed are not in, "
        "no hook or filter runs, and submodules and LFS files are named as such.",
        "An absolute path of a working tree or a bare repository.",
        "/srv/code/checkouts/library",
        (Option("revision", "Revision", "A branch, tag or commit.", default="HEAD"),),
        is_local=True,
    ),
    Kind(
        "archive",
        "Archives",
        "Members of tar, zip, sdist, wheel, crate and npm files. A corrupt member costs that member only; archives in "
        "archives are not opened; what unpacks to far more than it should is refused.",
        "One archive, a folder of them, or a pattern; on disk or in an object store.",
        "/srv/packages/*.tgz",
        (UNPACKED,),
    ),
    Kind(
        "jsonl",
        "JSON lines",
        "One JSON object a line, plain or packed as .gz or .zst. Its keys are columns.",
        "A file, a folder or a pattern; on disk or in an object store.",
        "/srv/corpora/code-*.jsonl.gz",
        has_columns=True,
    ),
    Kind(
        "parquet",
        "Parquet",
        "One row a file of code. The columns of The Stack, StarCoder and similar corpora are known by name.",
        "A file, a folder or a pattern; on disk or in an object store.",
        "s3://corpora/the-stack/data/python/*.parquet",
        has_columns=True,
    ),
    Kind(
        "huggingface",
        "Hugging Face dataset",
        "A dataset of the hub, or the same layout on disk: the files that its README's configs name, else those of its "
        "data folder. Parquet and JSON lines; no dataset script is run.",
        "owner/name, hf://datasets/owner/name, or an absolute path.",
        "bigcode/the-stack-smol",
        (
            Option("config", "Configuration", "Of its README's configs; empty takes the default one."),
            Option("split", "Split", "Which of its splits.", default="train"),
            Option("revision", "Revision", "A branch, tag or commit of the hub; empty takes main."),
            Option("data_dir", "Folder in it", "Only files below it, for example data/python."),
        ),
        has_columns=True,
    ),
    Kind(
        "delta",
        "Delta Lake table",
        "The live files of a table at one version. A table with deletion vectors or renamed columns is read by the "
        "workers' Spark server (SPARK_REMOTE); without one it is refused.",
        "The table's folder, on disk or in an object store.",
        "s3://lake/code/files",
        (Option("version", "Version", "A version's number; empty takes the newest.", "integer", None, 0),),
        has_columns=True,
    ),
    Kind(
        "unity",
        "Unity Catalog table",
        "A Delta table that a Unity Catalog names. Address and token of the catalog come from the worker's "
        "environment (DATABRICKS_HOST and DATABRICKS_TOKEN, or UNITY_CATALOG_URL and UNITY_CATALOG_TOKEN).",
        "catalog.schema.table",
        "main.code.files",
        (Option("version", "Version", "A version's number; empty takes the newest.", "integer", None, 0),),
        has_columns=True,
    ),
    Kind(
        "stackoverflow",
        "Stack Overflow posts",
        "The code blocks of answers in a Posts.xml of the public dump, one document an answer. Each has the CC BY-SA "
        "version of its day and its author; its language is that of the block or of the question's tags.",
        "Posts.xml, plain or as .gz or .zst. Unpack the .7z first.",
        "/srv/dumps/stackoverflow.com/Posts.xml",
        (
            Option("min_score", "Least score", "Answers below it are left out.", "integer", 1),
            Option("min_code_characters", "Least code, characters", "Of all blocks of an answer.", "integer", 80, 1),
        ),
    ),
    Kind(
        "feedback",
        "Accepted completions",
        "What people accepted in the playground: the feedback rows of a dataset version that an export made.",
        "The dataset version's folder, as its page names it.",
        "/srv/yard/storage/dataset/0123456789abcdef",
    ),
)
BY_NAME: dict[str, Kind] = {kind.name: kind for kind in KINDS}


def problem(kind: str, location: str, options: Mapping[str, Any]) -> str | None:
    """What is wrong with a source as asked, in words; None when it can be tried."""
    known = BY_NAME.get(kind)
    if known is None:
        return f"there is no kind of source called {kind}; known are {', '.join(BY_NAME)}"
    return _location_problem(known, location) or _options_problem(known, options)


def model_problem(location: str) -> str | None:
    """What is wrong with the address of a published model (worker.pretrained.place); None when nothing is."""
    if location.startswith("hf:") and not location.startswith("hf://"):
        name = location.removeprefix("hf:").partition("@")[0].split("/")
        is_named = len(name) in {2, 3} and all(name) and (len(name) == 2 or name[2].lower().endswith(".gguf"))
        return None if is_named else "name the repository as hf:org/name, or hf:org/name/file.gguf"
    scheme = scheme_of(location)
    if (
        scheme in {"file", "hf"}
        or scheme not in SCHEMES
        or "::" in location
        or not (scheme or location.startswith("/"))
    ):
        return "give an absolute path, the address of an object store such as s3://bucket/folder, or hf:org/name"
    if "@" in urlsplit(location).netloc:
        return "leave credentials out of the address; they come from the worker's environment"
    return None


def option(kind: str, options: Mapping[str, Any], name: str) -> Any:
    """What was given, else the catalogue's default."""
    default = next(each.default for each in BY_NAME[kind].options if each.name == name)
    given = options.get(name)
    return default if given is None else given


def scheme_of(location: str) -> str:
    """The part before ://, in lower case; empty for a path."""
    return urlsplit(location).scheme.lower() if "://" in location else ""


def repository_name(text: str) -> str:
    """The one name that a repository goes by, whether a corpus, a package or a person wrote it.

    An address loses its scheme, user, password, port and `.git`; github.com is left out, as the corpora that were made of it
    leave it out: `git@github.com:ada/tool.git` -> `ada/tool`, `https://forge.example/team/tool/` -> `forge.example/team/tool`.
    What is no address stays as it is, patterns too.
    """
    name = text.strip().removeprefix("git+").removeprefix("scm:git:")
    if "://" in name:
        address, _, path = name.partition("://")[2].partition("/")
        name = f"{_host(address)}/{path.partition('?')[0].partition('#')[0]}"
    elif "@" in name.partition("/")[0] and ":" in name:  # scp's form, as git clones by ssh
        address, _, path = name.partition(":")
        name = f"{_host(address)}/{path}"
    return name.strip("/").removesuffix(".git").removeprefix("www.").removeprefix("github.com/")


def _host(address: str) -> str:
    return address.rpartition("@")[2].partition(":")[0].lower()


def _location_problem(kind: Kind, location: str) -> str | None:
    scheme = scheme_of(location)
    if kind.name == "unity":
        is_name = location.count(".") == 2 and all(location.split("."))
        return None if is_name else "name the table as catalog.schema.table"
    if scheme not in SCHEMES or "::" in location:
        return f"addresses of the form {location.split(':')[0]}: are not read"
    if "@" in urlsplit(location).netloc and scheme != "hf":
        return "leave credentials out of the address; they come from the worker's environment"
    if kind.is_local and scheme:
        return "give a path: this kind is read from disk"
    if scheme or location.startswith("/") or (kind.name == "huggingface" and location.count("/") == 1):
        return None
    return "give an absolute path: workers do not share your working folder"


def _options_problem(kind: Kind, options: Mapping[str, Any]) -> str | None:
    allowed = {option.name: option for option in kind.options}
    for name, value in options.items():
        if name == "columns" and kind.has_columns:
            if found := _columns_problem(value):
                return found
        elif name not in allowed:
            return f"a source of kind {kind.name} has no option {name}"
        elif found := _value_problem(allowed[name], value):
            return found
    return None


def _columns_problem(columns: Any) -> str | None:
    if not isinstance(columns, Mapping) or not all(isinstance(name, str) for name in columns.values()):
        return "columns must map roles to names of columns"
    unknown = sorted(set(columns) - set(ROLES))
    return f"columns can be {', '.join(ROLES)}, not {', '.join(unknown)}" if unknown else None


def _value_problem(option: Option, value: Any) -> str | None:
    if value is None and option.default is None:
        return None
    if option.type == "integer":
        if not isinstance(value, int) or isinstance(value, bool):
            return f"{option.name} must be a whole number, not {value!r}"
        if option.minimum is not None and value < option.minimum:
            return f"{option.name} must be at least {option.minimum}"
        return None
    return None if isinstance(value, str) else f"{option.name} must be text, not {value!r}"
