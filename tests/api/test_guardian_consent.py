"""Children under 14 are served and not described, until staff record that a guardian agreed (P09)."""

from datetime import date
from typing import Any

import pytest
from sqlalchemy import select, update

from domain import clock
from domain.consents.minors import is_child
from domain.fans.models import Fan
from domain.fans.service import NewFan, resolve_fans
from domain.persons.claims import IdentityRef
from domain.persons.models import IdentityKind
from domain.tables import table_of
from domain.tenancy.models import Brand
from tests.cast import EVERYTHING, snapshot
from tests.world import Client

ME, OTHER = "g1/b1/d1#1", "g1/b1/d1#2"
UPDATE = "mutation($i: UpdateMeInput!) { updateMe(input: $i) { me { nickname } userErrors { code field } } }"
RECORD = "mutation($i: RecordConsentsInput!) { recordConsents(input: $i) { changedCount userErrors { code field } } }"
SET = "mutation($i: SetMyConsentsInput!) { setMyConsents(input: $i) { userErrors { code field } } }"
TAG = "mutation($i: AddFanTagsInput!) { addFanTags(input: $i) { userErrors { code field } } }"
MISSING = "GUARDIAN_CONSENT_MISSING"
fans, brands = table_of(Fan), table_of(Brand)


def years_ago(years: int) -> str:
    today = clock.now().date()
    return today.replace(year=today.year - years, day=min(today.day, 28)).isoformat()


def guardian(granted: bool = True, **more: Any) -> dict[str, Any]:
    return {"choices": [{"purpose": "GUARDIAN", "granted": granted}], "policy": "1", **more}


async def born(client: Client, fan: str, years: int) -> None:
    """Let a fan be so old, as the brand may know of before it asked about guardians."""
    birthday = date.fromisoformat(years_ago(years))
    async with client.world.services.database.writing(EVERYTHING) as session:
        await session.execute(update(fans).where(fans.c.id == client.world.fans[fan]).values(birthday=birthday))


async def refused(client: Client, who: str, document: str, **given: Any) -> list[tuple[str, list[str]]]:
    (payload,) = (await client.data(who, document, i=given)).values()
    return [(error["code"], error["field"]) for error in payload["userErrors"]]


@pytest.mark.parametrize(
    "birthday,today,child",
    [
        (None, date(2026, 3, 1), False),
        (date(2012, 3, 1), date(2026, 2, 28), True),
        (date(2012, 3, 1), date(2026, 3, 1), False),
        (date(2012, 2, 29), date(2026, 2, 28), True),
        (date(2012, 2, 29), date(2026, 3, 1), False),
        (date(2014, 3, 1), date(2028, 2, 29), True),
    ],
)
def test_a_child_is_one_until_the_fourteenth_birthday(birthday: date | None, today: date, child: bool) -> None:
    assert is_child(birthday, today) is child


async def test_a_child_s_profile_is_refused_until_a_guardian_agreed_and_again_when_that_is_taken_back(
    client: Client,
) -> None:
    mine = [client.world.id("Fan", ME)]

    assert await refused(client, ME, UPDATE, birthday=years_ago(13)) == [(MISSING, ["input", "birthday"])]
    assert await refused(client, "B1", RECORD, fanIds=mine, evidence="form 7", **guardian()) == []
    assert await refused(client, ME, UPDATE, birthday=years_ago(13), nickname="小明") == []
    assert await refused(client, ME, SET, **guardian(granted=False)) == []
    assert await refused(client, ME, UPDATE, nickname="小红") == [(MISSING, ["input"])]
    # what is emptied describes nobody
    assert await refused(client, ME, UPDATE, nickname=None) == []
    assert await refused(client, ME, UPDATE, birthday=years_ago(15), nickname="小明") == []


async def test_a_child_is_neither_tagged_nor_given_attributes_and_all_or_nothing_holds(client: Client) -> None:
    world = client.world
    await born(client, OTHER, 13)
    both = [world.id("Fan", ME), world.id("Fan", OTHER)]
    create = """mutation($i: CreateAttributeInput!) { createAttribute(input: $i) { attribute { id } } }"""
    given = {"brandId": world.id("Brand", "g1/b1"), "key": "size", "name": "size", "type": "TEXT", "fanWritable": True}
    attribute = (await client.data("B1", create, i=given))["createAttribute"]["attribute"]["id"]
    value = [{"attributeId": attribute, "text": "L"}]
    attributes = "mutation($i: SetFanAttributesInput!) { setFanAttributes(input: $i) { userErrors { code field } } }"
    own = "mutation($i: SetMyAttributesInput!) { setMyAttributes(input: $i) { userErrors { code field } } }"
    before = await snapshot(world)

    expected = [(MISSING, ["input", "fanIds", "1"])]
    assert await refused(client, "B1", TAG, fanIds=both, tagIds=[world.id("Tag", "g1")]) == expected
    assert await refused(client, "B1", attributes, fanIds=both, values=value) == expected
    assert await refused(client, OTHER, own, values=value) == [(MISSING, ["input"])]
    assert await snapshot(world) == before
    await refused(client, "B1", RECORD, fanIds=both[1:], evidence="form 7", **guardian())
    assert await refused(client, "B1", TAG, fanIds=both, tagIds=[world.id("Tag", "g1")]) == []
    assert await refused(client, OTHER, own, values=value) == []


async def test_the_guardian_s_word_needs_its_evidence_and_is_never_the_child_s(client: Client) -> None:
    mine = [client.world.id("Fan", ME)]
    before = await snapshot(client.world)

    assert await refused(client, ME, SET, **guardian()) == [("BAD_USER_INPUT", ["input", "choices", "0"])]
    assert await refused(client, "B1", RECORD, fanIds=mine, **guardian()) == [("BAD_USER_INPUT", ["input", "evidence"])]

    assert await snapshot(client.world) == before


async def test_a_channel_that_brings_a_child_brings_no_profile(client: Client) -> None:
    world = client.world
    who = [IdentityRef(IdentityKind.EXTERNAL_ID, name, "test") for name in ("child", "grown")]
    async with world.services.database.writing(EVERYTHING) as session:
        brand: Any = (await session.execute(select(brands).where(brands.c.id == world.nodes["g1/b1"]))).one()
        new = [
            NewFan(
                ref, nickname=ref.value, city="上海", phone="13912345678", birthday=date.fromisoformat(years_ago(age))
            )
            for ref, age in zip(who, (13, 15), strict=True)
        ]
        known = await resolve_fans(session, world.services.vault, brand, new)
        rows = {row.id: row for row in await session.execute(select(fans).where(fans.c.id.in_(known.values())))}

    child, grown = (rows[known[ref]] for ref in who)
    assert (child.nickname, child.city, child.birthday, child.phone_hash) == (None,) * 4
    assert (grown.nickname, grown.city, grown.phone_hash is None) == ("grown", "上海", False)
