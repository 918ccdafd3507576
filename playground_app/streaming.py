"""One completion in the making: text from Triton, timed and kept, however it ends.

The row is written beside the stream, not before it: nobody's first token waits for Postgres. It is there, as `running`,
soon after the first token has gone out, so that feedback finds it. Leaving the iterator early (a keystroke, a closed
tab) cancels the work in the engine and keeps what had come, as `cancelled`.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import close_old_connections

from controlplane.access.models import User
from playground_app import actions, triton
from playground_app.completions import Choice, Chunk, CompletionRequest
from playground_app.models import Completion, new_completion_id
from playground_app.routing import Route

SAVE_AFTER_SECONDS = 0.02  # a thread that talks to the database takes turns with the loop that sends the first token
P = ParamSpec("P")
T = TypeVar("T")


async def briefly(query: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Ask the database from the event loop, and hold no connection afterwards: a stream may last a minute."""

    def work() -> T:
        try:
            return query(*args, **kwargs)
        finally:
            close_old_connections()

    return await sync_to_async(work)()


@dataclass
class Answer:
    """What one request is coming to."""

    route: Route
    request: CompletionRequest
    user: User
    origin: str
    language: str = ""
    id: str = field(default_factory=new_completion_id)
    choice: Choice = field(default_factory=lambda: Choice(0))
    begun: float = field(default_factory=time.perf_counter)
    first_token_ms: float | None = None
    saving: asyncio.Task[None] | None = None

    async def stream(self) -> AsyncGenerator[Chunk]:
        """Raises triton.TritonError; what came before it is kept."""
        ended = "error"
        served_name = self.route.deployment.served_name
        chunks = triton.connection().stream_completion(self.request, model=served_name)
        try:
            async with aclosing(chunks):
                async for chunk in chunks:
                    if self.first_token_ms is None:
                        self.first_token_ms = self._elapsed_ms()
                        self.saving = asyncio.create_task(self._save_soon())
                    self.choice.take(chunk)
                    yield chunk
            ended = self.choice.finish_reason or "stop"
        except (asyncio.CancelledError, GeneratorExit):
            ended = "cancelled"
            raise
        finally:
            # Shielded: the request's task may be cancelled a second time while the row is on its way.
            await asyncio.shield(self._finish(ended))

    async def _finish(self, ended: str) -> None:
        if self.saving is not None:
            self.saving.cancel()  # one that has begun is ended by its thread, before the next save of this request
        await self._save(ended)

    async def _save_soon(self) -> None:
        await asyncio.sleep(SAVE_AFTER_SECONDS)
        await self._save("running")

    async def _save(self, ended: str) -> None:
        await briefly(actions.record_completion, completion=self._row(ended))

    def _row(self, ended: str) -> Completion:
        return Completion(
            id=self.id,
            project_id=self.route.deployment.project_id,
            deployment=self.route.deployment,
            user=self.user,
            audience=self.route.audience,
            origin=self.origin,
            language=self.language[:30],
            prompt=self.request.prompt.replace("\0", ""),
            suffix=(self.request.suffix or "").replace("\0", ""),
            text=self.choice.text.replace("\0", ""),
            prompt_sha256=hashlib.sha256(self.request.prompt.encode()).hexdigest(),
            settings=self.request.sampling(),
            finish_reason=ended,
            n_prompt_tokens=self.choice.n_prompt_tokens,
            n_tokens=self.choice.n_tokens,
            first_token_ms=self.first_token_ms,
            total_ms=self._elapsed_ms(),
        )

    def _elapsed_ms(self) -> float:
        return round((time.perf_counter() - self.begun) * 1000, 2)


async def merged(answers: list[Answer]) -> AsyncIterator[tuple[int, Chunk]]:
    """The chunks of several answers as they come, with the index of theirs. The first error ends all."""
    queue: asyncio.Queue[tuple[int, Chunk | Exception | None]] = asyncio.Queue()

    async def pump(index: int, answer: Answer) -> None:
        try:
            async with aclosing(answer.stream()) as chunks:
                async for chunk in chunks:
                    queue.put_nowait((index, chunk))
            queue.put_nowait((index, None))
        except Exception as error:  # whatever it is, the reader raises it: a task's own error would be heard by nobody
            queue.put_nowait((index, error))

    tasks = [asyncio.create_task(pump(index, answer)) for index, answer in enumerate(answers)]
    try:
        left = len(tasks)
        while left:
            index, item = await queue.get()
            if isinstance(item, Exception):
                raise item
            if item is None:
                left -= 1
            else:
                yield index, item
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
