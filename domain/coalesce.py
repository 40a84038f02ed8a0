"""Concurrent reads of one kind, answered by one statement."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping, Sequence
from itertools import chain
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
        self._waiting: dict[Key, list[_Answer[Key, Value]]] = {}
        self._under_way: set[asyncio.Task[None]] = set()

    async def load(self, key: Key) -> Value | None:
        """Return the value of a key, or None where there is none; raise what the read raised."""
        return (await self.load_many([key])).get(key)

    async def load_many(self, keys: Collection[Key]) -> Mapping[Key, Value]:
        """Return the values of the keys that have one; raise what the read raised."""
        if not keys:
            return {}
        # each asker waits for an answer of their own, so that one who leaves takes nothing from the others
        answer: _Answer[Key, Value] = _Answer(len(keys))
        for key in keys:
            self._waiting.setdefault(key, []).append(answer)
        if len(self._under_way) < WIDTH:
            self._start()
        return await answer.made

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
                for answer in chain.from_iterable(answers for _, answers in batch):
                    answer.fail(error)
                if not isinstance(error, Exception):
                    raise
                continue
            for key, answers in batch:
                for answer in answers:
                    answer.add(key, found.get(key))


class _Answer(Generic[Key, Value]):
    """What one asker waits for, which may come by several statements."""

    __slots__ = ("_found", "_missing", "made")

    def __init__(self, keys: int) -> None:
        self.made: asyncio.Future[Mapping[Key, Value]] = asyncio.get_running_loop().create_future()
        self._found: dict[Key, Value] = {}
        self._missing = keys

    def add(self, key: Key, value: Value | None) -> None:
        """Take the value of one of the keys."""
        if value is not None:
            self._found[key] = value
        self._missing -= 1
        if not self._missing and not self.made.done():
            self.made.set_result(self._found)

    def fail(self, error: BaseException) -> None:
        """Let the asker know that there will be no answer."""
        if not self.made.done():
            self.made.set_exception(error) if isinstance(error, Exception) else self.made.cancel()
