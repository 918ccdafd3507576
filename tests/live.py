"""Real servers for tests: the site under uvicorn, and a FakeTriton, each in a thread of its own.

A pytest plugin (tests/conftest.py names it). Django's own live_server is a WSGI server, which collects a stream before
it sends the first byte: what streams is tested on `web`.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests import factories

if TYPE_CHECKING:
    from controlplane.access.models import Project
    from tests.playground.fake_triton import FakeTriton

START_SECONDS = 30.0  # for what takes a blink on a quiet machine


@dataclass
class LiveServer:
    url: str


@contextmanager
def uvicorn_server() -> Iterator[str]:
    """The site's URL, static files included."""
    import uvicorn
    from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
    from django.core.asgi import get_asgi_application

    app = ASGIStaticFilesHandler(get_asgi_application())
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="warning", timeout_graceful_shutdown=5))
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [door]}, daemon=True)
        thread.start()
        wait_for(lambda: server.started)
        yield f"http://127.0.0.1:{door.getsockname()[1]}"
        server.should_exit = True
        thread.join(START_SECONDS)


@contextmanager
def triton_server(**models: Any) -> Iterator[FakeTriton]:
    """A FakeTriton on an event loop of its own."""
    from tests.playground.fake_triton import FakeTriton

    triton, started = FakeTriton(**models), threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        async with triton:
            started.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert started.wait(START_SECONDS)
    yield triton
    loop.call_soon_threadsafe(stop.set)
    thread.join(START_SECONDS)
    loop.close()


def wait_for(condition: Callable[[], Any]) -> Any:
    """What `condition` answers once that is true. Fails after START_SECONDS."""
    deadline = time.monotonic() + START_SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline, "It did not happen in time."
        time.sleep(0.02)
    return found


@dataclass
class Served:
    """v1 of `completer` is on production and v2 on staff, both loaded on `triton`."""

    production: Any
    staff: Any
    triton: FakeTriton


@pytest.fixture
def served(project: Project, settings: Any) -> Iterator[Served]:
    from tests.playground.fake_triton import FakeModel

    version = factories.make_dataset_version(project)
    shards = factories.make_shard_set(version, factories.make_tokenizer(version))
    deployments = []
    for number, alias in ((1, "production"), (2, "staff")):
        model = factories.make_model_version(factories.make_training_run(shards, name=f"run-{number}"), number)
        factories.make_evaluation(model)
        factories.make_promotion(model, alias)
        deployments.append(factories.make_deployment(model, served_name=f"served-{number}"))
    with triton_server(**{row.served_name: FakeModel() for row in deployments}) as triton:
        settings.TRITON_URL = triton.url
        yield Served(*deployments, triton)


@pytest.fixture
def web(transactional_db: None, settings: Any) -> Iterator[LiveServer]:
    settings.ALLOWED_HOSTS = ["127.0.0.1"]
    with uvicorn_server() as url:
        yield LiveServer(url)
