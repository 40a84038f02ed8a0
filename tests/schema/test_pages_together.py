"""Pages that are read together: when they are, when each is read alone, and that nobody pays for another's page."""

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import asyncpg
import pytest

from domain.direct import Direct, Prepared, TooLong
from domain.errors import Timeout
from domain.scope import Scope
from schema.lookahead import together
from schema.lookahead.together import Pages

ALONE, SEVERAL = Prepared("alone", ["cursor_0"], {}), Prepared("several", ["cursors_0"], {})
SCOPE = Scope("test", None, {})
ODD, LATE = -1, -2


class Busy:
    """Connections that are busy, hold what they are asked until told to go on, and know what that was."""

    is_busy = True

    def __init__(self) -> None:
        self.limit = 9  # how many can be read together in time
        self.most: list[int] = [0]
        self.under_way = 0
        self.asked: list[list[int]] = []
        self.ended: list[list[int]] = []
        self.go = asyncio.Event()
        self.seconds = 0.0

    async def fetch(
        self, scope: Scope, prepared: Prepared, given: Mapping[str, Any], within: float | None = None
    ) -> list[tuple[Any, ...]]:
        """Return of each cursor two rows after it; there are none after 100."""
        assert scope is SCOPE
        cursors = [given["cursor_0"]] if prepared is ALONE else given["cursors_0"]
        self.asked.append(cursors)
        self.under_way += 1
        self.most.append(self.under_way)
        try:
            await self.go.wait()
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.ended.append(cursors)
            raise
        finally:
            self.under_way -= 1
        if within and len(cursors) > self.limit:
            raise TooLong
        if ODD in cursors:
            raise asyncpg.DataError("odd")
        if LATE in cursors:
            raise Timeout("late")
        places = [] if prepared is ALONE else [1]
        return [
            (cursor + more, *[number + place for place in places])
            for number, cursor in enumerate(cursors)
            for more in (1, 2)
            if cursor < 100
        ]


@pytest.fixture
def busy() -> Busy:
    return Busy()


@pytest.fixture
def pages(busy: Busy) -> Pages:
    return Pages(cast("Direct", busy), SCOPE, ALONE, size=2)


def ask(pages: Pages, *cursors: int) -> list["asyncio.Task[Any]"]:
    """Ask for a page after each cursor, at once."""
    return [asyncio.ensure_future(pages.load({"cursor_0": cursor}, lambda: SEVERAL)) for cursor in cursors]


async def settled() -> None:
    for _ in range(8):
        await asyncio.sleep(0)


async def shown(asked: list["asyncio.Task[Any]"]) -> list[list[int]]:
    """Return what each was answered, without the places."""
    return [[row[0] for row in await one] for one in asked]


async def test_who_waits_for_a_statement_is_read_with_others_who_wait_and_each_gets_their_page(
    pages: Pages, busy: Busy
) -> None:
    first = ask(pages, 1)
    await settled()
    others = ask(pages, *range(10, 20), 100, 10)
    await settled()
    assert busy.asked == [[1]]

    busy.go.set()

    assert await shown(first) == [[2, 3]]
    assert await shown(others) == [[n + 1, n + 2] for n in range(10, 20)] + [[], [11, 12]]
    assert busy.asked[1:] == [[*range(10, 18)], [18, 19, 100]]


async def test_while_there_is_room_nobody_waits(pages: Pages, busy: Busy) -> None:
    await _told(pages, busy)
    busy.is_busy = False
    busy.go.clear()

    asked = []
    for cursor in (1, 2, 3):
        asked += ask(pages, cursor)
        await settled()

    assert busy.asked == [[1], [2], [3]]
    busy.go.set()
    assert await shown(asked) == [[2, 3], [3, 4], [4, 5]]


async def test_a_page_that_is_large_is_read_alone(busy: Busy) -> None:
    large = Pages(cast("Direct", busy), SCOPE, ALONE, size=together.MOST_ROWS // 2)

    asked = ask(large, 1, 2, 3)
    await settled()

    assert busy.asked == [[1], [2], [3]]
    busy.go.set()
    assert await shown(asked) == [[2, 3], [3, 4], [4, 5]]


async def test_pages_that_take_long_together_are_read_alone_and_so_are_some_after_them(
    pages: Pages, busy: Busy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(together, "ALONE", 4)
    busy.go.set()
    busy.limit = 0

    assert await shown(ask(pages, 1, 2)) == [[2, 3], [3, 4]]
    busy.limit = 9
    assert await shown(ask(pages, 3, 4)) == [[4, 5], [5, 6]]
    assert await shown(ask(pages, 5, 6, 7)) == [[6, 7], [7, 8], [8, 9]]

    assert sorted(busy.asked[:3]) == [[1], [1, 2], [2]]
    assert sorted(busy.asked[3:5]) == [[3], [4]]
    assert busy.asked[5:] == [[5, 6, 7]]


async def test_who_already_waits_when_pages_take_too_long_is_read_alone_too(pages: Pages, busy: Busy) -> None:
    busy.limit = 0
    asked = ask(pages, *range(1, 25))
    await settled()
    busy.go.set()

    assert await shown(asked) == [[n + 1, n + 2] for n in range(1, 25)]
    assert [len(cursors) for cursors in busy.asked if len(cursors) > 1] == [8]


async def test_several_are_read_alone_until_their_statement_may_be_made(pages: Pages, busy: Busy) -> None:
    busy.go.set()

    found = await asyncio.gather(*(pages.load({"cursor_0": cursor}, lambda: None) for cursor in (1, 2)))

    assert [[row[0] for row in rows] for rows in found] == [[2, 3], [3, 4]]
    assert busy.asked == [[1], [2]]


async def test_nobody_waits_long_for_a_statement_that_does_not_end(
    pages: Pages, busy: Busy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages._shared, "_patience", 0.02)
    asked = ask(pages, 1)
    await settled()
    asked += ask(pages, 2, 3)
    await asyncio.sleep(0.06)

    assert busy.asked == [[1], [2, 3]]
    busy.go.set()
    assert await shown(asked) == [[2, 3], [3, 4], [4, 5]]


async def test_many_who_never_wait_long_are_read_together_whoever_comes_meanwhile(
    pages: Pages, busy: Busy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages._shared, "_patience", 0.05)
    busy.go.set()
    busy.seconds = 0.02
    clients = [asyncio.ensure_future(_keep_asking(pages, number)) for number in range(40)]
    await asyncio.sleep(1)

    # somebody waits all the time, and nobody for as long as that
    assert max(busy.most) <= 2
    assert sum(map(len, busy.asked)) > 6 * len(busy.asked)
    for client in clients:
        client.cancel()
    await asyncio.gather(*clients, return_exceptions=True)


async def test_a_value_that_one_page_cannot_show_is_that_pages_alone(pages: Pages, busy: Busy) -> None:
    busy.go.set()

    *asked, odd = ask(pages, 1, 2, ODD)

    assert await shown(asked) == [[2, 3], [3, 4]]
    with pytest.raises(asyncpg.DataError):
        await odd
    assert sorted(busy.asked) == [[ODD], [1], [1, 2, ODD], [2]]


async def test_what_ran_into_a_limit_is_not_asked_again(pages: Pages, busy: Busy) -> None:
    busy.go.set()

    found = await asyncio.gather(*ask(pages, 1, LATE), return_exceptions=True)

    assert [type(one) for one in found] == [Timeout, Timeout]
    assert busy.asked == [[1, LATE]]


async def test_who_leaves_takes_nothing_from_the_others_and_the_last_one_ends_the_statement(
    pages: Pages, busy: Busy
) -> None:
    one, two = ask(pages, 1, 2)
    await settled()
    one.cancel()
    await settled()
    assert busy.ended == []
    waiting, staying = ask(pages, 3, 4)
    await settled()

    waiting.cancel()
    two.cancel()
    await settled()

    # nothing is read for who left while they waited
    assert busy.ended == [[1, 2]]
    assert busy.asked == [[1, 2], [4]]
    busy.go.set()
    assert await shown([staying]) == [[5, 6]]


async def _keep_asking(pages: Pages, number: int) -> None:
    while True:
        await shown(ask(pages, number))


async def _told(pages: Pages, busy: Busy) -> None:
    """Have the statement for several made, and forget that."""
    busy.go.set()
    await shown(ask(pages, 1, 2))
    busy.asked.clear()
