"""Loading the demo group, stage by stage. Each stage skips what an interrupted load has written already."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.database import Database
from domain.fans.models import Fan
from domain.scope import system_scope
from domain.shares.models import Cascade
from domain.tables import table_of
from domain.vault import Vault
from server.demo.catalogue import BRANDS
from server.demo.crew import SUBJECTS, is_staffed, load_crew
from server.demo.loyalty import load_loyalty
from server.demo.people import FANS, load_fans
from server.demo.sales import ORDERS, load_orders
from server.demo.spread import SOURCE, load_referrals, load_shares
from server.demo.tagging import load_tags
from server.demo.tenancy import find_group, make_group
from server.progress import Progress

fans, cascades = table_of(Fan), table_of(Cascade)


@dataclass(frozen=True)
class SampleFan:
    """A fan with orders, tags and a cascade, to sign in as."""

    fan_id: int
    brand_id: int
    group_id: int


@dataclass(frozen=True)
class DemoResult:
    """Who can sign in: staff subjects by what they are, a fan, and a service's key on the load that made it."""

    staff: dict[str, str]
    fan: SampleFan
    api_key: str | None


async def is_loaded(database: Database) -> bool:
    """Tell whether a load has come to its end; the crew is its last stage."""
    async with database.reading(system_scope("demo")) as session:
        group_id = await find_group(session)
        return group_id is not None and await is_staffed(session, group_id)


async def load(database: Database, vault: Vault, progress: Progress, *, scale: float = 1.0) -> DemoResult:
    """Load what is missing of the demo group and say who can sign in. A loaded group is left as it is.

    `scale` multiplies the 20,000 fans and what they do.
    """
    key = None if await is_loaded(database) else await _load(database, vault, progress, scale)
    async with database.reading(system_scope("demo")) as session:
        return DemoResult(dict(SUBJECTS), await _sample(session), key)


async def _load(database: Database, vault: Vault, progress: Progress, scale: float) -> str | None:
    group = await make_group(database, vault)
    crowds = await load_fans(database, vault, group, round(FANS * scale), progress)
    await load_tags(database, group, crowds, progress)
    await load_orders(database, vault, group, crowds, round(ORDERS * scale), progress)
    await load_shares(database, vault, group, crowds, scale, progress)
    await load_referrals(database, group, crowds, scale, progress)
    await load_loyalty(database, group, crowds, progress)
    return await load_crew(database, group)


async def _sample(session: AsyncSession) -> SampleFan:
    """Return the seed of the first brand's first cascade, which is the largest of all."""
    first = (cascades.c.source == SOURCE, cascades.c.code == f"{BRANDS[0].code}-000")
    mine = fans.c.group_id == await find_group(session)
    statement = select(fans.c.id, fans.c.brand_id, fans.c.group_id).join(cascades, cascades.c.seed_fan_id == fans.c.id)
    row = (await session.execute(statement.where(mine, *first))).one()
    return SampleFan(row.id, row.brand_id, row.group_id)
