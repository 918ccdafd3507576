"""A stage that counts, speaking the protocol of python -m worker. It has a helper in a session of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from worker.__main__ import _leave_with_parent
from worker.events import FileReporter, MessageLogged, MetricsLogged, ProgressMade, StageFailed, StageStopped
from worker.manifest import Manifest, write_atomically

HELPER = "import time\nwhile True: time.sleep(0.2)"


def main(folder: Path) -> int:
    spec = json.loads((folder / "spec.json").read_text())
    reporter = FileReporter(folder, int(os.environ["YARD_ATTEMPT"]))
    kept = folder / "work"
    kept.mkdir(exist_ok=True)
    (folder / "environment.json").write_text(json.dumps(dict(os.environ)))
    if "helped" in spec["manner"]:
        subprocess.Popen([sys.executable, "-c", HELPER], start_new_session=True)
    done = int((kept / "done").read_text()) if (kept / "done").exists() else 0
    for number in range(done + 1, spec["n"] + 1):
        if (folder / "stop").exists() and spec["manner"] != "deaf":
            reporter.report(StageStopped(f"at {number}"))
            return 0
        if spec["manner"] == "falls" and number == 3:
            sys.stdout.write("I fall\n")
            sys.stdout.flush()
            os.abort()
        if spec["manner"] == "refuses":
            reporter.report(StageFailed("data:user:no-rows", "There is nothing."))
            return 3
        # Said, then kept: a kill between the two makes the next attempt say the number again, and never skip one.
        reporter.report(MessageLogged(f"number {number}"))
        reporter.report(MetricsLogged(number, {"count/value": float(number)}))
        reporter.report(ProgressMade(number, spec["n"], "numbers"))
        write_atomically(kept / "done", str(number))
        time.sleep(spec["pause"])
    if spec["manner"] == "forgets":
        return 0
    receipt = Manifest("count", "1", spec, "key", {}, counts={"numbers": spec["n"]})
    write_atomically(folder / "manifest.json", receipt.to_json())
    return 0


if __name__ == "__main__":
    _leave_with_parent()
    sys.exit(main(Path(sys.argv[2])))
