"""The group, its brands, dealers, stores and channel accounts, in one transaction."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import reads
from domain.database import Database
from domain.scope import Scope, system_scope
from domain.tables import table_of
from domain.tenancy.models import Brand, ChannelAccount, Dealer, Group, Store
from domain.vault import Vault
from server.demo.catalogue import BRANDS, GROUP_CODE, GROUP_NAME, MOMENT, BrandSpec, City

groups, brands, dealers = table_of(Group), table_of(Brand), table_of(Dealer)
stores, channel_accounts = table_of(Store), table_of(ChannelAccount)


@dataclass(frozen=True)
class DealerPlace:
    """A dealer as it is in the database, with its city and the ids of its stores."""

    id: int
    city: City
    store_ids: tuple[int, ...]


@dataclass(frozen=True)
class BrandPlace:
    """A brand as it is in the database, with its dealers and channel accounts."""

    row: Brand
    spec: BrandSpec
    dealers: tuple[DealerPlace, ...]
    account_ids: tuple[int, ...]


@dataclass(frozen=True)
class DemoGroup:
    """The group as it is in the database; `scope` is that of the product's own work inside it."""

    id: int
    brands: tuple[BrandPlace, ...]

    @property
    def scope(self) -> Scope:
        return system_scope("demo", group_id=self.id)


async def find_group(session: AsyncSession) -> int | None:
    """Return the id of the demo group, or None before it is loaded."""
    return (await session.execute(select(groups.c.id).where(groups.c.code == GROUP_CODE))).scalar_one_or_none()


async def make_group(database: Database, vault: Vault) -> DemoGroup:
    """Make the group with all its places where it is not there yet, and return it."""
    async with database.writing(system_scope("demo")) as session:
        group_id = await find_group(session)
        if group_id is None:
            group_id = await _make(session, vault)
    async with database.reading(system_scope("demo")) as session:
        return DemoGroup(group_id, tuple([await _place(session, group_id, spec) for spec in BRANDS]))


async def _make(session: AsyncSession, vault: Vault) -> int:
    group_id = await _insert(session, groups, code=GROUP_CODE, name=GROUP_NAME, policy_version=1)
    await vault.create_key(session, group_id)
    for spec in BRANDS:
        brand_id = await _insert(session, brands, group_id=group_id, code=spec.code, name=spec.name)
        for account in spec.accounts:
            columns = {**account._asdict(), "kind": account.kind.value}
            await _insert(session, channel_accounts, group_id=group_id, brand_id=brand_id, **columns)
        for number, (name, city) in enumerate(spec.dealers, start=1):
            place = {"group_id": group_id, "brand_id": brand_id}
            await _make_dealer(session, place, f"D{number:02d}", f"{name}有限公司", city)
    return group_id


async def _make_dealer(session: AsyncSession, place: dict[str, int], code: str, name: str, city: City) -> None:
    dealer = {"code": code, "name": name, "province": city.province, "city": city.name}
    dealer_id = await _insert(session, dealers, **place, **dealer)
    for number, district in enumerate(city.districts, start=1):
        title = f"{city.name.removesuffix('市')}{district.removesuffix('区')}店"
        store = {"code": f"{code}-S{number}", "name": title, "city": city.name}
        await _insert(session, stores, **place, dealer_id=dealer_id, **store)


async def _insert(session: AsyncSession, table: Table, **columns: Any) -> int:
    statement = insert(table).values(**columns, created_at=MOMENT).returning(table.c.id)
    return int((await session.execute(statement)).scalar_one())


async def _place(session: AsyncSession, group_id: int, spec: BrandSpec) -> BrandPlace:
    statement = select(brands).where(brands.c.group_id == group_id, brands.c.code == spec.code)
    (row,) = await reads.rows(session, statement, Brand)
    found = await session.execute(select(dealers.c.id).where(dealers.c.brand_id == row.id).order_by(dealers.c.code))
    cities = [city for _, city in spec.dealers]
    places = [
        DealerPlace(dealer_id, city, await _stores_of(session, dealer_id))
        for dealer_id, city in zip(found.scalars(), cities, strict=True)
    ]
    mine = channel_accounts.c.brand_id == row.id
    accounts = await session.execute(select(channel_accounts.c.id).where(mine).order_by(channel_accounts.c.id))
    return BrandPlace(row, spec, tuple(places), tuple(accounts.scalars()))


async def _stores_of(session: AsyncSession, dealer_id: int) -> tuple[int, ...]:
    found = await session.execute(select(stores.c.id).where(stores.c.dealer_id == dealer_id).order_by(stores.c.code))
    return tuple(found.scalars())
