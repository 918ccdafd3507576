"""Work done by a few threads, its results in the order they end: what judging and asking an endpoint have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice, takewhile
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def as_they_end(
    work: Callable[[Item], Result], items: Iterable[Item], threads: int, taken: int, stopping: Callable[[], bool]
) -> Iterator[list[Result]]:
    """Results of `work`, those that ended together in one list; at most `taken` items are begun or waiting at a time.
    A single thread is the caller's own: an engine wants to be driven by who made it.

    When `stopping` says so, or one item fails, no more are begun; what was begun is still given. Then the first failure
    is raised: others lose nothing by it.
    """
    if threads == 1:
        yield from ([work(item)] for item in takewhile(lambda _: not stopping(), items))
        return
    waiting, running = iter(items), set[Future[Result]]()
    failure: BaseException | None = None
    with ThreadPoolExecutor(threads, thread_name_prefix=work.__name__) as pool:
        while True:
            if failure is None and not stopping():
                running |= {pool.submit(work, item) for item in islice(waiting, taken - len(running))}
            if not running:
                break
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            failure = failure or next(filter(None, (future.exception() for future in ended)), None)
            results = [future.result() for future in ended if future.exception() is None]
            if results:
                yield results
    if failure is not None:
        raise failure
