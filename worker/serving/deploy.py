"""The deploy_model stage: a model version goes live on Triton, or says why not and leaves what served before serving.

    convert            once per model, engine and weight format; found again by its receipt
    write repository   the next version of the served name
    wait for server    it may be starting
    load               Triton switches to the new version by itself once it is up
    warm up, canary    a real completion decides, never the ready flag

The receipt is not reused: the same deployment asked for twice checks that it still answers and heals it if not.
"""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from worker import manifest
from worker.context import Context, Outcome, Stopped
from worker.failures import StageFailure
from worker.serving import conversions, convert, repository
from worker.serving.decode import InvalidRequest, checked
from worker.serving.server import Canary, CanaryFailed, LoadRefused, Server
from worker.specs import DeployModel

VERSION = "1"
REUSES_RECEIPT = False
CANARY_TOKENS = 32


class Waterfall:
    """Reports each phase as it begins and keeps its seconds."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.seconds: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str, *, may_stop: bool = False) -> Iterator[None]:
        """`may_stop`: raises Stopped if Stop was pressed. Not once Triton loads: no half switch."""
        if may_stop and self.context.stop_requested():
            raise Stopped(f"stopped before: {name}")
        self.context.enter(name)
        begun = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = round(time.monotonic() - begun, 3)


def run(spec: DeployModel, context: Context) -> Outcome:
    """The outcome's `engine` is the converted model; its summary names the Triton model and version that answered."""
    root = _repository(spec, context)
    waterfall = Waterfall(context)
    with waterfall.phase("convert", may_stop=True):
        engine_dir, engine_sha256 = converted(spec, context)
    with waterfall.phase("write repository", may_stop=True):
        placed = repository.place(root, spec.served_name, engine_dir, _deployment(spec, engine_sha256))
    try:
        about, canary = _bring_up(placed, context.triton_url, waterfall)
    except (StageFailure, Stopped):
        if placed.fresh:
            repository.withdraw(placed)
        raise
    repository.settle(placed)
    summary = _summary(spec, placed, canary, waterfall) | {"triton": about}
    return Outcome({"engine": engine_dir}, {"version": placed.version, "canary_tokens": canary.n_tokens}, summary)


def converted(spec: DeployModel, context: Context) -> tuple[Path, str]:
    """The converted model under context.out, and its content hash; from storage when it was converted before."""
    out = context.out / "engine"
    artifact = conversions.stored(spec.model, spec.engine, spec.quantise, context)
    shutil.copytree(manifest.fetch(artifact.uri, context.work / "cache"), out, copy_function=shutil.copyfile)
    return out, artifact.sha256


def _bring_up(placed: repository.Placed, url: str, waterfall: Waterfall) -> tuple[dict[str, str], Canary]:
    server = Server(url)
    with waterfall.phase("wait for server", may_stop=True):
        about = server.wait_live()
    with waterfall.phase("load"):
        answers = _load(server, placed)
    if answers:
        with waterfall.phase("warm up"):
            answers = _answers(server, placed)
    if not answers:
        with waterfall.phase("heal"):
            _heal(server, placed)
    with waterfall.phase("canary"):
        try:
            return about, server.canary(placed.name, placed.version, CANARY_TOKENS)
        except CanaryFailed as error:
            if placed.fresh:
                _return_to_previous(server, placed)
            raise StageFailure("serving:app:canary-failed", detail=error) from error


def _load(server: Server, placed: repository.Placed) -> bool:
    """False when a version that was deployed before is refused: its process has died."""
    try:
        server.load(placed.name)
    except LoadRefused as error:
        if placed.fresh:  # what served before still serves; reloading would take it down for a version that is broken
            raise StageFailure("serving:app:load-failed", detail=error) from error
        return False
    return True


def _answers(server: Server, placed: repository.Placed) -> bool:
    try:
        server.canary(placed.name, placed.version, CANARY_TOKENS)
    except CanaryFailed:
        return False
    return True


def _heal(server: Server, placed: repository.Placed) -> None:
    """Have Triton start a new process beside the dead one: it reloads what has changed on disk.

    Unloading first also heals, when it comes to an end: of a process killed while it waited, 2.51 was seen to be still
    unloading after 60 s. So that is the second choice.
    """
    repository.touch(placed)
    _load_somehow(server, placed.name)


def _load_somehow(server: Server, name: str) -> None:
    try:
        server.load(name)
    except LoadRefused:
        try:
            server.reload(name)
        except LoadRefused as error:
            raise StageFailure("serving:app:load-failed", detail=error) from error


def _return_to_previous(server: Server, placed: repository.Placed) -> None:
    """A version that loads but does not answer has already replaced the one before it: bring that one back."""
    aside = placed.folder.with_name(f".{placed.version}.refused")
    placed.folder.rename(aside)
    try:
        if repository.versions(placed.folder.parent):
            _load_somehow(server, placed.name)
        else:
            server.unload(placed.name)
    finally:
        aside.rename(placed.folder)


def _repository(spec: DeployModel, context: Context) -> Path:
    convert.check_engine(spec.engine, spec.quantise)
    if context.model_repository is None or not context.triton_url:
        detail = "TRITON_URL and TRITON_MODEL_REPOSITORY must name the server and the folder that it reads"
        raise StageFailure("serving:app:server-unreachable", url=context.triton_url or "(not set)", detail=detail)
    try:
        checked(spec.decode)
    except InvalidRequest as error:
        raise StageFailure("serving:user:bad-decode", detail=error) from error
    return context.model_repository


def _deployment(spec: DeployModel, engine_sha256: str) -> dict[str, Any]:
    """What a version is; equal deployments share one. Lists, not tuples: it is compared with its own JSON."""
    decode = {**dataclasses.asdict(spec.decode), "stop": list(spec.decode.stop)}
    return {
        "engine": spec.engine,
        "quantise": spec.quantise,
        "threads": spec.threads,
        "decode": decode,
        "model_sha256": spec.model.sha256,
        "engine_sha256": engine_sha256,
        "code_version": VERSION,
    }


def _summary(spec: DeployModel, placed: repository.Placed, canary: Canary, waterfall: Waterfall) -> dict[str, Any]:
    return {
        "model_name": placed.name,
        "model_version": placed.version,
        "canary": {**dataclasses.asdict(canary), "tokens_per_second": round(canary.tokens_per_second, 1)},
        "phase_seconds": waterfall.seconds,
        "engine": {"name": spec.engine, "quantise": spec.quantise, "versions": convert.versions(spec.engine)},
    }
