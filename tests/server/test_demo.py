"""The demo group: the same on every machine, and loaded once however often it is interrupted."""

import hashlib
from collections import Counter
from io import StringIO
from typing import Any

import pytest
from rich.console import Console
from sqlalchemy import func, select

from authz.tokens import presented_api_key
from domain.access.models import ApiKey, Grant, Staff
from domain.audit import AuditEntry
from domain.database import Database
from domain.fans.models import Fan
from domain.levels.models import FanLevel
from domain.mall.models import Gift, Redemption
from domain.orders.models import Order, OrderLine
from domain.outbox import Outbox
from domain.persons.models import Identity
from domain.points.earning.models import PointGrant
from domain.points.ledger.audit import audit_accounts
from domain.referrals.models import Referral
from domain.scope import system_scope
from domain.shares.models import Cascade, Share
from domain.tables import table_of
from domain.tags.models import FanTag, Tag
from domain.tenancy.models import Brand, ChannelAccount, Dealer, Group, Store
from domain.vault import Vault
from server.demo import is_loaded, load
from server.progress import Bars

SYSTEM = system_scope("test")
SCALE = 0.02
# Changes whenever the demo's data does, and for no other reason: not with the machine, the database or the Python.
CONTENT = "899c78e708fdeefeb57c8546d4030a5845860c6344e2a99e80388a65e7ce2a83"

groups, brands, dealers, stores = table_of(Group), table_of(Brand), table_of(Dealer), table_of(Store)
accounts, fans, identities = table_of(ChannelAccount), table_of(Fan), table_of(Identity)
tags, fan_tags, orders, order_lines = table_of(Tag), table_of(FanTag), table_of(Order), table_of(OrderLine)
cascades, shares, referrals = table_of(Cascade), table_of(Share), table_of(Referral)
staff, grants, api_keys = table_of(Staff), table_of(Grant), table_of(ApiKey)
point_grants, gifts, redemptions = table_of(PointGrant), table_of(Gift), table_of(Redemption)
fan_levels = table_of(FanLevel)
EVERY_TABLE = (
    *(groups, brands, dealers, stores, accounts, fans, identities, tags, fan_tags, orders, order_lines),
    *(cascades, shares, referrals, staff, grants, api_keys, table_of(Outbox), table_of(AuditEntry)),
    *(point_grants, gifts, redemptions, fan_levels),
)


class Cut(Exception):
    """The load is cut off here."""


class CutIn:
    """Cuts a load off after the first batch of a stage, or never."""

    def __init__(self, stage: str = "") -> None:
        self._stage = stage

    def advance(self, stage: str, done: int, total: int) -> None:
        assert 0 < done <= total
        if stage == self._stage:
            raise Cut


@pytest.fixture
def vault() -> Vault:
    return Vault(b"0123456789abcdef" * 2)


async def fetched(database: Database, statement: Any) -> list[Any]:
    async with database.reading(SYSTEM) as session:
        return list((await session.execute(statement)).all())


async def sizes(database: Database) -> dict[str, int]:
    statements = [select(func.count()).select_from(table) for table in EVERY_TABLE]
    found = [(await fetched(database, statement))[0][0] for statement in statements]
    return dict(zip((table.name for table in EVERY_TABLE), found, strict=True))


async def fan_names(database: Database, vault: Vault) -> dict[int, str]:
    """Return a name of each fan that does not depend on ids: their brand and identity."""
    statement = (
        select(fans.c.id, brands.c.code, identities.c.kind, identities.c.issuer, identities.c.value_cipher)
        .join(brands, brands.c.id == fans.c.brand_id)
        .join(identities, identities.c.person_id == fans.c.person_id)
    )
    async with database.reading(SYSTEM) as session:
        ((group_id,),) = (await session.execute(select(groups.c.id))).all()
        keys = await vault.of_group(session, group_id)
        found = (await session.execute(statement)).all()
    return {
        row.id: f"{row.code}/{row.kind}/{row.issuer}/{keys.open(row.value_cipher, 'identities.value')}" for row in found
    }


async def content(database: Database, vault: Vault) -> str:
    """Hash all that the demo says, ids and the times of loading aside."""
    called = await fan_names(database, vault)
    place = (dealers.c.code.label("dealer"), stores.c.code.label("store"))
    profile = (fans.c.nickname, fans.c.gender, fans.c.birthday, fans.c.province, fans.c.city, fans.c.district)
    sums = (fans.c.subscribed, fans.c.followed_at, fans.c.created_at, fans.c.order_count, fans.c.spend)
    statements = (
        select(fans.c.id, *profile, *sums, fans.c.last_order_at, accounts.c.app_id, *place)
        .join(accounts, accounts.c.id == fans.c.source_account_id)
        .outerjoin(dealers, dealers.c.id == fans.c.dealer_id)
        .outerjoin(stores, stores.c.id == fans.c.store_id),
        select(orders.c.fan_id, orders.c.source, orders.c.number, orders.c.state, orders.c.amount, orders.c.placed_at)
        .add_columns(orders.c.item_count, order_lines.c.title, order_lines.c.quantity, order_lines.c.amount, *place)
        .join(order_lines, order_lines.c.order_id == orders.c.id)
        .outerjoin(dealers, dealers.c.id == orders.c.dealer_id)
        .outerjoin(stores, stores.c.id == orders.c.store_id),
        select(fan_tags.c.fan_id, tags.c.name, fan_tags.c.count, fan_tags.c.weight, fan_tags.c.source)
        .add_columns(fan_tags.c.first_at, fan_tags.c.last_at)
        .join(tags, tags.c.id == fan_tags.c.tag_id),
        select(shares.c.from_fan_id, shares.c.to_fan_id, cascades.c.code, cascades.c.size, shares.c.channel)
        .add_columns(shares.c.shared_at)
        .join(cascades, cascades.c.id == shares.c.cascade_id),
        select(referrals.c.referrer_fan_id, referrals.c.invitee_fan_id, referrals.c.referred_at),
    )
    named = ({"id", "fan_id", "from_fan_id", "to_fan_id", "referrer_fan_id", "invitee_fan_id"},) * len(statements)
    digest = hashlib.sha256()
    for statement, references in zip(statements, named, strict=True):
        for line in sorted(
            "|".join(str(called[value] if name in references else value) for name, value in row._mapping.items())
            for row in await fetched(database, statement)
        ):
            digest.update(line.encode())
    return digest.hexdigest()


async def test_the_demo_is_the_same_everywhere_and_complete(database: Database, vault: Vault) -> None:
    assert not await is_loaded(database)

    result = await load(database, vault, CutIn(), scale=SCALE)

    assert await is_loaded(database)
    assert await content(database, vault) == CONTENT
    found = await sizes(database)
    assert (found["groups"], found["brands"], found["dealers"], found["channel_accounts"]) == (1, 3, 12, 5)
    assert (found["fans"], found["orders"], found["referrals"], found["tags"]) == (400, 500, 80, 31)
    assert found["outbox"] == found["fans"] + found["shares"] + found["referrals"]
    assert found["identities"] < 0.9 * found["fans"]
    ((fan,),) = await fetched(database, select(fans.c.spend).where(fans.c.id == result.fan.fan_id))
    assert fan > 0


async def test_each_dealer_has_two_or_three_stores(database: Database, vault: Vault) -> None:
    await load(database, vault, CutIn(), scale=0.001)

    found = await fetched(database, select(stores.c.dealer_id, func.count()).group_by(stores.c.dealer_id))
    assert Counter(row[1] for row in found).keys() == {2, 3}
    assert len(found) == 12


async def test_a_second_load_adds_nothing(database: Database, vault: Vault) -> None:
    first = await load(database, vault, CutIn(), scale=0.002)
    before = await sizes(database)

    second = await load(database, vault, CutIn(), scale=0.002)

    assert await sizes(database) == before
    assert (second.staff, second.fan, second.api_key) == (first.staff, first.fan, None)


async def test_a_load_that_was_cut_off_in_every_stage_ends_like_a_clean_one(database: Database, vault: Vault) -> None:
    for stage in ("fans", "tags", "orders", "shares", "referrals", "points"):
        with pytest.raises(Cut):
            await load(database, vault, CutIn(stage), scale=SCALE)
        assert not await is_loaded(database)

    await load(database, vault, CutIn(), scale=SCALE)

    assert await content(database, vault) == CONTENT
    found = await sizes(database)
    assert found["outbox"] == found["fans"] + found["shares"] + found["referrals"]


async def test_the_first_brand_has_a_club_with_levels_gifts_and_an_order(database: Database, vault: Vault) -> None:
    await load(database, vault, CutIn(), scale=SCALE)

    found = await sizes(database)
    assert (found["gifts"], found["redemptions"]) == (4, 1)
    assert found["point_grants"] > 1_000
    assert found["fan_levels"] > 50
    brand_ids = [row[0] for row in await fetched(database, select(gifts.c.brand_id).distinct())]
    async with database.reading(SYSTEM) as session:
        audited = await audit_accounts(session, brand_ids[0])
    assert (len(brand_ids), audited.differences) == (1, ())


async def test_those_who_can_sign_in_have_their_grants(database: Database, vault: Vault) -> None:
    result = await load(database, vault, CutIn(), scale=0.001)

    found = await fetched(
        database, select(staff.c.subject, grants.c.role).join(grants, grants.c.staff_id == staff.c.id)
    )
    assert {row.subject: row.role for row in found} == {
        "hq@demo": "GROUP_ADMIN",
        "brand@demo": "BRAND_OPERATOR",
        "dealer@demo": "DEALER_MANAGER",
        "analyst@demo": "GROUP_ANALYST",
    }
    assert set(result.staff.values()) == {row.subject for row in found}
    presented = presented_api_key(result.api_key or "")
    ((prefix, secret_hash),) = await fetched(database, select(api_keys.c.prefix, api_keys.c.secret_hash))
    assert presented == (prefix, bytes(secret_hash))


def test_progress_without_a_terminal_is_one_line_for_each_finished_stage() -> None:
    console = Console(file=StringIO(), force_terminal=False, width=80)

    with Bars(console) as bars:
        for stage, done in (("fans", 1), ("fans", 2000), ("fans", 2000), ("orders", 1)):
            bars.advance(stage, done, 2000)

    assert console.file.getvalue() == "fans: 2,000\n"  # type: ignore[attr-defined]


def test_progress_on_a_terminal_is_a_bar_for_each_stage() -> None:
    console = Console(file=StringIO(), force_terminal=True, width=80)

    with Bars(console) as bars:
        bars.advance("fans", 1, 3)
        bars.advance("fans", 3, 4)

    assert "3/4" in console.file.getvalue()  # type: ignore[attr-defined]
