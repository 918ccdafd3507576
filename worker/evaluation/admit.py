"""admit_suite: read a suite, try its problems on this machine, and publish both.

    work/plan.json           what the journal belongs to
    work/admission.jsonl     every verdict, once; a later attempt continues here

    suite/problems.jsonl     all problems, as our own format has them
    suite/scorers/           the suite's scripts, if it has any
    suite/admission.json     version, state (isolation, limits, runtimes), languages, problems
                             {task_id: {admitted, language, reason, why}}

evaluate_model asks `stored` for the same result, which is found by its work key: suite, isolation, runtime versions and
limits. It decides nothing about models.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from worker import manifest
from worker.context import Context, Outcome
from worker.evaluation import runtimes
from worker.evaluation.admission import admit, by_language, is_settled
from worker.evaluation.journal import Journal
from worker.evaluation.scorers import Judge, limits_for
from worker.evaluation.suites import SCORER_FOLDER, Suite, load_suite
from worker.events import MessageLogged
from worker.failures import StageFailure
from worker.sandbox import Isolation, SandboxUnavailable, accept_unsafe, probe
from worker.specs import AdmitSuite, to_dict

STAGE = "admit_suite"
VERSION = "2"  # 2: reasons to count by, and how the runtimes were declared
_PLAN, _JOURNAL = "plan.json", "admission.jsonl"


def run(spec: AdmitSuite, context: Context) -> Outcome:
    """The stage; that nothing is admitted is a result too. Raises StageFailure evaluation:user:bad-suite and
    evaluation:app:sandbox-unavailable.
    """
    suite = load_suite(spec.suite, spec.max_problems, spec.languages)
    folder, admission = _admitted(spec, suite, isolation_for(spec.allow_unsafe), context)
    _report(admission, context)
    refused = excluded(admission["problems"])
    n_problems = len(suite.problems)
    summary = {name: admission[name] for name in ("name", "version", "state", "languages")} | {"excluded": refused}
    counts = {"problems": n_problems, "admitted": n_problems - len(refused), "excluded": len(refused)}
    return Outcome({"suite": folder}, counts, summary, complete=is_settled(admission["problems"]))


def state_of(spec: AdmitSuite) -> dict[str, Any]:
    """What admission rests on beside its spec. Raises StageFailure."""
    suite = load_suite(spec.suite, spec.max_problems, spec.languages)
    return state(suite, spec.timeout_seconds, isolation_for(spec.allow_unsafe))


def state(suite: Suite, timeout_seconds: float, isolation: Isolation) -> dict[str, Any]:
    """As plain JSON: version, isolation, limits and runtimes."""
    languages = {*suite.languages, *(script.language for script in suite.scripts.values())}
    return {
        "version": suite.version,
        "isolation": dataclasses.asdict(isolation),
        "limits": dataclasses.asdict(limits_for(timeout_seconds)),
        "runtimes": runtimes.stamps(languages, isolation),
    }


def isolation_for(allow_unsafe: bool) -> Isolation:
    """Raises StageFailure evaluation:app:sandbox-unavailable."""
    found = accept_unsafe(probe()) if allow_unsafe else probe()
    if found.level == "none":
        raise StageFailure("evaluation:app:sandbox-unavailable", detail=found.detail)
    return found


def stored(spec: AdmitSuite, suite: Suite, isolation: Isolation, context: Context) -> Mapping[str, Any]:
    """The suite's admission, done now if it was not done yet. The suite is what `spec` names, read already."""
    begun, now = time.monotonic(), state(suite, spec.timeout_seconds, isolation)
    if suite.admission.get("state") == now and _covers(suite.admission, suite, spec):
        return suite.admission
    key = manifest.work_key(STAGE, VERSION, to_dict(spec) | {"state": now})
    receipt = manifest.find_receipt(context.storage_url, STAGE, key)
    if receipt is not None:
        return _read(manifest.fetch(receipt.outputs["suite"].uri, context.work / "cache"))
    folder, admission = _admitted(spec, suite, isolation, context)
    if is_settled(admission["problems"]):
        outputs = {"suite": manifest.publish(folder, context.storage_url, "suite")}
        made = manifest.Manifest(
            STAGE, VERSION, to_dict(spec), key, outputs, seconds=round(time.monotonic() - begun, 3),
            finished_at=manifest.now(),
        )  # fmt: skip
        kept = context.work / "admitted"  # not the job's own folder: its manifest.json means that the job is done
        kept.mkdir(exist_ok=True)
        manifest.write_receipt(made, context.storage_url, kept)
    return admission


def _covers(admission: Mapping[str, Any], suite: Suite, spec: AdmitSuite) -> bool:
    wanted = {problem.task_id for problem in suite.problems}
    return admission["unproved"] == spec.unproved and wanted <= admission["problems"].keys()


def _read(folder: Path) -> dict[str, Any]:
    admission: dict[str, Any] = json.loads((folder / "admission.json").read_text())
    return admission


def _admitted(spec: AdmitSuite, suite: Suite, isolation: Isolation, context: Context) -> tuple[Path, dict[str, Any]]:
    """The finished folder and what its admission.json says."""
    now = state(suite, spec.timeout_seconds, isolation)
    judge = Judge(isolation, limits_for(spec.timeout_seconds), suite.scripts)
    verdicts = Journal(_begun(json.dumps([VERSION, now, to_dict(spec)], sort_keys=True), context))
    try:
        problems = admit(suite, judge, spec.unproved, verdicts, context)
    except SandboxUnavailable as unavailable:
        raise StageFailure("evaluation:app:sandbox-unavailable", detail=unavailable) from unavailable
    finally:
        verdicts.close()
    languages = by_language(suite, problems, now["runtimes"])
    admission = {
        "name": suite.name, "version": suite.version, "unproved": spec.unproved, "state": now,
        "languages": languages, "problems": problems,
    }  # fmt: skip
    return _write(suite, admission, context), admission


def _begun(plan: str, context: Context) -> Path:
    """The journal's place; what an attempt with another plan left is thrown away."""
    folder = context.work / "admission"
    folder.mkdir(exist_ok=True)
    kept = folder / _PLAN
    if not kept.exists() or kept.read_text() != plan:
        (folder / _JOURNAL).unlink(missing_ok=True)
        manifest.write_atomically(kept, plan)
    return folder / _JOURNAL


def _write(suite: Suite, admission: Mapping[str, Any], context: Context) -> Path:
    folder = context.out / "suite"
    folder.mkdir()
    lines = "".join(json.dumps(problem.to_json()) + "\n" for problem in suite.problems)
    (folder / "problems.jsonl").write_text(lines, encoding="utf-8")
    text = json.dumps(admission, indent=1) + "\n"  # unsorted: problems in the suite's order
    (folder / "admission.json").write_text(text, encoding="utf-8")
    for name, script in suite.scripts.items():
        ending = Path(runtimes.declared()[script.language].file).suffix
        (folder / SCORER_FOLDER).mkdir(exist_ok=True)
        (folder / SCORER_FOLDER / f"{name}{ending}").write_text(script.source, encoding="utf-8")
    return folder


def _report(admission: Mapping[str, Any], context: Context) -> None:
    for language, entry in admission["languages"].items():
        text = f"{language}: {entry['admitted']} of {entry['n']} problems admitted ({entry['status']})"
        level = "info" if entry["admitted"] == entry["n"] else "warning"
        context.reporter.report(MessageLogged(text, level))


def excluded(problems: Mapping[str, Mapping[str, Any]]) -> list[dict[str, str]]:
    """{task_id, language, reason, why} of each problem that may not count."""
    told = ("language", "reason", "why")
    refused = {name: entry for name, entry in problems.items() if not entry["admitted"]}
    return [{"task_id": name, **{field: entry[field] for field in told}} for name, entry in refused.items()]
