"""The points of brand b1's fans, as tests of the ledger ask for them."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import clock
from domain.points.ledger import service as ledger
from domain.points.ledger.audit import audit_accounts
from domain.points.ledger.book import lots, transfers
from domain.points.ledger.rules import Balances, ClawBack, Earn, Spend
from domain.points.programme.queries import programme_of
from domain.points.programme.rules import Programme, Settings
from tests.cast import EVERYTHING
from tests.world import World

NOW = datetime(2026, 5, 1, 4, tzinfo=UTC)
FAN = "g1/b1/d1#1"


@dataclass
class Books:
    """The points of brand b1's fans, as the tests ask for them."""

    world: World
    programme: Programme

    def fan(self, name: str = FAN) -> int:
        return self.world.fans[name]

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncSession]:
        async with self.world.services.database.writing(EVERYTHING) as session:
            yield session

    async def earn(self, points: int = 0, growth: int = 0, *, source: str, fan: str = FAN, **more: Any) -> Any:
        async with self.writing() as session:
            wanted = Earn(self.fan(fan), source, points, growth, **more)
            return (await ledger.earn(session, self.programme, [wanted], actor="test"))[0]

    async def spend(self, points: int, *, source: str, fan: str = FAN) -> Any:
        async with self.writing() as session:
            return await ledger.spend(session, self.programme, Spend(self.fan(fan), points, source), actor="test")

    async def hold(self, points: int, *, source: str, fan: str = FAN) -> Any:
        async with self.writing() as session:
            return await ledger.hold(session, self.programme, Spend(self.fan(fan), points, source), actor="test")

    async def post_hold(self, hold_id: int) -> Any:
        async with self.writing() as session:
            return await ledger.post_hold(session, self.programme, hold_id=hold_id, actor="test")

    async def void_hold(self, hold_id: int) -> Any:
        async with self.writing() as session:
            return await ledger.void_hold(session, self.programme, hold_id=hold_id, actor="test", reason="cancelled")

    async def claw_back(self, of: str, points: int, growth: int = 0, *, source: str) -> Any:
        async with self.writing() as session:
            wanted = ClawBack(of, source, points, growth, "refund")
            return await ledger.claw_back(session, self.programme, wanted, actor="test")

    async def reverse(self, of: str | int) -> Any:
        async with self.writing() as session:
            return await ledger.reverse(session, self.programme, of=of, reason="cheating", actor="test")

    async def run(self, due: Callable[..., Any], limit: int = 100) -> int:
        async with self.writing() as session:
            return int(await due(session, limit))

    async def has(self, fan: str = FAN) -> Balances:
        async with self.world.services.database.reading(EVERYTHING) as session:
            return (await ledger.balances_by_fan(session, [self.fan(fan)]))[self.fan(fan)]

    async def left(self) -> list[int]:
        async with self.world.services.database.reading(EVERYTHING) as session:
            return list((await session.execute(select(lots.c.remaining).order_by(lots.c.id))).scalars())

    async def faults(self) -> Any:
        async with self.world.services.database.reading(EVERYTHING) as session:
            return (await audit_accounts(session, self.programme.brand_id)).differences

    async def count(self) -> int:
        async with self.world.services.database.reading(EVERYTHING) as session:
            return len((await session.execute(select(transfers.c.id))).all())


@pytest.fixture
async def books(world: World) -> AsyncIterator[Books]:
    """Yield brand b1's points; after the test every balance is what its entries say."""
    async with world.services.database.reading(EVERYTHING) as session:
        programme = await programme_of(session, world.nodes["g1/b1"])
    with clock.at(NOW):
        made = Books(world, programme)
        yield made
        assert await made.faults() == ()


def of(books: Books, **settings: Any) -> None:
    """Change the programme's settings for what follows."""
    books.programme = replace(books.programme, settings=replace(Settings(), **settings))
