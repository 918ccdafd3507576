"""Two versions of a tiny dataset, made by the real stage from the same two sources by two recipes, for tests of the
pages that read them.

    .venv/worker/bin/python -m tests.worker.dataset_versions        makes tests/dataset_versions anew

test_dataset_versions.py fails when what the stage writes is no longer what is there.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.worker.tokenizer.conftest import python_text
from worker import cleaning
from worker.context import Context
from worker.data import ingest
from worker.events import ListReporter
from worker.specs import IngestDataset, IngestRecipe, SourceSpec, StepSpec

FOLDER = Path(__file__).resolve().parent.parent / "dataset_versions"
STRICT = {"lines": {"max_line": 120}}  # the second version's; the first has the usual recipe
LONG_LINE = "TABLE = [" + ", ".join(f"row_{n}" for n in range(40)) + "]\n"
CONTACT = "# written by Ada <ada.lovelace@corp-mail.io>\n"
COLOURS = "".join(f"COLOUR_{n} = (0, {n}, {n * 7 % 256}, {n * 13 % 256}, 255)\n" for n in range(60))


def make(folder: Path) -> None:
    """Write one/, two/ and accounts.json under `folder`, which must not exist."""
    folder.mkdir()
    accounts = {}
    with tempfile.TemporaryDirectory() as raw:
        sources = _write_sources(Path(raw))
        for name, changes in (("one", {}), ("two", STRICT)):
            steps = tuple(StepSpec(**step) for step in cleaning.with_parameters(changes))
            spec = IngestDataset(sources, IngestRecipe(steps, held_out_share=0.1))
            with tempfile.TemporaryDirectory() as job:
                outcome = ingest.run(spec, Context(Path(job), ListReporter(), f"{job}/storage"))
                shutil.move(outcome.outputs["dataset"], folder / name)
            accounts[name] = {
                "counts": dict(outcome.counts),
                "summary": json.loads((folder / name / "statistics.json").read_text()),
            }
    (folder / "accounts.json").write_text(json.dumps(accounts, indent=1, sort_keys=True) + "\n")


def _write_sources(raw: Path) -> tuple[SourceSpec, ...]:
    texts = {f"tools/module_{n}.py": python_text(n) * 3 for n in range(8)}
    texts |= {f"web/page_{n}.py": python_text(100 + n) * 3 for n in range(8)}
    texts |= {
        "tools/long.py": LONG_LINE + python_text(50) * 3,
        "tools/contact.py": CONTACT + python_text(51) * 3,
        "tools/<b>.py": python_text(52) * 3,
        "web/colours.py": COLOURS,
        "web/copy.py": python_text(0) * 3,
        "web/alike.py": python_text(1) * 3 + "\n# the same again\n",
        "web/tiny.py": "x = 1\n",
        "web/logo.png": "not read",
    }
    for path, text in texts.items():
        (raw / path).parent.mkdir(exist_ok=True)
        (raw / path).write_text(text)
    _commit(raw / "tools")
    return (
        SourceSpec("tools", str(raw / "tools"), license="MIT", kind="git"),
        SourceSpec("web", str(raw / "web"), license="BSD-3-Clause"),
    )


def _commit(folder: Path) -> None:
    """`tools` is a repository: Grace wrote one of its files, Ada the others."""
    git(folder, "init", "-q")
    git(folder, "remote", "add", "origin", "git@github.com:ada/tools.git")
    git(folder, "add", "contact.py")
    git(folder, "commit", "-qm", "first", name="Grace Hopper")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "second", name="Ada")


def git(folder: Path, *arguments: str, name: str = "Ada") -> None:
    identity = {"user.name": name, "user.email": f"{name.split()[0].lower()}@tools.example", "commit.gpgsign": "false"}
    settings = [part for key, value in identity.items() for part in ("-c", f"{key}={value}")]
    subprocess.run(["git", "-C", folder, *settings, *arguments], check=True, capture_output=True)


if __name__ == "__main__":
    shutil.rmtree(FOLDER, ignore_errors=True)
    make(FOLDER)
