"""Writes that come at the same time share a transaction, and none pays for another."""

import asyncio
from collections.abc import Sequence

import pytest

from domain.gather import MOST, Gathered


class Store:
    """A slow store that knows how it was written; some numbers it refuses, and some break the whole write."""

    def __init__(self, *, width: int = 1) -> None:
        self.writes: list[list[int]] = []
        self.go = asyncio.Event()
        self.gathered = Gathered(self.write, alike=lambda n: n < 1_000, apart=lambda n: n % 100, width=width)

    async def write(self, numbers: Sequence[int]) -> list[int | Exception]:
        """Answer ten times the number when told to."""
        self.writes.append(list(numbers))
        await self.go.wait()
        if any(n % 10 == 9 for n in numbers):
            raise OSError("broken")
        return [ValueError(n) if n % 10 == 8 else n * 10 for n in numbers]


async def settled() -> None:
    """Let everything run that can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_whoever_comes_while_a_write_is_under_way_shares_the_next_one() -> None:
    store = Store()
    asked = [asyncio.ensure_future(store.gathered.do(0))]
    await settled()
    asked += [asyncio.ensure_future(store.gathered.do(n)) for n in range(1, 8)]
    await settled()
    before = [one.done() for one in asked]

    store.go.set()
    found = await asyncio.gather(*asked)

    assert not any(before)
    assert found == [n * 10 for n in range(8)]
    assert store.writes == [[0], [1, 2, 3, 4, 5, 6, 7]]


async def test_what_is_refused_is_refused_alone() -> None:
    store = Store()
    store.go.set()

    found = await asyncio.gather(*(store.gathered.do(n) for n in (1, 8, 2)), return_exceptions=True)

    assert [found[0], found[2]] == [10, 20]
    assert isinstance(found[1], ValueError)
    assert sum(map(len, store.writes)) == 3


async def test_a_write_that_fails_is_done_again_for_each_alone() -> None:
    store = Store()
    first = asyncio.ensure_future(store.gathered.do(0))
    await settled()
    asked = [asyncio.ensure_future(store.gathered.do(n)) for n in (1, 9, 2)]
    store.go.set()

    found = await asyncio.gather(first, *asked, return_exceptions=True)

    assert [found[0], found[1], found[3]] == [0, 10, 20]
    assert isinstance(found[2], OSError)
    assert store.writes == [[0], [1, 9, 2], [1], [9], [2]]


async def test_those_who_must_not_share_a_write_do_not() -> None:
    store = Store()
    first = asyncio.ensure_future(store.gathered.do(0))
    await settled()
    # 1 and 101 have the same key, and 1001 is of another kind
    asked = [asyncio.ensure_future(store.gathered.do(n)) for n in (1, 101, 1_001, 2)]
    store.go.set()

    assert await asyncio.gather(first, *asked) == [0, 10, 1_010, 10_010, 20]
    assert store.writes == [[0], [1, 2], [101], [1_001]]


async def test_a_write_is_bounded() -> None:
    store = Store()
    first = asyncio.ensure_future(store.gathered.do(0))
    await settled()
    wide = [n + n // 7 * 3 for n in range(1, MOST + 6)]  # none ends in 8 or 9
    keys = {n % 100 for n in wide}
    asked = [asyncio.ensure_future(store.gathered.do(n)) for n in wide if n % 10 not in (8, 9)]
    store.go.set()
    await asyncio.gather(first, *asked)

    assert len(keys) > MOST / 2
    assert max(map(len, store.writes)) <= MOST


async def test_whoever_leaves_takes_nothing_from_the_others() -> None:
    store = Store()
    first = asyncio.ensure_future(store.gathered.do(0))
    await settled()
    leaver, stayer = (asyncio.ensure_future(store.gathered.do(n)) for n in (1, 2))
    await settled()
    leaver.cancel()
    store.go.set()

    assert [await first, await stayer] == [0, 20]
    with pytest.raises(asyncio.CancelledError):
        await leaver


async def test_no_more_writes_are_under_way_than_there_are_lanes_and_none_is_forgotten() -> None:
    store = Store(width=2)
    asked = [asyncio.ensure_future(store.gathered.do(n)) for n in (1, 2, 3, 1_001, 1_002)]
    await settled()
    assert len(store.writes) == 2

    store.go.set()
    await asyncio.gather(*asked)
    again = await store.gathered.do(4)

    assert again == 40
