"""Concurrent writes of one kind, done in one transaction: they share its statements and its commit.

Whoever comes while a transaction is under way waits for the next one, so that alone nobody waits and in a crowd few
commits serve many. Each caller is answered only after the commit that holds what they asked for.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Value = TypeVar("Value")
# for each item what came of it, or the refusal that is its own alone
Write = Callable[[Sequence[Item]], Awaitable[Sequence[Value | Exception]]]

MOST, FEW = 64, 8


class Gathered(Generic[Item, Value]):
    """Writes by items. `alike` is the same for those that may share a transaction, `apart` for those that may not.

    A write that fails as a whole is done again for each of its items alone, so that none pays for another: it must
    have taken back what it did, or know again what it did before.
    """

    def __init__(
        self,
        write: "Write[Item, Value]",
        *,
        alike: Callable[[Item], Hashable],
        apart: Callable[[Item], Hashable],
        width: int,
    ) -> None:
        self._write = write
        self._alike = alike
        self._apart = apart
        self._width = width
        self._waiting: list[tuple[Item, asyncio.Future[Value]]] = []
        self._under_way: set[asyncio.Task[None]] = set()
        self._pending = 0  # who waits, and who is written

    async def do(self, item: Item) -> Value:
        """Return what came of the item, or raise what refused it. Who is cancelled meanwhile may have been written."""
        answer: asyncio.Future[Value] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        self._pending += 1
        self._start()
        try:
            return await answer
        finally:
            self._pending -= 1

    def _start(self) -> None:
        if self._waiting and len(self._under_way) < self._width:
            task = asyncio.get_running_loop().create_task(self._run())
            self._under_way.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        # whoever came after the last look at those who wait finds a free place, or is started here
        self._under_way.discard(task)
        self._start()

    async def _run(self) -> None:
        while self._waiting:
            await self._answer(self._next())

    def _next(self) -> "list[tuple[Item, asyncio.Future[Value]]]":
        """Take those who wait and may share a transaction with the one who waits longest, and leave others some.

        All who are answered together come again together: were they taken at once, one transaction would be prepared
        while nobody writes, and nobody prepared while one is written.
        """
        most = min(MOST, max(FEW, -(-self._pending // self._width)))
        kind, keys = self._alike(self._waiting[0][0]), set[Hashable]()
        taken: list[tuple[Item, asyncio.Future[Value]]] = []
        left: list[tuple[Item, asyncio.Future[Value]]] = []
        for place, one in enumerate(self._waiting):
            if len(taken) == most:
                left += self._waiting[place:]
                break
            key = self._apart(one[0])
            if self._alike(one[0]) == kind and key not in keys:
                keys.add(key)
                taken.append(one)
            else:
                left.append(one)
        self._waiting = left
        return taken

    async def _answer(self, batch: "Sequence[tuple[Item, asyncio.Future[Value]]]") -> None:
        try:
            said = await self._write([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 (whatever it was, it is said to whom it concerns)
            if len(batch) == 1:
                _settle(batch[0][1], error)
            else:
                await asyncio.gather(*(self._answer([one]) for one in batch))
            return
        except BaseException:
            for _, answer in batch:
                answer.cancel()
            raise
        for (_, answer), value in zip(batch, said, strict=True):
            _settle(answer, value)


def _settle(answer: "asyncio.Future[Value]", value: Value | Exception) -> None:
    if answer.done():
        return
    if isinstance(value, Exception):
        answer.set_exception(value)
    else:
        answer.set_result(value)
