"""Concurrent reads of one kind, answered by one statement."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Any, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")
Read = Callable[[Sequence[Key]], Awaitable[Mapping[Key, Value]]]

WIDTH = 2  # statements under way at once; whoever comes then waits for the next one
MOST_KEYS = 200


class Coalesced(Generic[Key, Value]):
    """Reads by key. A read always runs in a statement that began after it was asked for, so it misses no write before.

    All keys are read with the same rights: one instance serves one scope, and what may be asked is decided before.
    """

    def __init__(self, read: Read[Key, Value]) -> None:
        self._read = read
        self._waiting: dict[Key, list[asyncio.Future[Value | None]]] = {}
        self._under_way: set[asyncio.Task[None]] = set()

    async def load(self, key: Key) -> Value | None:
        """Return the value of a key, or None where there is none; raise what the read raised."""
        # each waits for an answer of its own, so that one who leaves takes nothing from the others
        answer: asyncio.Future[Value | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append(answer)
        if len(self._under_way) < WIDTH:
            self._start()
        return await answer

    def _start(self) -> None:
        task = asyncio.get_running_loop().create_task(self._run())
        self._under_way.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._under_way.discard(task)
        if self._waiting and len(self._under_way) < WIDTH:
            self._start()

    async def _run(self) -> None:
        while self._waiting:
            keys = list(self._waiting)[:MOST_KEYS]
            batch = [(key, self._waiting.pop(key)) for key in keys]
            try:
                found: Mapping[Key, Any] = await self._read(keys)
            except BaseException as error:
                for _, answers in batch:
                    _fail(answers, error)
                if not isinstance(error, Exception):
                    raise
            else:
                for key, answers in batch:
                    _answer(answers, found.get(key))


def _answer(answers: list["asyncio.Future[Any]"], value: Any) -> None:
    for answer in answers:
        if not answer.done():
            answer.set_result(value)


def _fail(answers: list["asyncio.Future[Any]"], error: BaseException) -> None:
    for answer in answers:
        if not answer.done():
            answer.set_exception(error) if isinstance(error, Exception) else answer.cancel()
