"""Search of fans: by parts of names, by identity and by what only some may ask, under the caller's scope."""

from datetime import date
from typing import Any

from sqlalchemy import select, update

from domain.fans.models import Fan
from domain.tables import table_of
from domain.tenancy.models import ChannelAccount
from tests.cast import EVERYTHING
from tests.world import Client

LIST = """query($filter: FanFilterInput, $order: FanSort! = ID_ASC) {
  fans(first: 50, filter: $filter, orderBy: $order) { nodes { id nickname } totalCount } }"""
FAN = "g1/b1/d1#1"
fans = table_of(Fan)


async def found(client: Client, who: str, **wanted: Any) -> set[str]:
    """Return the names of the fans a caller finds."""
    names = {client.world.id("Fan", name): name for name in client.world.fans}
    return {names[fan["id"]] for fan in (await client.data(who, LIST, filter=wanted))["fans"]["nodes"]}


async def test_two_chinese_characters_find_the_fans_whom_the_caller_may_see(client: Client) -> None:
    ours = {name for name in client.world.fans if name.startswith("g1/b1/")}

    assert await found(client, "B1", nickname="粉丝") == ours
    assert await found(client, "D11", nickname="丝 G1/B1/d11#") == {name for name in ours if "d11#" in name}
    assert await found(client, "D1", nickname="d11") == set()
    assert await found(client, "B1", nickname="粉丝粉") == set()
    assert await client.codes("B1", LIST, filter={"nickname": "粉"}) == ["BAD_USER_INPUT"]


async def test_a_search_by_name_is_one_statement_beside_who_asks(client: Client) -> None:
    await client.data("B1", LIST.replace("totalCount", ""), filter={"nickname": "粉丝"})
    client.statements.clear()

    await client.data("B1", LIST.replace("totalCount", ""), filter={"nickname": "粉丝"})

    assert len(client.statements) == 2, client.statements


async def test_an_external_id_finds_the_person_s_fan_in_the_caller_s_own_brand(client: Client) -> None:
    identity = {"kind": "EXTERNAL_ID", "value": FAN, "issuer": "test"}

    assert await found(client, "B1", identity=identity) == {FAN}
    assert await found(client, "HQ1", identity=identity) == {FAN, "g1/b2/d1#1"}
    assert await found(client, "D11", identity=identity) == set()
    assert await found(client, "G2", identity=identity) == set()
    assert await found(client, "B1", identity={**identity, "issuer": "other"}) == set()


async def test_personal_data_is_no_filter_for_who_may_not_read_it(client: Client) -> None:
    identity = {"kind": "EXTERNAL_ID", "value": FAN, "issuer": "test"}
    born = {"gte": "1990-01-01"}
    async with client.world.services.database.writing(EVERYTHING) as session:
        await session.execute(update(fans).where(fans.c.id == client.world.fans[FAN]).values(birthday=date(1990, 1, 1)))

    assert await found(client, "B1", birthday=born) == {FAN}
    for wanted in ({"identity": identity}, {"birthday": born}, {"phone": "13800001234"}):
        assert await client.codes("ANALYST", LIST, filter=wanted) == ["FORBIDDEN"], wanted
    assert await client.codes("B1", LIST, filter={"identity": {**identity, "kind": "PHONE"}}) == ["BAD_USER_INPUT"]


async def test_every_profile_field_and_channel_filters(client: Client) -> None:
    async with client.world.services.database.writing(EVERYTHING) as session:
        account = (await session.execute(select(table_of(ChannelAccount).c.id))).scalar_one()
        values = {"district": "天河", "language": "zh-CN", "source_account_id": account, "source_scene": "qr1"}
        await session.execute(update(fans).where(fans.c.id == client.world.fans[FAN]).values(**values, follow_count=2))
    accounts = await client.data("B1", "{ channelAccounts(first: 1) { nodes { id } } }")

    for wanted in (
        {"district": "天河"},
        {"language": "zh-CN"},
        {"sourceAccountId": accounts["channelAccounts"]["nodes"][0]["id"]},
        {"sourceChannel": "MINI_PROGRAM"},
        {"sourceScene": "qr1"},
        {"followCount": {"gte": 2}},
    ):
        assert await found(client, "B1", **wanted) == {FAN}, wanted
        assert await found(client, "D11", **wanted) == set(), wanted
