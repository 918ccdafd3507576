"""What Triton's Python backend runs, behind model.py's three methods: tensors in, an engine, tensors out.

The tensors are those of Triton's vLLM backend (text_input, stream, sampling_parameters, ... -> text_output,
finish_reason, ...), plus two optional ones: max_tokens INT32, which TensorRT-LLM-style callers send, and suffix for
filling the middle.

`execute` only queues; one thread drives the engine, so requests that arrive later join the running batch. Each step
asks Triton whether the caller has gone and cancels inside the engine if so. Triton's own failure counter stays at 0 for
cancelled streams (seen with 2.51), hence counters of our own. Nothing here imports Triton: its module is passed in.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from worker.serving.decode import InvalidRequest
from worker.serving.engine import Engine, load_engine
from worker.serving.triton_request import TritonRequest
from worker.specs import DecodeSettings

MAX_RUNNING = 64  # beyond it callers are told to come back: a longer batch only makes everybody wait
OUTCOMES = ("stop", "length", "cancelled", "refused", "failed")
FAMILIES = {
    "modelyard_completions_total": "Completions by how they ended",
    "modelyard_prompt_tokens_total": "Prompt tokens read",
    "modelyard_output_tokens_total": "Tokens generated",
}
log = logging.getLogger("modelyard.serving")


class Backend:
    """One loaded model version. `folder` is its version folder, with engine/ and deployment.json in it."""

    def __init__(self, folder: Path, pb_utils: Any, labels: dict[str, str]) -> None:
        deployment = json.loads((folder / "deployment.json").read_text())
        self.pb_utils = pb_utils
        self.engine = _engine(folder / "engine", deployment)
        self.counters = Counters(pb_utils, labels)
        self.arrived: queue.SimpleQueue[TritonRequest | None] = queue.SimpleQueue()
        self.running: list[TritonRequest] = []
        self.closing = False
        self.thread = threading.Thread(target=self._drive, name="engine", daemon=True)
        self.thread.start()

    def execute(self, requests: Iterable[Any]) -> None:
        for request in requests:
            self.arrived.put(TritonRequest(request, self.pb_utils))

    def finalize(self) -> None:
        """Ends what runs with an error that says so, and waits for the thread."""
        self.closing = True
        self.arrived.put(None)
        self.thread.join()

    def _drive(self) -> None:
        while not self.closing:
            try:
                self._turn()
            except Exception as error:
                # Were this thread to die, every caller would wait for ever and the model could not even be unloaded.
                # Instead the callers hear of it, and the canary sees whether it stays broken.
                log.exception("the engine failed")
                self._drop_all(f"the engine failed: {error}")
        self._drop_all("the model is being unloaded")

    def _turn(self) -> None:
        self._admit()
        self.engine.step()
        self.running = [item for item in self.running if not self._advance(item)]

    def _admit(self) -> None:
        """Take in what has arrived; with nothing to do, wait for the next request."""
        while not self.closing and (not self.running or not self.arrived.empty()):
            item = self.arrived.get()
            if item is not None:
                self._start(item)

    def _start(self, item: TritonRequest) -> None:
        if len(self.running) >= MAX_RUNNING:
            item.refuse(f"{MAX_RUNNING} completions are running; try again", unavailable=True)
            self.counters.count("refused")
            return
        try:
            item.start(self.engine)
        except InvalidRequest as error:
            item.refuse(str(error))
            self.counters.count("refused")
            return
        self.running.append(item)
        self.counters.add_prompt(item.running.n_prompt_tokens)

    def _advance(self, item: TritonRequest) -> bool:
        """One step of one request; True when it is over."""
        if item.sender.is_cancelled():
            item.cancel()
            self.counters.count("cancelled")
            return True
        chunk = item.running.poll()
        if chunk is None:
            return False
        item.send(chunk)
        if chunk.finish is None:
            return False
        self.counters.count(chunk.finish)
        self.counters.add_output(item.n_output_tokens)
        return True

    def _drop_all(self, message: str) -> None:
        while not self.arrived.empty():
            item = self.arrived.get()
            self.running += [item] if item is not None else []
        running, self.running = self.running, []
        for item in running:
            if not item.closed:
                item.drop(message)
                self.counters.count("failed")


class Counters:
    """Our own metrics on Triton's metrics port, one series per model, version and outcome."""

    def __init__(self, pb_utils: Any, labels: dict[str, str]) -> None:
        self.families = [  # kept: a metric whose family was collected cannot be incremented
            pb_utils.MetricFamily(name=name, description=description, kind=pb_utils.MetricFamily.COUNTER)
            for name, description in FAMILIES.items()
        ]
        completions, prompt, output = self.families
        self.by_outcome = {name: completions.Metric(labels={**labels, "outcome": name}) for name in OUTCOMES}
        self.prompt, self.output = prompt.Metric(labels=labels), output.Metric(labels=labels)

    def count(self, outcome: str) -> None:
        self.by_outcome[outcome].increment(1)

    def add_prompt(self, n_tokens: int) -> None:
        self.prompt.increment(n_tokens)

    def add_output(self, n_tokens: int) -> None:
        self.output.increment(n_tokens)


def _engine(folder: Path, deployment: dict[str, Any]) -> Engine:
    raw = deployment["decode"]
    decode = DecodeSettings(**{**raw, "stop": tuple(raw["stop"])})
    return load_engine(folder, deployment["engine"], threads=deployment["threads"], decode=decode)
