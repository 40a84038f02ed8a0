"""Reads that come at the same time share statements, and never an answer that is older than the question."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from domain.coalesce import MOST_KEYS, WIDTH, Coalesced


class Store:
    """A slow store of numbers that knows how it was read."""

    def __init__(self) -> None:
        self.values: dict[int, int] = {}
        self.reads: list[list[int]] = []
        self.under_way = self.most_under_way = 0
        self.go = asyncio.Event()

    async def read(self, keys: Sequence[int]) -> Mapping[int, int]:
        """Take what is there when the read begins, and answer when told to."""
        self.reads.append(list(keys))
        found = {key: self.values[key] for key in keys if key in self.values}
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await self.go.wait()
        self.under_way -= 1
        if -1 in keys:
            raise OSError("gone")
        return found


async def settled() -> None:
    """Let everything run that can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_those_who_come_together_are_read_together_and_each_gets_their_own() -> None:
    store = Store()
    store.values = {n: n * 10 for n in range(50)}
    store.go.set()
    reads = Coalesced(store.read)

    found = await asyncio.gather(*(reads.load(n % 50) for n in range(100)), reads.load(999))

    assert found == [n % 50 * 10 for n in range(100)] + [None]
    assert sum(map(len, store.reads)) == 51
    assert len(store.reads) <= WIDTH


async def test_whoever_comes_while_a_read_is_under_way_sees_what_was_written_before_they_came() -> None:
    store = Store()
    store.values = {1: 10}
    reads = Coalesced(store.read)
    early = [asyncio.ensure_future(reads.load(1)) for _ in range(WIDTH)]
    await settled()
    later_reads = len(store.reads)

    store.values[1] = 11
    late = asyncio.ensure_future(reads.load(1))
    await settled()
    store.go.set()

    assert [await one for one in early] == [10] * WIDTH
    assert await late == 11
    assert len(store.reads) > later_reads


async def test_no_more_statements_are_under_way_than_allowed_and_none_asks_for_too_many_keys() -> None:
    store = Store()
    reads = Coalesced(store.read)
    loads = []
    for n in range(3 * MOST_KEYS):
        loads.append(asyncio.ensure_future(reads.load(n)))
        if n % 100 == 0:
            await settled()

    store.go.set()
    await asyncio.gather(*loads)

    assert store.most_under_way == WIDTH
    assert max(map(len, store.reads)) <= MOST_KEYS


async def test_a_read_that_fails_fails_for_those_it_was_for_and_the_next_one_holds() -> None:
    store = Store()
    store.values = {1: 10}
    store.go.set()
    reads = Coalesced(store.read)

    failed = await asyncio.gather(reads.load(-1), reads.load(1), return_exceptions=True)

    assert [type(one) for one in failed] == [OSError, OSError]
    assert await reads.load(1) == 10


async def test_a_caller_who_leaves_takes_nothing_from_the_others() -> None:
    store = Store()
    store.values = {1: 10}
    reads = Coalesced(store.read)
    leaving, staying = asyncio.ensure_future(reads.load(1)), asyncio.ensure_future(reads.load(1))
    await settled()

    leaving.cancel()
    await settled()
    store.go.set()

    assert await staying == 10
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert await reads.load(1) == 10


async def test_one_who_comes_as_the_last_read_ends_is_not_forgotten() -> None:
    store = Store()
    store.values = {1: 10, 2: 20}
    store.go.set()
    reads = Coalesced(store.read)

    for turn in range(200):
        first = asyncio.ensure_future(reads.load(1))
        for _ in range(turn % 7):
            await asyncio.sleep(0)
        async with asyncio.timeout(1):
            assert (await reads.load(2), await first) == (20, 10)


async def test_where_one_at_a_time_may_be_under_way_whoever_waits_is_read_next() -> None:
    store = Store()
    reads = Coalesced(store.read, most=3, may_begin=lambda under_way: under_way == 0)
    loads = [asyncio.ensure_future(reads.load(0))]
    await settled()
    loads += [asyncio.ensure_future(reads.load(n)) for n in range(1, 6)]
    await settled()
    assert store.reads == [[0]]

    store.go.set()
    await asyncio.gather(*loads)

    assert store.reads == [[0], [1, 2, 3], [4, 5]]
    assert store.most_under_way == 1


async def test_one_more_begins_where_none_did_for_long_and_somebody_waits() -> None:
    store = Store()
    reads = Coalesced(store.read, most=2, may_begin=lambda under_way: under_way == 0, patience=0.05)
    loads = [asyncio.ensure_future(reads.load(0))]
    await settled()
    loads += [asyncio.ensure_future(reads.load(n)) for n in range(1, 6)]

    await asyncio.sleep(0.08)
    assert store.reads == [[0], [1, 2]]
    await asyncio.sleep(0.05)
    assert store.reads == [[0], [1, 2], [3, 4]]

    loads += [asyncio.ensure_future(reads.load(n)) for n in range(6, 20)]
    store.go.set()
    await asyncio.gather(*loads)
    # and no more than one goes on
    assert store.most_under_way == 3
    assert len(reads._under_way) <= 1


async def test_a_read_goes_on_when_all_have_left_unless_it_stops() -> None:
    for stops in (False, True):
        store = Store()
        reads = Coalesced(store.read, stops=stops)
        leaving = [asyncio.ensure_future(reads.load(1)) for _ in range(2)]
        await settled()
        under_way = [*reads._under_way]

        for one in leaving:
            one.cancel()
        await settled()

        assert [task.done() for task in under_way] == [stops] * len(under_way)
        store.go.set()
        assert await reads.load(1) is None
