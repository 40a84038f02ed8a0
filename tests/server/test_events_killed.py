"""A server killed under ingestion, twice: what it acknowledged is there, once, however often it is sent again."""

import asyncio
import sys
from contextlib import suppress

import httpx
import pytest
from sqlalchemy import func, select

from domain.database import Database
from domain.events.models import EventCount, FanEvent
from domain.fans.models import Fan
from domain.persons.models import Identity
from domain.tables import table_of
from tests.cast import EVERYTHING
from tests.server.deployed import Deployment, Server, eventually
from tests.world import World

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="a deployment's processes are found in /proc"),
]
CLIENTS, ROWS, PEOPLE = 4, 20, 30
KILLED_AFTER = (15, 40)
events, counts, fans, identities = table_of(FanEvent), table_of(EventCount), table_of(Fan), table_of(Identity)


def batch(number: int) -> list[dict[str, object]]:
    """Return the rows of a batch; clients that send at the same time name the same people."""
    who = [(number * 7 + row) % PEOPLE for row in range(ROWS)]
    return [
        {
            "name": "scan",
            "content": f"batch {number}",
            "eventId": f"killed/{number}/{row}",
            "occurredAt": "2026-02-01T08:00:00Z",
            "identities": [
                {"kind": "OPENID", "value": f"killed {person}", "issuer": "wx1"},
                {"kind": "UNIONID", "value": f"killed {person}"},
            ],
        }
        for row, person in enumerate(who)
    ]


class Senders:
    """Clients who send batches without a pause and remember which were acknowledged."""

    def __init__(self, server: Server, world: World, first: int = 0) -> None:
        self.acknowledged: set[int] = set()
        self._server, self._next = server, first
        self._headers = {"authorization": f"Bearer {world.token('SERVICE')}"}
        self._where = {"brandId": world.id("Brand", "g1/b1")}

    async def send(self, number: int) -> set[str]:
        """Send a batch and return what its rows came to."""
        answer = await self._server.http.post("/events", json=batch(number), params=self._where, headers=self._headers)
        assert answer.status_code == 200, answer.text
        self.acknowledged.add(number)
        return {row["outcome"] for row in answer.json()["results"]}

    async def until_killed(self, after: int) -> int:
        """Send until the server is killed after so many acknowledgements; return the first batch nobody sent."""
        sending = asyncio.gather(*(self._send_on() for _ in range(CLIENTS)))
        assert await eventually(lambda: len(self.acknowledged) >= after)
        self._server.kill()
        await asyncio.wait_for(sending, 30)
        return self._next

    async def _send_on(self) -> None:
        with suppress(httpx.TransportError):
            while True:
                self._next += 1
                await self.send(self._next - 1)


async def stored(database: Database) -> dict[int, int]:
    """Return how many rows of each batch are there."""
    by_batch = select(events.c.content, func.count()).where(events.c.content.like("batch %")).group_by(events.c.content)
    async with database.reading(EVERYTHING) as session:
        return {int(content.split()[1]): count for content, count in await session.execute(by_batch)}


async def test_what_a_killed_server_acknowledged_is_there_once_and_the_rest_comes_in_whole(
    deployment: Deployment, world: World, database: Database
) -> None:
    acknowledged, first = set[int](), 0
    for after in KILLED_AFTER:
        async with deployment.serving() as server:
            senders = Senders(server, world, first)
            first = await senders.until_killed(after)
            acknowledged |= senders.acknowledged
    there = await stored(database)
    async with deployment.serving() as server:
        again = {number: await Senders(server, world).send(number) for number in range(first)}

    # a batch is there as a whole or not at all; what was acknowledged is there
    assert set(there.values()) == {ROWS}
    assert acknowledged <= set(there)
    assert again == {number: {"DUPLICATE" if number in there else "STORED"} for number in range(first)}
    assert await stored(database) == dict.fromkeys(range(first), ROWS)
    async with database.reading(EVERYTHING) as session:
        counted = (await session.execute(select(func.sum(counts.c.count)).where(counts.c.name == "scan"))).scalar_one()
        named = (identities.c.kind == "UNIONID", identities.c.person_id == fans.c.person_id)
        people = (await session.execute(select(func.count(fans.c.id.distinct())).where(*named))).scalar_one()
    assert (counted, people) == (first * ROWS, PEOPLE)
