"""evaluate_model: get completions, judge them, measure, and say all of it in one folder.

    work/admission            admit_suite's own, where the suite was not admitted yet
    work/plan.json            what the two journals below belong to
    work/generations.jsonl    every completion, once; a later attempt continues here
    work/verdicts.jsonl       every verdict, once
    work/held_out.json        the held-out figures, when they are done

    evaluation/problems.jsonl the problems as they were judged: references and tests for whoever reads a sample later
    evaluation/samples.jsonl  one line a sample: prompt, completion, program hash, outcome, times, output, truncated
    evaluation/score.json     the summary (worker.evaluation.score)

Only problems that are admitted here count; the others are named in the summary (worker.evaluation.admission).
It decides nothing about models: whether a score is good enough is the control plane's affair.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from worker.context import Context, Outcome, Stopped
from worker.evaluation import admission, admit, completions, held_out, runtimes
from worker.evaluation.completions import Completions
from worker.evaluation.generate import Wanted
from worker.evaluation.journal import Journal
from worker.evaluation.judging import Trial, judge_all
from worker.evaluation.score import summarise
from worker.evaluation.scorers import Judge, limits_for
from worker.evaluation.suites import Suite, load_suite
from worker.events import MessageLogged, MetricsLogged, SampleJudged
from worker.failures import StageFailure
from worker.manifest import write_atomically
from worker.sandbox import Isolation, SandboxUnavailable, accept_unsafe, probe
from worker.specs import AdmitSuite, EvaluateModel, to_dict

VERSION = "3"


def run(spec: EvaluateModel, context: Context) -> Outcome:
    """The stage. Raises StageFailure evaluation:user:bad-source, evaluation:user:bad-suite, evaluation:user:bad-generations,
    evaluation:user:nothing-admitted, evaluation:user:no-infilling, evaluation:app:sandbox-unavailable,
    evaluation:app:runtime-missing, and the engine's or the endpoint's own.
    """
    _check(spec)
    whole = load_suite(spec.suite, spec.max_problems, spec.languages)
    isolation = _isolation(spec, context)
    _check_runtimes(whole, isolation)
    problems = _admitted(spec, whole, isolation, context)
    suite = admission.only(whole, lambda name: bool(problems[name]["admitted"]))
    _begin(spec, suite, context)
    judge = Judge(isolation, limits_for(spec.timeout_seconds), suite.scripts)
    taken, samples = _samples(spec, suite, judge, context)
    judged = {sample["task_id"] for sample in samples}
    suite = admission.only(suite, lambda name: name in judged)
    figures = _held_out(spec, context)
    summary = summarise(spec, suite, samples, judge, figures, admit.excluded(problems), taken.told)
    _report(summary, context)
    return _publish(suite, samples, summary, context)


def _check(spec: EvaluateModel) -> None:
    completions.check(spec)
    most = max(spec.ks, default=1) if spec.generations is not None else spec.samples  # theirs are not known yet
    if spec.samples < 1 or spec.timeout_seconds <= 0 or not any(1 <= k <= most for k in spec.ks):
        detail = f"samples={spec.samples}, ks={spec.ks} and timeout_seconds={spec.timeout_seconds} give no score"
        raise StageFailure("spec:app:invalid", detail=detail)


def reuses_receipt(spec: EvaluateModel) -> bool:
    """A server may have another model behind the same name tomorrow; everything else is named by its content."""
    return spec.endpoint is None


def _isolation(spec: EvaluateModel, context: Context) -> Isolation:
    """Looked for before anything is generated: a refusal should cost seconds."""
    context.enter("look for a sandbox")
    found = accept_unsafe(probe()) if spec.allow_unsafe else probe()
    if found.level == "none":
        raise StageFailure("evaluation:app:sandbox-unavailable", detail=found.detail)
    level = "error" if found.level == "unsafe" else "info" if found.level == "bubblewrap" else "warning"
    context.reporter.report(MessageLogged(f"isolation: {found.level} {found.detail}".strip(), level))
    return found


def state_of(spec: EvaluateModel) -> dict[str, Any]:
    """What the score rests on beside its spec: the suite's content, isolation, limits and runtimes. Raises StageFailure."""
    return admit.state_of(_admit_spec(spec))


def _admit_spec(spec: EvaluateModel) -> AdmitSuite:
    return AdmitSuite(
        spec.suite, spec.languages, spec.max_problems, spec.timeout_seconds, spec.unproved, spec.allow_unsafe
    )


def _admitted(spec: EvaluateModel, suite: Suite, isolation: Isolation, context: Context) -> dict[str, dict[str, Any]]:
    """By task_id: {admitted, why}, of the suite's problems."""
    found = admit.stored(_admit_spec(spec), suite, isolation, context)
    problems = {problem.task_id: found["problems"][problem.task_id] for problem in suite.problems}
    refused = admit.excluded(problems)
    if len(refused) == len(problems):
        first = refused[0]
        raise StageFailure("evaluation:user:nothing-admitted", detail=f"{first['task_id']}: {first['why']}")
    if refused:
        text = f"{len(refused)} of {len(problems)} problems are not admitted here and do not count"
        context.reporter.report(MessageLogged(text, "warning"))
    return problems


def _check_runtimes(suite: Suite, isolation: Isolation) -> None:
    """A language that this machine cannot judge is not available; it must never come out as a score of zero.

    Where it is one of several its problems are excluded, by admission.
    """
    executed = {problem.language for problem in suite.problems if problem.scorer == "execution"}
    stamps = runtimes.stamps(executed, isolation)
    lacking = {language: stamp for language, stamp in stamps.items() if stamp["state"] != "ready"}
    if lacking and len(lacking) == len(suite.languages):
        detail = "; ".join(f"{language}: {stamp['state']}, {stamp['detail']}" for language, stamp in lacking.items())
        raise StageFailure("evaluation:app:runtime-missing", detail=detail)


def _begin(spec: EvaluateModel, suite: Suite, context: Context) -> None:
    """Throw away what an attempt with another plan left: another suite file, or an older version of this code."""
    plan = json.dumps({"version": VERSION, "suite": suite.version, "spec": to_dict(spec)}, sort_keys=True)
    path = context.work / "plan.json"
    if not path.exists() or path.read_text() != plan:
        for name in ("generations.jsonl", "verdicts.jsonl", "held_out.json"):
            (context.work / name).unlink(missing_ok=True)
        write_atomically(path, plan)


def _samples(
    spec: EvaluateModel, suite: Suite, judge: Judge, context: Context
) -> tuple[Completions, list[dict[str, Any]]]:
    generations = Journal(context.work / "generations.jsonl")
    verdicts = Journal(context.work / "verdicts.jsonl")
    try:
        taken = completions.collect(spec, suite.problems, generations, context)
        context.enter("judge")
        trials = [Trial(item.problem, item.sample, generations.records[item.key]["completion"]) for item in taken.asked]
        judge_all(trials, verdicts, judge, context, lambda record: _hear(record, context))
    except SandboxUnavailable as unavailable:
        raise StageFailure("evaluation:app:sandbox-unavailable", detail=unavailable) from unavailable
    finally:
        generations.close()
        verdicts.close()
    return taken, [_sample(item, generations, verdicts) for item in taken.asked]


def _hear(record: Mapping[str, Any], context: Context) -> None:
    context.reporter.report(SampleJudged(record["task_id"], record["sample"], record["outcome"]))


def _sample(item: Wanted, generations: Journal, verdicts: Journal) -> dict[str, Any]:
    return {"prompt": item.problem.prompt, **generations.records[item.key], **verdicts.records[item.key]}


def _held_out(spec: EvaluateModel, context: Context) -> Mapping[str, Any]:
    if spec.dataset is None or spec.model is None:
        return {}
    kept = context.work / "held_out.json"
    if not kept.exists():
        if context.stop_requested():
            raise Stopped("all programs are judged; the held-out text is not read yet")
        from worker.evaluation.likelihood import Reader

        context.enter("read held-out text")
        read = Reader(context.fetch(spec.model)).read
        figures = held_out.measure(context.fetch(spec.dataset), read, spec.decode.seed)
        write_atomically(kept, json.dumps(figures))
    figures = json.loads(kept.read_text())
    if not figures:
        context.reporter.report(
            MessageLogged("The dataset has no held-out documents; no perplexity was measured.", "warning")
        )
    return figures


def _report(summary: Mapping[str, Any], context: Context) -> None:
    failed, n_samples = summary["outcomes"]["sandbox_failed"], summary["n_samples"]
    if not summary["pass_at_k"] and failed:
        detail = f"it failed for {failed} of {n_samples} programs"
        raise StageFailure("evaluation:app:sandbox-unavailable", detail=detail)
    if not summary["pass_at_k"]:
        detail = (
            f"it has {summary['samples_per_problem']} samples of a problem at most, too few for any k that is asked"
        )
        raise StageFailure("evaluation:user:bad-generations", detail=detail)
    values = {f"pass@{k}": entry["value"] for k, entry in summary["pass_at_k"].items()}
    for split, languages in summary["held_out"].items():
        values[f"bits_per_byte/{split}"] = languages["all"]["bits_per_byte"]
    context.reporter.report(MetricsLogged(summary["n_samples"], values))


def _publish(
    suite: Suite, samples: Sequence[Mapping[str, Any]], summary: Mapping[str, Any], context: Context
) -> Outcome:
    folder = context.out / "evaluation"
    folder.mkdir()
    lines = "".join(json.dumps(sample) + "\n" for sample in samples)
    (folder / "samples.jsonl").write_text(lines, encoding="utf-8")
    asked = "".join(json.dumps(problem.to_json()) + "\n" for problem in suite.problems)
    (folder / "problems.jsonl").write_text(asked, encoding="utf-8")
    (folder / "score.json").write_text(json.dumps(summary, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    counts = {"problems": summary["n_problems"], "samples": summary["n_samples"], "truncated": summary["n_truncated"]}
    return Outcome({"evaluation": folder}, {**counts, **summary["outcomes"]}, summary)
