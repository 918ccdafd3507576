"""The control plane's Triton client, against a server of the same standing as the real one."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from playground_app import triton as module
from playground_app.completions import CompletionRequest
from playground_app.triton import Refused, Triton, Unreachable
from tests.playground.fake_triton import VLLM_INPUTS, FakeModel, FakeTriton

HELLO = CompletionRequest(prompt="one two three", max_tokens=4)


@contextlib.asynccontextmanager
async def connected(**models: FakeModel) -> AsyncIterator[tuple[FakeTriton, Triton]]:
    async with FakeTriton(**models) as server:
        client = Triton(server.url)
        try:
            yield server, client
        finally:
            await client.close()


async def text(client: Triton, request: CompletionRequest, model: str = "tiny") -> str:
    return "".join([chunk.text async for chunk in client.stream_completion(request, model=model)])


async def until(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_completion_arrives_in_chunks_and_ends_with_a_reason() -> None:
    async with connected() as (_, client):
        chunks = [chunk async for chunk in client.stream_completion(HELLO, model="tiny")]
    assert [chunk.text for chunk in chunks] == ["one ", "two ", "three ", "one "]
    assert [chunk.finish_reason for chunk in chunks] == [None, None, None, "length"]
    assert (chunks[0].n_tokens, chunks[0].n_prompt_tokens) == (1, 3)


async def test_only_settings_that_were_given_travel() -> None:
    async with connected() as (server, client):
        request = CompletionRequest(prompt="a b", max_tokens=2, temperature=0.0, stop=("\n",), suffix="tail")
        await text(client, request)
    (sent,) = server.requests
    assert json.loads(sent["sampling_parameters"]) == {"max_tokens": 2, "temperature": 0.0, "stop": ["\n"]}
    assert (sent["suffix"], sent["stream"], sent["exclude_input_in_output"]) == ("tail", True, True)


async def test_a_vllm_model_is_sent_only_what_it_declares() -> None:
    async with connected(tiny=FakeModel(inputs=dict(VLLM_INPUTS))) as (server, client):
        assert await text(client, HELLO) == "one two three one "
    assert set(server.requests[0]) <= set(VLLM_INPUTS)


async def test_a_model_with_a_batch_dimension_and_one_tensor_a_setting_is_served_by_the_same_client() -> None:
    inputs = {"text_input": "STRING", "max_tokens": "INT32", "temperature": "FP32", "stream": "BOOL"}
    async with connected(tiny=FakeModel(inputs=inputs, max_batch_size=8)) as (server, client):
        await text(client, CompletionRequest(prompt="a", max_tokens=2, temperature=0.5))
    assert server.requests == [{"text_input": "a", "max_tokens": 2, "temperature": 0.5, "stream": True}]
    assert set(map(tuple, server.shapes[0].values())) == {(1, 1)}


async def test_a_suffix_for_a_model_that_takes_none_is_refused_not_dropped() -> None:
    async with connected(tiny=FakeModel(inputs=dict(VLLM_INPUTS))) as (server, client):
        with pytest.raises(Refused, match="suffix"):
            await text(client, CompletionRequest(prompt="a", suffix="b"))
    assert server.requests == []


async def test_a_models_configuration_is_read_once_and_again_after_a_load() -> None:
    async with connected() as (server, client):
        await text(client, HELLO)
        await text(client, HELLO)
        assert server.config_reads == 1
        await client.load("tiny")
        await text(client, HELLO)
    assert server.config_reads == 2


async def test_closing_the_iterator_cancels_the_work() -> None:
    endless = CompletionRequest(prompt="a b", max_tokens=4000)
    async with connected(tiny=FakeModel(pause_seconds=0.005)) as (server, client):
        stream = client.stream_completion(endless, model="tiny")
        assert (await anext(stream)).text == "a "
        await stream.aclose()
        await until(lambda: server.cancelled == 1)
        assert await text(client, HELLO) == "one two three one "


async def test_cancelling_the_task_that_reads_cancels_the_work_too() -> None:
    endless = CompletionRequest(prompt="a b", max_tokens=4000)
    async with connected(tiny=FakeModel(pause_seconds=0.005)) as (server, client):
        task = asyncio.create_task(text(client, endless))
        await until(lambda: server.requests)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: server.cancelled == 1)


async def test_a_model_whose_process_died_is_ready_to_triton_but_not_to_its_canary() -> None:
    async with connected(tiny=FakeModel(dead=True)) as (_, client):
        assert await client.is_ready("tiny")
        canary = await client.canary("tiny")
    assert not canary.ok
    assert "not healthy" in canary.detail


async def test_unloading_waits_until_the_model_is_gone_so_that_a_load_heals_it() -> None:
    async with connected(tiny=FakeModel(dead=True)) as (_, client):
        with pytest.raises(Refused):
            await client.load("tiny")
        await client.unload("tiny")
        await client.load("tiny")
        assert (await client.canary("tiny")).ok


async def test_a_model_that_is_not_there_is_refused_by_name() -> None:
    async with connected() as (_, client):
        assert not await client.is_ready("nix")
        with pytest.raises(Refused, match="nix"):
            await text(client, HELLO, "nix")


async def test_a_server_that_is_not_there_is_unreachable() -> None:
    client = Triton("127.0.0.1:1")
    assert not await client.is_live()
    assert not (await client.canary("tiny")).ok
    with pytest.raises(Unreachable):
        await text(client, HELLO)
    await client.close()


async def test_without_an_address_the_client_says_which_setting_is_missing(settings: Any) -> None:
    settings.TRITON_URL = ""
    with pytest.raises(Unreachable, match="TRITON_URL"):
        module.connection()


async def test_an_event_loop_has_one_connection(settings: Any) -> None:
    async with FakeTriton() as server:
        settings.TRITON_URL = server.url
        first = module.connection()
        assert module.connection() is first
        assert await first.is_live()
        await first.close()


async def test_undeploying_unloads_now_and_after_restarts(settings: Any, tmp_path: Any) -> None:
    settings.TRITON_MODEL_REPOSITORY = tmp_path
    (tmp_path / "tiny").mkdir()
    async with FakeTriton() as server:
        settings.TRITON_URL = server.url
        await sync_to_async(module.undeploy, thread_sensitive=False)("tiny")
        assert not server.models["tiny"].loaded
    assert (tmp_path / "tiny" / "unloaded").exists()
