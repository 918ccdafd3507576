"""A Triton for tests: a real gRPC server that speaks the KServe v2 service through tritonclient's own protos.

It stands where the real one stands (`async with FakeTriton() as triton: triton.url`) and behaves as 2.51 was seen to:
a model goes on being READY when its process has died, unloading takes a moment, and a decoupled model ends its stream
with an empty final response. A model answers with the words of its prompt, a word a response, again up to max_tokens.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Self

import grpc
import numpy as np
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc
from tritonclient.utils import serialize_byte_tensor

VLLM_INPUTS = {
    "text_input": "STRING",
    "stream": "BOOL",
    "sampling_parameters": "STRING",
    "exclude_input_in_output": "BOOL",
    "return_finish_reason": "BOOL",
    "return_logprobs": "BOOL",
    "return_num_input_tokens": "BOOL",
    "return_num_output_tokens": "BOOL",
}
OUR_INPUTS = {**VLLM_INPUTS, "suffix": "STRING", "max_tokens": "INT32"}


@dataclass
class FakeModel:
    """`inputs`: declared tensors. `pause_seconds` before each word. `dead`: still READY, answers with an error."""

    inputs: dict[str, str] = field(default_factory=lambda: dict(OUR_INPUTS))
    max_batch_size: int = 0
    pause_seconds: float = 0.0
    dead: bool = False
    loaded: bool = True
    unloading: int = 0  # how many more looks at the index still see it unloading


class FakeTriton(service_pb2_grpc.GRPCInferenceServiceServicer):
    """`requests`: decoded inputs of every stream. `cancelled`: streams whose caller left before the end."""

    def __init__(self, **models: FakeModel) -> None:
        self.models = models or {"tiny": FakeModel()}
        self.requests: list[dict[str, Any]] = []
        self.shapes: list[dict[str, list[int]]] = []
        self.cancelled = 0
        self.config_reads = 0

    async def __aenter__(self) -> Self:
        self.server = grpc.aio.server()
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self, self.server)
        self.url = f"127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}"
        await self.server.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.server.stop(None)

    async def ServerLive(self, request: Any, context: Any) -> Any:
        return service_pb2.ServerLiveResponse(live=True)

    async def ServerReady(self, request: Any, context: Any) -> Any:
        return service_pb2.ServerReadyResponse(ready=True)

    async def ModelReady(self, request: Any, context: Any) -> Any:
        model = self.models.get(request.name)
        return service_pb2.ModelReadyResponse(ready=model is not None and model.loaded)

    async def ModelConfig(self, request: Any, context: Any) -> Any:
        self.config_reads += 1
        model = await self._loaded(request.name, context)
        config = model_config_pb2.ModelConfig(name=request.name, max_batch_size=model.max_batch_size)
        for name, kind in model.inputs.items():
            config.input.add(name=name, data_type=f"TYPE_{kind}", dims=[1])
        return service_pb2.ModelConfigResponse(config=config)

    async def RepositoryIndex(self, request: Any, context: Any) -> Any:
        index = service_pb2.RepositoryIndexResponse()
        for name, model in self.models.items():
            model.unloading = max(model.unloading - 1, 0)
            state = "UNLOADING" if model.unloading else "READY" if model.loaded else "UNAVAILABLE"
            index.models.add(name=name, version="1", state=state)
        return index

    async def RepositoryModelLoad(self, request: Any, context: Any) -> Any:
        model = self.models.get(request.model_name)
        if model is None or model.dead or model.unloading:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"failed to load '{request.model_name}', no version")
        model.loaded = True
        return service_pb2.RepositoryModelLoadResponse()

    async def RepositoryModelUnload(self, request: Any, context: Any) -> Any:
        model = self.models[request.model_name]
        model.loaded, model.dead, model.unloading = False, False, 3
        return service_pb2.RepositoryModelUnloadResponse()

    async def ModelStreamInfer(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        finished = False
        try:
            async for request in requests:
                async for response in self._answer(request):
                    yield response
            finished = True
        finally:
            self.cancelled += not finished

    async def _answer(self, request: Any) -> AsyncIterator[Any]:
        model = self.models.get(request.model_name)
        if model is None or not model.loaded:
            yield _error(f"Request for unknown model: '{request.model_name}' is not found")
            return
        if model.dead:
            yield _error(f"Stub process '{request.model_name}_0_0' is not healthy.")
            return
        inputs = _decoded(request)
        self.requests.append(inputs)
        self.shapes.append({tensor.name: list(tensor.shape) for tensor in request.inputs})
        sampling = json.loads(inputs.get("sampling_parameters", "{}"))
        words = inputs["text_input"].split() or ["(nothing)"]
        limit = sampling.get("max_tokens", inputs.get("max_tokens", len(words)))
        for index in range(limit):
            await asyncio.sleep(model.pause_seconds)
            yield _word(request, words[index % len(words)] + " ", "length" if index == limit - 1 else "", len(words))
        yield _final(request)

    async def _loaded(self, name: str, context: Any) -> FakeModel:
        model = self.models.get(name)
        if model is None or not model.loaded:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"Request for unknown model: '{name}' is not found")
        assert model is not None
        return model


def _decoded(request: Any) -> dict[str, Any]:
    """Values of the inputs; strings come length-prefixed, four bytes little-endian."""
    raw = dict(zip([tensor.name for tensor in request.inputs], request.raw_input_contents, strict=True))
    kinds = {tensor.name: tensor.datatype for tensor in request.inputs}
    dtypes = {"BOOL": np.bool_, "INT32": np.int32, "FP32": np.float32, "UINT64": np.uint64}
    return {
        name: value[4:].decode() if kinds[name] == "BYTES" else np.frombuffer(value, dtypes[kinds[name]])[0].item()
        for name, value in raw.items()
    }


def _word(request: Any, text: str, finish: str, n_prompt: int) -> Any:
    response = service_pb2.ModelInferResponse(model_name=request.model_name, model_version="1", id=request.id)
    for name, value in (("text_output", text), ("finish_reason", finish)):
        response.outputs.add(name=name, datatype="BYTES", shape=[1])
        response.raw_output_contents.append(serialize_byte_tensor(np.array([value.encode()], dtype=object)).item())
    for name, count in (("num_input_tokens", n_prompt), ("num_output_tokens", 1)):
        response.outputs.add(name=name, datatype="UINT32", shape=[1])
        response.raw_output_contents.append(np.array([count], dtype=np.uint32).tobytes())
    response.parameters["triton_final_response"].bool_param = False
    return service_pb2.ModelStreamInferResponse(infer_response=response)


def _final(request: Any) -> Any:
    response = service_pb2.ModelInferResponse(model_name=request.model_name, model_version="1", id=request.id)
    response.parameters["triton_final_response"].bool_param = True
    return service_pb2.ModelStreamInferResponse(infer_response=response)


def _error(message: str) -> Any:
    return service_pb2.ModelStreamInferResponse(error_message=message, infer_response=service_pb2.ModelInferResponse())
