"""The one module that knows Triton's address and wire format: completions in, text out, over gRPC.

It speaks the tensors of Triton's vLLM backend, but asks each model once what it declares and sends only that, with a
leading 1 in the shapes when max_batch_size > 0: the CPU model, the vLLM backend and TensorRT-LLM's ensemble differ in
no more than this. Closing the iterator of `stream_completion` cancels the request down to the engine.

A connection belongs to one event loop. Readiness is what a canary says, not Triton's flag: that stays READY when a
model's process has died.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from asgiref.sync import async_to_sync
from django.conf import settings
from tritonclient import utils as triton_types
from tritonclient.grpc import InferInput
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from playground_app.completions import Chunk, CompletionRequest

ANSWER_SECONDS, LOAD_SECONDS, UNLOAD_SECONDS, HEALTH_SECONDS = 60.0, 600.0, 60.0, 3.0
CANARY = CompletionRequest(prompt="def main():\n    ", max_tokens=4, temperature=0.0)
UNLOADED = "unloaded"  # worker.serving.repository: a restart of Triton leaves a model with this file out
UNREACHABLE = {"StatusCode.UNAVAILABLE", "StatusCode.DEADLINE_EXCEEDED"}


class TritonError(Exception):
    """Triton did not do as asked; the text is for people."""


class Unreachable(TritonError):
    """No server answers at the address."""


class Refused(TritonError):
    """The server answered with an error: the model is not there, is full, or does not take the request."""


@dataclass(frozen=True)
class Canary:
    """Whether a model completes text now. `seconds`: wall time of the whole check."""

    ok: bool
    detail: str
    seconds: float


@dataclass(frozen=True)
class Declared:
    """What a model takes: Triton data type by tensor name."""

    inputs: dict[str, str]
    batched: bool

    def tensor(self, name: str, values: list[Any]) -> InferInput:
        """One row of `values` under the declared type; text becomes UTF-8."""
        kind = self.inputs[name]
        library: Any = triton_types  # untyped
        array = np.array([v.encode() if isinstance(v, str) else v for v in values], library.triton_to_np_dtype(kind))
        array = array.reshape(1, -1) if self.batched else array
        make: Any = InferInput
        tensor: InferInput = make(name, list(array.shape), kind).set_data_from_numpy(array)
        return tensor


class Triton:
    """A connection to the server at `url` (host:port of its gRPC endpoint)."""

    def __init__(self, url: str) -> None:
        if not url:
            raise Unreachable("TRITON_URL is not set: no Triton is known.")
        self.url = url
        connect: Any = InferenceServerClient  # untyped
        self.client = connect(url)
        self.declared: dict[tuple[str, str], Declared] = {}

    async def close(self) -> None:
        await self.client.close()

    async def is_live(self) -> bool:
        """Whether a server answers at all."""
        try:
            return bool(await self.client.is_server_live(client_timeout=HEALTH_SECONDS))
        except InferenceServerException:
            return False

    async def is_ready(self, model: str, version: str = "") -> bool:
        """Triton's own flag. A model whose process died still has it: see `canary`."""
        try:
            return bool(await self.client.is_model_ready(model, version, client_timeout=HEALTH_SECONDS))
        except InferenceServerException:
            return False

    async def canary(self, model: str, version: str = "") -> Canary:
        """Complete a few tokens for real. Never raises for a model or server that fails: that is the answer."""
        begun = time.monotonic()
        try:
            chunks = [chunk async for chunk in self.stream_completion(CANARY, model=model, version=version)]
        except TritonError as error:
            return Canary(False, str(error), time.monotonic() - begun)
        ok = any(chunk.text or chunk.finish_reason for chunk in chunks)
        return Canary(ok, "" if ok else "The stream ended without text.", time.monotonic() - begun)

    async def load(self, model: str) -> None:
        """Raises Refused with Triton's own text, traceback included, or Unreachable."""
        self.forget(model)
        try:
            await self.client.load_model(model, client_timeout=LOAD_SECONDS)
        except InferenceServerException as error:
            raise translated(error) from error

    async def unload(self, model: str, *, wait: bool = True) -> None:
        """`wait`: returns when the model's processes are gone; a load before that would fail. Raises TritonError.

        A process that was killed may never be gone: Triton was seen to be still unloading it after 60 s.
        """
        self.forget(model)
        try:
            await self.client.unload_model(model)
            async with asyncio.timeout(UNLOAD_SECONDS):
                while wait and await self._state(model) not in {"UNAVAILABLE", ""}:
                    await asyncio.sleep(0.1)
        except InferenceServerException as error:
            raise translated(error) from error
        except TimeoutError as error:
            raise Refused(f"{model} is still unloading after {UNLOAD_SECONDS:.0f} s.") from error

    async def stream_completion(
        self, request: CompletionRequest, *, model: str, version: str = ""
    ) -> AsyncGenerator[Chunk]:
        """Text as the engine makes it; the last chunk has a finish reason.

        Close the iterator (aclose, or leave its task) to cancel the work in the engine. Raises Refused or Unreachable.
        """
        try:
            declared = await self._declared(model, version)
            inputs = tensors(request, declared)
            call = self.client.stream_infer(_once(model, version, inputs), stream_timeout=ANSWER_SECONDS)
            try:
                async for result, error in call:
                    if error is not None:
                        self.forget(model)
                        raise translated(error)
                    if (chunk := _chunk(result)) is not None:
                        yield chunk
                    if _is_final(result):
                        return
            finally:
                call.cancel()
        except InferenceServerException as error:
            self.forget(model)
            raise translated(error) from error

    def forget(self, model: str) -> None:
        """Its configuration may have changed."""
        self.declared = {key: value for key, value in self.declared.items() if key[0] != model}

    async def _declared(self, model: str, version: str) -> Declared:
        key = (model, version)
        if key not in self.declared:
            config = (await self.client.get_model_config(model, version, client_timeout=HEALTH_SECONDS)).config
            types = type(config.input[0]).DESCRIPTOR.fields_by_name["data_type"].enum_type.values_by_number
            inputs = {item.name: _wire_type(types[item.data_type].name) for item in config.input}
            self.declared[key] = Declared(inputs, config.max_batch_size > 0)
        return self.declared[key]

    async def _state(self, model: str) -> str:
        index = await self.client.get_model_repository_index()
        states = [item.state for item in index.models if item.name == model]
        return next((state for state in states if state != "UNAVAILABLE"), "UNAVAILABLE")


_connections: WeakKeyDictionary[asyncio.AbstractEventLoop, Triton] = WeakKeyDictionary()


def connection() -> Triton:
    """This event loop's connection to the site's server. Raises Unreachable when none is configured."""
    loop = asyncio.get_running_loop()
    url = address()
    known = _connections.get(loop)
    if known is None or known.url != url:
        known = _connections[loop] = Triton(url)
    return known


def address() -> str:
    """host:port of the site's server; `up` sets TRITON_URL for every process it starts. Empty when there is none."""
    return str(settings.TRITON_URL)


def undeploy(served_name: str) -> None:
    """Take a model out of service, now and after restarts. For code outside an event loop. Raises TritonError."""
    folder = Path(settings.TRITON_MODEL_REPOSITORY) / served_name
    if folder.is_dir():
        (folder / UNLOADED).touch()

    async def work() -> None:
        triton = Triton(address())
        try:
            await triton.unload(served_name, wait=False)
        finally:
            await triton.close()

    async_to_sync(work)()


def tensors(request: CompletionRequest, declared: Declared) -> list[InferInput]:
    """The declared ones among all that the three dialects have names for.

    Raises Refused when a suffix, a seed or another setting was given that the model has no tensor for.
    """
    sampling = request.sampling()
    values: dict[str, list[Any]] = {"text_input": [request.prompt], "stream": [True], "exclude_input_in_output": [True]}
    values |= {f"return_{name}": [True] for name in ("finish_reason", "num_input_tokens", "num_output_tokens")}
    values |= {"return_logprobs": [request.logprobs]}
    values |= {"suffix": [request.suffix]} if request.suffix else {}
    if "sampling_parameters" in declared.inputs:
        values["sampling_parameters"] = [json.dumps(sampling)]
        given = {"text_input"} | ({"suffix"} if request.suffix else set())
    else:
        settings_by_tensor = _as_tensors(sampling)
        values |= settings_by_tensor
        given = {"text_input", *settings_by_tensor} | ({"suffix"} if request.suffix else set())
    missing = given - set(declared.inputs)
    if missing:
        raise Refused(f"This model does not take {', '.join(sorted(missing))}.")
    return [declared.tensor(name, value) for name, value in values.items() if name in declared.inputs]


def _as_tensors(sampling: dict[str, Any]) -> dict[str, list[Any]]:
    """TensorRT-LLM's names, one tensor a setting."""
    names = {"stop": "stop_words"}
    return {
        names.get(name, name): list(value) if isinstance(value, tuple) else [value] for name, value in sampling.items()
    }


def translated(error: InferenceServerException) -> TritonError:
    """The server's own UNAVAILABLE (a model that is not there, a full queue) comes with a text about the model."""
    known: Any = error
    message = str(known.message())
    return Unreachable(message) if known.status() in UNREACHABLE and _is_transport(message) else Refused(message)


def _is_transport(message: str) -> bool:
    return any(word in message for word in ("failed to connect", "Connection refused", "Socket closed", "Deadline"))


async def _once(model: str, version: str, inputs: list[InferInput]) -> AsyncIterator[dict[str, Any]]:
    yield {
        "model_name": model,
        "model_version": version,
        "inputs": inputs,
        "enable_empty_final_response": True,
    }


def _wire_type(name: str) -> str:
    """Triton's config says TYPE_STRING where its wire says BYTES."""
    kind = name.removeprefix("TYPE_")
    return "BYTES" if kind == "STRING" else kind


def _chunk(result: Any) -> Chunk | None:
    text = _first(result, "text_output")
    if text is None:
        return None
    return Chunk(
        text=text.decode(),
        finish_reason=_finish((_first(result, "finish_reason") or b"").decode()),
        n_tokens=int(_first(result, "num_output_tokens") or 0),
        n_prompt_tokens=int(_first(result, "num_input_tokens") or 0),
        logprobs=_logprobs(_first(result, "logprobs")),
    )


def _finish(word: str) -> str | None:
    return None if word in {"", "None"} else word  # vLLM's backend writes str(None)


def _logprobs(raw: bytes | None) -> tuple[tuple[str, float], ...]:
    """(token text, natural log probability) of the chosen tokens; vLLM's shape is a list of {id: {...}}."""
    entries = json.loads(raw) if raw else None
    return tuple(
        (item["decoded_token"], item["logprob"]) for entry in entries or () for item in list(entry.values())[:1]
    )


def _first(result: Any, name: str) -> Any:
    values = result.as_numpy(name)
    return None if values is None or not values.size else values.reshape(-1)[0]


def _is_final(result: Any) -> bool:
    parameter = result.get_response().parameters.get("triton_final_response")
    return parameter is not None and bool(parameter.bool_param)
