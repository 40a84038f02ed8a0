"""Concurrent reads of one kind, answered by one statement."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping, Sequence
from itertools import islice
from typing import Any, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")
Read = Callable[[Sequence[Key]], Awaitable[Mapping[Key, Value]]]

WIDTH = 2  # statements under way at once; whoever comes then waits for the next one
MOST_KEYS = 200


class Coalesced(Generic[Key, Value]):
    """Reads by key. A read always runs in a statement that began after it was asked for, so it misses no write before.

    All keys are read with the same rights: one instance serves one scope, and what may be asked is decided before.
    `may_begin` tells by how many are under way whether one more may be; where there are none, it must. With `patience`,
    one more begins when for so many seconds none did and somebody waits. Where `stops`, a read ends when all who asked
    have left.
    """

    def __init__(
        self,
        read: Read[Key, Value],
        *,
        most: int = MOST_KEYS,
        may_begin: Callable[[int], bool] = lambda under_way: under_way < WIDTH,
        patience: float | None = None,
        stops: bool = False,
    ) -> None:
        self._read = read
        self._most = most
        self._may_begin = may_begin
        self._patience = patience
        self._stops = stops
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: dict[Key, list[_Answer[Key, Value]]] = {}
        self._under_way: dict[asyncio.Task[None], Collection[_Answer[Key, Value]]] = {}

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
        if self._may_begin(len(self._under_way)):
            self._start()
        elif self._timer is None:
            self._set_timer()
        try:
            return await answer.made
        except asyncio.CancelledError:
            if self._stops:
                self._leave()
            raise

    def _start(self) -> None:
        task = asyncio.get_running_loop().create_task(self._run())
        self._under_way[task] = ()
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        del self._under_way[task]
        if self._waiting and self._may_begin(len(self._under_way)):
            self._start()

    def _may_go_on(self) -> bool:
        return len(self._under_way) == 1 or self._may_begin(len(self._under_way) - 1)

    def _set_timer(self) -> None:
        """Have one more begin if none does in time, counted from now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiting and self._patience is not None:
            self._timer = asyncio.get_running_loop().call_later(self._patience, self._lose_patience)

    def _lose_patience(self) -> None:
        self._timer = None
        self._start()

    def _leave(self) -> None:
        """End what is read for nobody any more."""
        for task, answers in self._under_way.items():
            if answers and all(answer.made.done() for answer in answers):
                task.cancel()

    def _taken(self) -> dict[Key, list["_Answer[Key, Value]"]]:
        """Return the keys to be read next with who waits for each, but those that nobody waits for any more."""
        keys = [*islice(self._waiting, self._most)]
        batch = {key: [answer for answer in self._waiting.pop(key) if not answer.made.done()] for key in keys}
        self._set_timer()
        return {key: answers for key, answers in batch.items() if answers}

    async def _run(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        is_first = True
        # one that began for want of patience does not stay
        while self._waiting and (is_first or self._may_go_on()):
            is_first = False
            batch = self._taken()
            if not batch:
                continue
            self._under_way[task] = answers = {answer for those in batch.values() for answer in those}
            try:
                found: Mapping[Key, Any] = await self._read([*batch])
            except BaseException as error:
                for answer in answers:
                    answer.fail(error)
                if not isinstance(error, Exception):
                    raise
                continue
            for key, those in batch.items():
                for answer in those:
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
