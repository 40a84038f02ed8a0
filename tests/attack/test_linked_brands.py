"""One person, two brands (T29): what one brand was told of somebody finds nobody for the other."""

from collections.abc import Sequence

import pytest
from sqlalchemy import insert

from domain.fans.service import NewFan, resolve_fans
from domain.persons.claims import Claim, IdentityRef
from domain.persons.models import IdentityKind
from domain.persons.resolution import resolve
from domain.tables import table_of
from domain.tenancy.models import ChannelAccount, ChannelKind
from domain.tenancy.queries import brands_by_id
from tests.api.test_erase_me import ERASE
from tests.api.test_export_my_data import work
from tests.api.test_fan_search import found
from tests.cast import EVERYTHING
from tests.world import Client, person

OURS, THEIRS = "g1/b1/d1#1", "g1/b2/d1#1"  # one person, fan of two brands
UNION, MEMBER = IdentityRef(IdentityKind.UNIONID, "u1", "open"), IdentityRef(IdentityKind.EXTERNAL_ID, "7", "crm")
EMAIL, OPENID = IdentityRef(IdentityKind.EMAIL, "a@b.c"), IdentityRef(IdentityKind.OPENID, "o1", "wx_b2")


async def tell(client: Client, brand: str, refs: Sequence[IdentityRef]) -> None:
    """Let a brand name the two brands' fan by further identities, as its channels do."""
    world = client.world
    async with world.services.database.writing(EVERYTHING) as session:
        keys = await world.services.vault.of_group(session, world.nodes["g1"])
        claim = Claim((person(OURS), *refs))
        await resolve(session, keys, [claim], principal="test", brand_id=world.nodes[brand])


async def open_account(client: Client, brand: str, app_id: str) -> None:
    async with client.world.services.database.writing(EVERYTHING) as session:
        nodes = client.world.nodes
        row = {"group_id": nodes["g1"], "brand_id": nodes[brand], "kind": ChannelKind.MINI_PROGRAM.value}
        await session.execute(insert(table_of(ChannelAccount)), [{**row, "app_id": app_id, "name": app_id}])


def asked(ref: IdentityRef) -> dict[str, str]:
    return {"kind": ref.kind.value, "value": ref.value, "issuer": ref.issuer}


@pytest.mark.parametrize("ref", [UNION, MEMBER, EMAIL], ids=lambda ref: ref.kind)
async def test_what_only_the_other_brand_was_told_finds_nobody(client: Client, ref: IdentityRef) -> None:
    await tell(client, "g1/b2", [ref])

    assert await found(client, "B1", identity=asked(ref)) == set()
    assert await found(client, "D1", identity=asked(ref)) == set()
    assert await found(client, "B2", identity=asked(ref)) == {THEIRS}
    assert await found(client, "HQ1", identity=asked(ref)) == {OURS, THEIRS}
    assert await found(client, "B1", **{"not": {"identity": asked(ref)}}) == await found(client, "B1")


@pytest.mark.parametrize("ref", [UNION, MEMBER, EMAIL], ids=lambda ref: ref.kind)
async def test_what_both_were_told_finds_each_its_own(client: Client, ref: IdentityRef) -> None:
    await tell(client, "g1/b2", [ref])
    await tell(client, "g1/b1", [ref])
    await tell(client, "g1/b1", [ref])

    assert await found(client, "B1", identity=asked(ref)) == {OURS}
    assert await found(client, "B2", identity=asked(ref)) == {THEIRS}


async def test_an_openid_is_asked_by_the_brand_of_its_account_alone(client: Client) -> None:
    await open_account(client, "g1/b2", OPENID.issuer)
    await tell(client, "g1/b1", [OPENID])

    assert await found(client, "B1", identity=asked(OPENID)) == set()
    assert await found(client, "HQ1", identity=asked(OPENID)) == {OURS, THEIRS}

    await tell(client, "g1/b2", [OPENID])

    assert await found(client, "B1", identity=asked(OPENID)) == set()
    assert await found(client, "B2", identity=asked(OPENID)) == {THEIRS}


async def test_a_brand_forgets_with_its_fan_what_it_was_told(client: Client) -> None:
    await tell(client, "g1/b1", [MEMBER])
    await tell(client, "g1/b2", [MEMBER, UNION])
    await tell(client, "g1/b1", [UNION])
    await client.data(OURS, ERASE)
    await work(client.world)
    await tell(client, "g1/b2", [])
    client.world.fans[OURS] = await register(client)

    for ref in (MEMBER, UNION):
        assert await found(client, "B1", identity=asked(ref)) == set(), ref
        assert await found(client, "B2", identity=asked(ref)) == {THEIRS}, ref


async def register(client: Client) -> int:
    """Make the person a fan of the first brand again, by what the other brand knows them by."""
    world, brand_id = client.world, client.world.nodes["g1/b1"]
    async with world.services.database.writing(EVERYTHING) as session:
        brand = (await brands_by_id(session, EVERYTHING, [brand_id]))[brand_id]
        return (await resolve_fans(session, world.services.vault, brand, [NewFan(person(OURS))]))[person(OURS)]
