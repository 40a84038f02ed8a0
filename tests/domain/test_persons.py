"""Identities lead to one person of the group, however they are written and however many ask at once."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import func, select

from domain.persons.models import Identity, IdentityKind, Person
from domain.persons.service import IdentityRef, resolve_persons
from domain.tables import table_of
from domain.vault import normalise
from tests.cast import EVERYTHING
from tests.world import World

persons, identities = table_of(Person), table_of(Identity)
PHONE, EMAIL, OPENID = IdentityKind.PHONE, IdentityKind.EMAIL, IdentityKind.OPENID


async def resolve(world: World, *refs: IdentityRef, group: str = "g1") -> dict[IdentityRef, int]:
    async with world.services.database.writing(EVERYTHING) as session:
        keys = await world.services.vault.of_group(session, world.nodes[group])
        return await resolve_persons(session, keys, refs, principal="test")


async def counts(world: World) -> tuple[int, int]:
    async with world.services.database.reading(EVERYTHING) as session:
        tables: list[Any] = [persons, identities]
        found = [(await session.execute(select(func.count()).select_from(table))).scalar_one() for table in tables]
        return int(found[0]), int(found[1])


@pytest.mark.parametrize(
    "kind, forms",
    [
        (PHONE, ["13912345678", "+86 139-1234-5678", "008613912345678", "１３９１２３４５６７８", " 86 13912345678 "]),
        (EMAIL, ["Ann@Example.com", "ann@example.com ", "ＡＮＮ@example.com"]),
        (OPENID, ["oAbC", " oAbC"]),
    ],
)
async def test_one_identity_in_many_forms_is_one_person(world: World, kind: IdentityKind, forms: list[str]) -> None:
    before = await counts(world)

    together = await resolve(world, *(IdentityRef(kind, form, "a") for form in forms))
    apart = [(await resolve(world, IdentityRef(kind, form, "a"))).popitem()[1] for form in forms]

    assert {*together.values(), *apart} == {apart[0]}
    assert await counts(world) == (before[0] + 1, before[1] + 1)


async def test_what_differs_in_kind_issuer_case_or_group_is_another_person(world: World) -> None:
    refs = [
        IdentityRef(OPENID, "x", "a"),
        IdentityRef(OPENID, "x", "b"),
        IdentityRef(OPENID, "X", "a"),
        IdentityRef(IdentityKind.UNIONID, "x", "a"),
    ]

    ours, theirs = await resolve(world, *refs), await resolve(world, *refs, group="g2")

    assert len({*ours.values(), *theirs.values()}) == 8


async def test_the_same_identity_in_two_groups_has_nothing_in_common_at_rest(world: World) -> None:
    ref = IdentityRef(PHONE, "13912345678")
    people = [(await resolve(world, ref, group=group))[ref] for group in ("g1", "g2")]

    async with world.services.database.reading(EVERYTHING) as session:
        rows = (await session.execute(select(identities).where(identities.c.person_id.in_(people)))).all()
    assert len({row.value_hash for row in rows}) == len({row.value_cipher for row in rows}) == 2
    assert all(b"13912345678" not in row.value_cipher for row in rows)


async def test_twenty_at_once_with_the_same_strangers_make_each_once(world: World) -> None:
    strangers = [IdentityRef(PHONE, f"1390000{n:04d}") for n in range(10)]
    before = await counts(world)

    answers = await asyncio.gather(*(resolve(world, *(strangers[n % 10 :] + strangers[: n % 10])) for n in range(20)))

    assert all(answer == answers[0] for answer in answers)
    assert await counts(world) == (before[0] + 10, before[1] + 10)


async def test_known_and_unknown_come_back_together(world: World) -> None:
    known = IdentityRef(IdentityKind.EXTERNAL_ID, "g1/b1/d1#1", "test")
    new = IdentityRef(IdentityKind.DEVICE, "d")
    person = (await resolve(world, known))[known]

    found = await resolve(world, new, known, new)

    assert found[known] == person
    assert set(found) == {known, new}
    assert await resolve(world) == {}


def test_only_the_chinese_country_code_before_eleven_digits_is_dropped() -> None:
    assert normalise(PHONE, "+86 139 1234 5678") == "13912345678"
    assert normalise(PHONE, "8613912") == "8613912"
    assert normalise(PHONE, "+852 9123 4567") == "85291234567"
