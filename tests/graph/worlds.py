"""Brands with random fans, shares and referrals in SQL, with or without the events that tell the graph."""

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import SQLModel

from domain.database import Database
from domain.fans.models import Fan
from domain.fans.service import fan_changed
from domain.outbox import Event, Outbox, emit
from domain.persons.models import Person
from domain.referrals.models import Referral
from domain.referrals.service import fan_referred
from domain.scope import system_scope
from domain.shares.models import Cascade, Share
from domain.shares.service import share_recorded
from domain.tables import table_of
from domain.tenancy.models import Brand, Group

SYSTEM = system_scope("test")
NOON = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
outbox = table_of(Outbox)

Row = dict[str, Any]


async def make_group(session: AsyncSession, *brand_ids: int) -> None:
    """Add one group with these brands."""
    session.add(Group(id=1, code="g1", name="G1"))
    await session.flush()
    session.add_all([Brand(id=brand, group_id=1, code=f"b{brand}", name="B") for brand in brand_ids])
    await session.flush()


async def add_fans(session: AsyncSession, brand_id: int, ids: Sequence[int], *, tell: bool = True) -> None:
    """Add fans to a brand; each gets its own id as version, so that no two are alike."""
    session.add_all([Person(id=n, group_id=1, uid=UUID(int=n)) for n in ids])
    await session.flush()
    made = [Fan(id=n, group_id=1, brand_id=brand_id, person_id=n, currency="CNY", version=n % 1000 + 1) for n in ids]
    session.add_all(made)
    await session.flush()
    if tell:
        await emit(session, [fan_changed(1, brand_id, fan.id, fan.version) for fan in made])


async def add_edges(
    session: AsyncSession, brand_id: int, ids: Sequence[int], rng: random.Random, *, tell: bool = True
) -> None:
    """Add a cascade over the fans, each reached by an earlier one, and a referral for two in three of them."""
    tenant = {"group_id": 1, "brand_id": brand_id, "created_at": NOON}
    cascade = {**tenant, "source": "test", "code": f"c{ids[0]}", "seed_fan_id": ids[0], "size": len(ids)}
    made = await session.execute(insert(table_of(Cascade)).values(**cascade).returning(table_of(Cascade).c.id))
    cascade_id = made.scalar_one()
    ends = [(rng.choice(ids[:place]), ids[place]) for place in range(1, len(ids))]
    shares = [
        {
            **tenant,
            "cascade_id": cascade_id,
            "from_fan_id": source,
            "to_fan_id": target,
            "channel": rng.choice([None, "朋友圈", "qr"]),
            "shared_at": NOON + timedelta(seconds=target),
        }
        for source, target in ends
    ]
    referrals = [
        {**tenant, "referrer_fan_id": source, "invitee_fan_id": target, "referred_at": NOON}
        for source, target in ends
        if target % 3
    ]
    await _insert(session, Share, shares, share_recorded if tell else None)
    await _insert(session, Referral, referrals, fan_referred if tell else None)


async def _insert(
    session: AsyncSession, model: type[SQLModel], rows: list[Row], event: Callable[[Row], Event] | None
) -> None:
    if rows:
        await session.execute(insert(table_of(model)), rows)
    if event is not None:
        await emit(session, [event(row) for row in rows])


async def make_world(database: Database, *, tell: bool = True) -> None:
    """Add brand 1 with 120 fans and brand 12 with 30, each with two cascades and referrals."""
    rng = random.Random(3)
    async with database.writing(SYSTEM) as session:
        await make_group(session, 1, 12)
        for brand, ids in ((1, list(range(1, 121))), (12, list(range(501, 531)))):
            await add_fans(session, brand, ids, tell=tell)
            half = len(ids) // 2
            for some in (ids[:half], ids[half:]):
                await add_edges(session, brand, some, rng, tell=tell)


async def outbox_rows(database: Database) -> Sequence[Any]:
    """Return the outbox in order."""
    async with database.reading(SYSTEM) as session:
        return (await session.execute(select(outbox).order_by(outbox.c.id))).all()


async def unsent(database: Database) -> list[str]:
    """Return the keys of what was not delivered, the dead included."""
    return [row.key for row in await outbox_rows(database) if row.sent_at is None]
