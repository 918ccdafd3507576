"""Completions to verdicts: each program once, two at a time, in the sandbox."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

from worker.context import Context, Stopped
from worker.evaluation.generate import Wanted
from worker.evaluation.journal import Journal
from worker.events import SampleJudged
from worker.sandbox import Isolation, Limits, Program, run

WORKERS = 2
WALL_PER_CPU_SECOND = 4.0  # the clock only ends the wait; processor time judges


def limits_for(timeout_seconds: float) -> Limits:
    """The sandbox's limits for a suite's timeout, which is of processor time: a busy machine must not fail a model."""
    return Limits(cpu_seconds=timeout_seconds, wall_seconds=WALL_PER_CPU_SECOND * timeout_seconds)


def judge(
    asked: Sequence[Wanted],
    generations: Journal,
    verdicts: Journal,
    isolation: Isolation,
    limits: Limits,
    context: Context,
) -> None:
    """Fill `verdicts` with what it lacks, in the order that programs end. Raises Stopped when asked to, and
    SandboxUnavailable.
    """
    missing = [item for item in asked if item.key not in verdicts]
    context.progress(len(asked) - len(missing), len(asked), "programs")
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="judge") as threads:
        running: set[Future[dict[str, Any]]] = set()
        for item in missing:
            completion = generations.records[item.key]["completion"]
            running.add(threads.submit(_judge_one, item, completion, isolation, limits))
            # One waiting for each that runs: a stop is not held up by a queue of hundreds.
            if len(running) >= 2 * WORKERS:
                running = _collect(running, verdicts, context, len(asked))
            if context.stop_requested():
                _collect_all(running, verdicts, context, len(asked))
                raise Stopped(f"{len(verdicts.records)} of {len(asked)} programs are judged")
        _collect_all(running, verdicts, context, len(asked))


def _judge_one(item: Wanted, completion: str, isolation: Isolation, limits: Limits) -> dict[str, Any]:
    source = item.problem.program(completion)
    verdict = run(Program(source, item.problem.language), limits, isolation)
    program = hashlib.sha256(source.encode("utf-8", "surrogatepass")).hexdigest()
    return {"task_id": item.problem.task_id, "sample": item.sample, "program": program, **dataclasses.asdict(verdict)}


def _collect(
    running: set[Future[dict[str, Any]]], verdicts: Journal, context: Context, total: int
) -> set[Future[dict[str, Any]]]:
    """Keep what has ended; returns what has not."""
    ended, running = wait(running, return_when=FIRST_COMPLETED)
    records = [future.result() for future in ended]
    verdicts.append(records)  # kept first: an event that a kill swallows is missed, but nothing is judged twice
    for record in records:
        context.reporter.report(SampleJudged(record["task_id"], record["sample"], record["outcome"]))
    context.progress(len(verdicts.records), total, "programs")
    return running


def _collect_all(running: set[Future[dict[str, Any]]], verdicts: Journal, context: Context, total: int) -> None:
    while running:
        running = _collect(running, verdicts, context, total)
