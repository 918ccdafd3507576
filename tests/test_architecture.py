"""What should stay true of the project as a whole: who imports whom, that the pages of docs/ say what the code says,
and that files stay small and name nothing of one machine.

`python -m tests.test_architecture` writes the generated tables of docs/architecture.md anew.
"""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from worker.events import EVENTS
from worker.failures import CODES

ROOT = Path(__file__).resolve().parent.parent
ARCHITECTURE = ROOT / "docs" / "architecture.md"
OPERATIONS = ROOT / "docs" / "operations.md"
LONGEST_FILE = 500  # lines
TEXTS = {".py", ".md", ".html", ".css", ".js", ".txt", ".toml", ".ini", ".yml", ".svg", ""}
IGNORED = {".venv", "var", ".git", "node_modules", "results", "vendor"}

# Machine paths, and hosts that packages came from. Split, so that this file does not find itself.
FOREIGN = [
    re.compile(pattern)
    for pattern in (
        r"/wo" + r"rk/(main|shared|\.)",
        r"/ho" + r"me/[a-z]\w*/",
        r"/Us" + r"ers/\w+/",
        r"https?://[\w.-]+(:\d+)?/sim" + r"ple\b",  # the path of every Python package index
        r"--(extra-)?in" + r"dex-url",
        r"\b10\.\d+\.\d+\.\d+:\d+",
    )
]


# ---- imports ---------------------------------------------------------------------------------------------------------


def test_imports_point_up_and_the_worker_is_plain_python():
    checker = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([checker, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


# ---- docs ------------------------------------------------------------------------------------------------------------


def events_table() -> str:
    lines = ["| event | fields | when |", "|---|---|---|"]
    for name, event in EVENTS.items():
        fields = ", ".join(field.name for field in dataclasses.fields(event))
        lines.append(f"| {name} | {fields} | {(event.__doc__ or '').strip()} |")
    return "\n".join(lines)


def failures_table() -> str:
    return "\n".join(["| code | wording |", "|---|---|", *(f"| {code} | {text} |" for code, text in CODES.items())])


TABLES = {"events": events_table, "failures": failures_table}


def marked(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- generated: {name} -->\n)(.*?)(\n?<!-- end generated -->)", re.DOTALL)


def write_tables() -> None:
    text = ARCHITECTURE.read_text()
    for name, table in TABLES.items():
        text = marked(name).sub(lambda found, table=table: f"{found[1]}{table()}\n<!-- end generated -->", text)
    ARCHITECTURE.write_text(text)


@pytest.mark.parametrize("name", TABLES)
def test_the_tables_of_the_architecture_page_are_those_of_the_code(name):
    found = marked(name).search(ARCHITECTURE.read_text())
    assert found is not None, f"docs/architecture.md has no place for {name}"
    assert found[2] == TABLES[name](), "run: python -m tests.test_architecture"


def test_every_setting_has_its_row_on_the_operations_page():
    source = (ROOT / "controlplane" / "settings.py").read_text()
    read = set(re.findall(r'\benv(?:_\w+)?\(\s*"([A-Z_]+)"', source))
    documented = set(re.findall(r"^\| `([A-Z_]+)` \|", OPERATIONS.read_text(), re.MULTILINE))
    # The second table there is of variables that other programs read.
    elsewhere = {"PYTHON", "SERVICE_USER", "PG_PREFIX", "VALKEY_SERVER"}
    assert read == documented - elsewhere


def test_every_management_command_is_named_on_a_page():
    commands = {
        path.stem
        for path in ROOT.glob("*/**/management/commands/*.py")
        if path.stem != "__init__" and not IGNORED & set(path.relative_to(ROOT).parts)
    }
    pages = ARCHITECTURE.read_text() + OPERATIONS.read_text()
    assert commands, "no command was found: has the layout changed?"
    assert {name for name in commands if not re.search(rf"\b{name}\b", pages)} == set()


def test_every_process_of_the_procfile_is_on_the_architecture_page():
    names = re.findall(r"^([\w-]+):", (ROOT / "Procfile").read_text(), re.MULTILINE)
    table = set(re.findall(r"^\| ([\w-]+) \|", ARCHITECTURE.read_text(), re.MULTILINE))
    assert set(names) <= table


@pytest.mark.parametrize(
    "page", ["README.md", "worker/README.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
)
def test_links_between_the_pages_lead_somewhere(page):
    folder = (ROOT / page).parent
    targets = re.findall(r"\]\(([^)#:]+)\)", (ROOT / page).read_text())
    assert [target for target in targets if not (folder / target).exists()] == []


# ---- files -----------------------------------------------------------------------------------------------------------


def our_files() -> Iterator[Path]:
    """What is tracked, and what is new and not ignored; without git, everything outside the ignored folders."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    named = listing.stdout.split("\0") if listing.returncode == 0 else map(str, ROOT.rglob("*"))
    for name in filter(None, named):
        path = ROOT / name
        if path.is_file() and path.suffix in TEXTS and not IGNORED & set(path.relative_to(ROOT).parts):
            yield path


def test_no_file_outside_the_tests_is_too_long_to_read():
    sources = [path for path in our_files() if path.suffix in {".py", ".js", ".css", ".html"}]
    ours = [path for path in sources if path.relative_to(ROOT).parts[0] != "tests"]
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in ours}
    assert {name: length for name, length in lengths.items() if length >= LONGEST_FILE} == {}


def test_no_file_names_a_machine_or_a_package_host():
    found = [
        f"{path.relative_to(ROOT)}: {hit[0]}"
        for path in our_files()
        for pattern in FOREIGN
        for hit in [pattern.search(path.read_text(errors="replace"))]
        if hit
    ]
    assert found == []


if __name__ == "__main__":
    write_tables()
