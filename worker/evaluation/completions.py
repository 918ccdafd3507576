"""Where an evaluation's completions come from, and what a score has to say of it: a model that is run here, an endpoint
that is asked, or an earlier evaluation whose samples are judged again.

All three fill the same journal; what judges them does not know the difference.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from worker.context import Context
from worker.evaluation.earlier import read_earlier
from worker.evaluation.generate import Engine, Pace, Wanted, generate, wanted
from worker.evaluation.journal import Journal
from worker.evaluation.runtimes import declared
from worker.evaluation.suites import Problem
from worker.events import MessageLogged
from worker.failures import StageFailure
from worker.manifest import fetch
from worker.specs import ENDPOINT_STYLES, EndpointSpec, EvaluateModel

_MOST_AT_ONCE = 64


@dataclass(frozen=True)
class Completions:
    """`asked` are the samples that the journal has now; `told` are the score's subject, engine, decode, seed, endpoint
    and missing, as plain JSON.
    """

    asked: tuple[Wanted, ...]
    told: Mapping[str, Any]


def check(spec: EvaluateModel) -> None:
    """Raises StageFailure evaluation:user:bad-source unless exactly one source is given, and rightly."""
    given = [name for name in ("endpoint", "generations") if getattr(spec, name) is not None]
    given += ["model"] if spec.model is not None and spec.generations is None else []
    if len(given) != 1:
        raise _bad(f"it needs a model, an endpoint or an earlier evaluation, and has {' and '.join(given) or 'none'}")
    if spec.dataset is not None and spec.model is None:
        raise _bad("held-out text is read by a model, and there is none; leave the dataset out")
    if spec.endpoint is not None:
        _check_endpoint(spec.endpoint)


def _check_endpoint(endpoint: EndpointSpec) -> None:
    parts = urlsplit(endpoint.base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
        raise _bad("the endpoint's address must be http:// or https:// with a host, and hold no password or query")
    if endpoint.style not in ENDPOINT_STYLES or not endpoint.model:
        raise _bad(f"an endpoint needs a model's name and a style, one of {', '.join(ENDPOINT_STYLES)}")
    if not 1 <= endpoint.concurrency <= _MOST_AT_ONCE or endpoint.timeout_seconds <= 0:
        raise _bad(f"an endpoint takes 1 to {_MOST_AT_ONCE} requests at once, each with some seconds")


def collect(spec: EvaluateModel, problems: Sequence[Problem], journal: Journal, context: Context) -> Completions:
    """Fill the journal with what it lacks. Raises StageFailure and Stopped."""
    if spec.generations is not None:
        return _taken_over(spec, problems, journal, context)
    asked = tuple(wanted(problems, spec.samples))
    if any(item.key not in journal for item in asked):
        context.enter("generate")
        _generate(spec, asked, journal, context)
    decode = {**dataclasses.asdict(spec.decode), "stop": list(spec.decode.stop)}
    told = {"decode": decode, "seed": spec.decode.seed, "missing": [], **_source(spec)}
    return Completions(asked, {**told, "endpoint": {**told["endpoint"], **_ignored(journal)}})


def _source(spec: EvaluateModel) -> dict[str, Any]:
    if spec.endpoint is None:
        subject = {"kind": "model", "sha256": spec.model.sha256 if spec.model else ""}
        return {"subject": subject, "engine": {"name": spec.engine, "quantise": spec.quantise}, "endpoint": {}}
    shown = {name: getattr(spec.endpoint, name) for name in ("base_url", "model", "style")}
    engine = {"name": f"endpoint:{spec.endpoint.style}", "quantise": ""}
    return {"subject": {"kind": "endpoint", **shown}, "engine": engine, "endpoint": shown}


def _ignored(journal: Journal) -> dict[str, Any]:
    """From the records, since an attempt that finds all completions kept asks no server."""
    found = [record["ignored"] for record in journal.records.values() if "ignored" in record]
    merged = {name: why for ignored in found for name, why in ignored.items()}
    return {"ignored": merged} if merged else {}


def _generate(spec: EvaluateModel, asked: Sequence[Wanted], journal: Journal, context: Context) -> None:
    from worker.serving.decode import InvalidRequest

    pace = Pace() if spec.endpoint is None else Pace(1, spec.endpoint.concurrency)
    try:
        generate(engine_of(spec, asked, context), asked, spec.decode, journal, context, pace)
    except InvalidRequest as invalid:
        if not any(item.problem.kind == "infill" for item in asked):
            raise
        raise StageFailure("evaluation:user:no-infilling", detail=invalid) from invalid


def engine_of(spec: EvaluateModel, asked: Sequence[Wanted], context: Context) -> Engine:
    """Loaded late: it takes seconds, and an attempt that finds all completions kept needs none."""
    if spec.endpoint is not None:
        from worker.evaluation.endpoint import Endpoint

        languages = {item.problem.prompt: _title(item.problem.language) for item in asked}
        return Endpoint(spec.endpoint, context.endpoint_key, languages, context.stop_requested)
    from worker.serving.conversions import stored
    from worker.serving.engine import load_engine

    assert spec.model is not None
    converted = stored(spec.model, spec.engine, spec.quantise, context)
    folder = fetch(converted.uri, context.work / "cache")
    return load_engine(folder, spec.engine, quantise=spec.quantise, decode=spec.decode)


def _title(language: str) -> str:
    runtime = declared().get(language)
    return runtime.title if runtime else language


def _taken_over(spec: EvaluateModel, problems: Sequence[Problem], journal: Journal, context: Context) -> Completions:
    assert spec.generations is not None
    context.enter("take over completions")
    earlier = read_earlier(context.fetch(spec.generations), problems)
    journal.append(record for record in earlier.records if (record["task_id"], record["sample"]) not in journal)
    if earlier.missing:
        text = f"{len(earlier.missing)} of {len(problems)} problems have no completion in the earlier evaluation"
        context.reporter.report(MessageLogged(text, "warning"))
    score = earlier.score
    subject = {"kind": "generations", "sha256": spec.generations.sha256, "of": score.get("subject", {})}
    kept = {name: score[name] for name in ("decode", "seed", "engine")}
    told = {**kept, "subject": subject, "endpoint": score.get("endpoint", {}), "missing": list(earlier.missing)}
    return Completions(earlier.asked, told)


def _bad(detail: str) -> StageFailure:
    return StageFailure("evaluation:user:bad-source", detail=detail)
