"""Identities named together end in one person, in any order, in any batches and however many come at once."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, insert, select

from domain import clock
from domain.errors import Conflict
from domain.persons.claims import Claim, IdentityRef
from domain.persons.models import (
    BlockedIdentity,
    ConflictState,
    Identity,
    IdentityConflict,
    IdentityKind,
    Person,
    PersonMerge,
)
from domain.persons.naming import find_hash
from domain.persons.resolution import resolve
from domain.persons.rules import Held, Holding, Named, is_blocked, make_plan
from domain.tables import table_of
from tests.cast import EVERYTHING
from tests.statements import statements_of
from tests.world import World

persons, identities, merges = table_of(Person), table_of(Identity), table_of(PersonMerge)
conflicts, blocked = table_of(IdentityConflict), table_of(BlockedIdentity)
OPENID, UNIONID, PHONE = IdentityKind.OPENID, IdentityKind.UNIONID, IdentityKind.PHONE
EXTERNAL, EMAIL, DEVICE = IdentityKind.EXTERNAL_ID, IdentityKind.EMAIL, IdentityKind.DEVICE

MINI, SERVICE = IdentityRef(OPENID, "o-mini", "wx-mini"), IdentityRef(OPENID, "o-service", "wx-service")
UNION, OTHER_UNION = IdentityRef(UNIONID, "u-1", "open"), IdentityRef(UNIONID, "u-2", "open")
MOBILE, OTHER_MOBILE = IdentityRef(PHONE, "13912345678"), IdentityRef(PHONE, "13787654321")
MEMBER = IdentityRef(EXTERNAL, "m-1", "crm")


def claim(*refs: IdentityRef, verified: Sequence[IdentityRef] = ()) -> Claim:
    return Claim((*refs, *(ref for ref in verified if ref not in refs)), frozenset(verified), "event:test")


async def ask(world: World, *claims: Claim, group: str = "g1") -> list[int | None]:
    async with world.services.database.writing(EVERYTHING) as session:
        keys = await world.services.vault.of_group(session, world.nodes[group])
        return await resolve(session, keys, claims, principal="test")


async def one(world: World, *refs: IdentityRef, verified: Sequence[IdentityRef] = ()) -> int:
    (found,) = await ask(world, claim(*refs, verified=verified))
    assert found is not None
    return found


async def count(world: World, table: Any) -> int:
    async with world.services.database.reading(EVERYTHING) as session:
        return int((await session.execute(select(func.count()).select_from(table))).scalar_one())


async def rows(world: World, table: Any) -> list[Any]:
    async with world.services.database.reading(EVERYTHING) as session:
        return list((await session.execute(select(table).order_by(table.c.id))).all())


async def test_none_known_makes_a_person_and_one_known_takes_the_rest(world: World) -> None:
    made = await one(world, MINI, UNION)

    assert await one(world, UNION, SERVICE, MOBILE) == made
    assert [await one(world, ref) for ref in (MINI, UNION, SERVICE, MOBILE)] == [made] * 4
    assert await count(world, merges) == 0


@pytest.mark.parametrize(
    "strong, verified", [(UNION, ()), (MEMBER, ()), (MOBILE, (MOBILE,))], ids=["unionid", "member", "verified phone"]
)
async def test_several_known_are_merged_by_what_is_strong(
    world: World, strong: IdentityRef, verified: tuple[IdentityRef, ...]
) -> None:
    first, second = await one(world, MINI), await one(world, SERVICE)
    third = await one(world, strong, verified=verified)

    assert await one(world, MINI, SERVICE, strong, verified=verified) == first
    assert [await one(world, ref) for ref in (MINI, SERVICE, strong)] == [first] * 3
    done = [(row.survivor_person_id, row.absorbed_person_id, row.kind) for row in await rows(world, merges)]
    assert sorted(done) == [(first, second, strong.kind), (first, third, strong.kind)]


@pytest.mark.parametrize("weak", [MOBILE, IdentityRef(EMAIL, "ann@example.com"), IdentityRef(DEVICE, "d-1"), SERVICE])
async def test_what_is_not_strong_merges_nobody(world: World, weak: IdentityRef) -> None:
    first, second = await one(world, MINI), await one(world, weak)

    assert await one(world, MINI, weak) == first
    assert await one(world, weak) == second
    assert await count(world, merges) == 0


async def test_a_typed_phone_opens_nobodys_account(world: World) -> None:
    victim = await one(world, MINI, verified=[MOBILE])

    stranger = await one(world, SERVICE, MOBILE)

    assert stranger != victim
    assert await one(world, MOBILE) == victim
    # and who typed it first loses it to who proves it
    thief = await one(world, IdentityRef(OPENID, "o-3", "wx-mini"), OTHER_MOBILE)
    owner = await one(world, IdentityRef(OPENID, "o-4", "wx-mini"), verified=[OTHER_MOBILE])
    assert owner not in (thief, victim)
    assert await one(world, OTHER_MOBILE) == owner
    assert await count(world, merges) == 0


async def test_who_was_known_by_a_phone_alone_becomes_who_proves_it(world: World) -> None:
    buyer, visitor = await one(world, MOBILE), await one(world, MINI)

    assert await one(world, MINI, verified=[MOBILE]) == min(buyer, visitor)
    assert await one(world, MOBILE) == await one(world, MINI)


async def test_two_verified_phones_of_one_unionid_are_for_staff_to_decide(world: World) -> None:
    first = await one(world, UNION, verified=[MOBILE])

    for _ in range(3):
        assert await one(world, UNION, verified=[OTHER_MOBILE]) == first

    other = await one(world, OTHER_MOBILE)
    assert other != first
    (conflict,) = await rows(world, conflicts)
    assert (conflict.one_person_id, conflict.other_person_id) == (first, other)
    assert (conflict.state, conflict.kind, conflict.times) == (ConflictState.OPEN, PHONE, 3)
    assert await count(world, merges) == 0


async def test_two_unionids_of_one_platform_are_two_persons(world: World) -> None:
    first, second = await one(world, MINI, UNION), await one(world, SERVICE, OTHER_UNION)

    assert await one(world, UNION, verified=[MOBILE]) == first
    assert await one(world, OTHER_UNION, verified=[MOBILE]) == second
    assert [(r.one_person_id, r.other_person_id) for r in await rows(world, conflicts)] == [(first, second)]
    assert await count(world, merges) == 0


@pytest.mark.parametrize(
    "ref",
    [
        IdentityRef(PHONE, "13800000000"),
        IdentityRef(PHONE, "+86 138 0000 0000"),
        IdentityRef(PHONE, "00000000000"),
        IdentityRef(DEVICE, "00000000-0000-0000-0000-000000000000"),
        IdentityRef(EXTERNAL, "0", "pos"),
        IdentityRef(OPENID, "undefined", "wx-mini"),
    ],
)
async def test_blocked_values_lead_to_nobody(world: World, ref: IdentityRef) -> None:
    before = await count(world, persons)

    assert await ask(world, claim(ref), claim()) == [None, None]
    first, second = await one(world, MINI, verified=[ref]), await one(world, SERVICE, verified=[ref])

    assert first != second
    assert await count(world, persons) == before + 2


async def test_a_group_blocks_values_of_its_own(world: World) -> None:
    shared = IdentityRef(PHONE, "13611112222")
    theirs = await one(world, shared)
    async with world.services.database.writing(EVERYTHING) as session:
        keys = await world.services.vault.of_group(session, world.nodes["g1"])
        row = {"group_id": world.nodes["g1"], "kind": "PHONE", "issuer": "", "value_hash": find_hash(keys, shared)}
        said = {"value_cipher": b"", "reason": "the front desk's", "blocked_by": "test", "created_at": clock.now()}
        await session.execute(insert(blocked).values(row | said))

    assert await ask(world, claim(shared)) == [None]
    assert await one(world, MINI, verified=[shared]) != theirs
    assert (await ask(world, claim(shared), group="g2"))[0] is not None


async def patiently(world: World, *claims: Claim) -> list[int | None]:
    """Ask as a client does: again, where it is told that others were faster."""
    for _ in range(20):
        try:
            return await ask(world, *claims)
        except Conflict:
            await asyncio.sleep(random.uniform(0.01, 0.1))
    raise AssertionError("others were always faster")


async def test_fifty_at_once_with_overlapping_identities_end_in_one_person(world: World) -> None:
    everything = [MINI, SERVICE, UNION, MEMBER, IdentityRef(EMAIL, "a@b.cn"), IdentityRef(DEVICE, "d-9")]
    before = await count(world, persons)
    dice = random.Random(5)
    batches = [claim(UNION, *dice.sample(everything, 3), verified=[MOBILE]) for _ in range(50)]

    await asyncio.gather(*(patiently(world, batch) for batch in batches))

    assert await count(world, persons) == before + 1
    assert len({await one(world, ref) for ref in (*everything, MOBILE)}) == 1
    assert await count(world, conflicts) == 0


async def test_fifty_at_once_that_merge_persons_crosswise_end_in_one(world: World) -> None:
    refs = [IdentityRef(OPENID, f"o-{n}", f"wx-{n}") for n in range(10)]
    people = [await one(world, ref) for ref in refs]
    dice = random.Random(7)
    batches = [[claim(*dice.sample(refs, 3), UNION), claim(*dice.sample(refs, 2), UNION)] for _ in range(50)]

    await asyncio.gather(*(patiently(world, *batch) for batch in batches))

    left = {await one(world, ref) for ref in {ref for batch in batches for c in batch for ref in c.identities}}
    assert left == {min(people)}
    assert len({row.absorbed_person_id for row in await rows(world, merges)}) == await count(world, merges)


async def test_a_batch_takes_as_many_statements_as_a_claim(world: World) -> None:
    def batch(number: int) -> list[Claim]:
        names = range(number * 1000, number * 1000 + number)
        return [claim(IdentityRef(OPENID, f"o{n}", "wx"), IdentityRef(UNIONID, f"u{n}", "open")) for n in names]

    with statements_of(world.services.database) as seen:
        await ask(world, *batch(3))
        few = len(seen)
        await ask(world, *batch(300))
        assert len(seen) == 2 * few
        await ask(world, *batch(300))
        assert len(seen) < 3 * few


KINDS = st.sampled_from([OPENID, UNIONID, PHONE, EMAIL])
NAMED = st.builds(
    lambda kind, number, verified: Named(f"{kind}{number}".encode(), kind, "", verified and kind is PHONE),
    KINDS,
    st.integers(0, 4),
    st.booleans(),
)
CLAIMS = st.lists(st.lists(NAMED, min_size=1, max_size=3, unique_by=lambda named: named.key), max_size=12)


class Memory:
    """A plain store that plans are carried out in, one batch after another."""

    def __init__(self) -> None:
        self.held: dict[bytes, tuple[Named, int]] = {}
        self.apart: set[frozenset[int]] = set()
        self.next = 1

    def take(self, batch: list[list[Named]]) -> None:
        known = {key: Held(n, person, named.verified) for n, (key, (named, person)) in enumerate(self.held.items())}
        by_number = list(self.held)
        holdings: dict[int, list[Holding]] = {}
        for named, owner in self.held.values():
            holdings.setdefault(owner, []).append(Holding(named.key, named.kind, named.issuer, named.verified))
        pairs = {(min(pair), max(pair)) for pair in self.apart}
        plan = make_plan(batch, known, holdings, pairs)
        ids = {}
        for made in plan.made:
            ids[made], self.next = self.next, self.next + 1
        for named, to in plan.attach:
            self.held[named.key] = (named, ids.get(to, to))
        for number in plan.prove:
            named, owner = self.held[by_number[number]]
            self.held[named.key] = (named._replace(verified=True), owner)
        for number, _, to in plan.hand_over:
            named, _owner = self.held[by_number[number]]
            self.held[named.key] = (named, ids.get(to, to))
        self.apart |= {frozenset(ids.get(end, end) for end in (c.one, c.other)) for c in plan.conflicts}
        into = {merge.absorbed: merge.survivor for merge in plan.merges}
        self.held = {key: (named, into.get(owner, owner)) for key, (named, owner) in self.held.items()}
        self.apart = {frozenset(into.get(end, end) for end in pair) for pair in self.apart}

    def groups(self) -> set[frozenset[tuple[bytes, bool]]]:
        owners: dict[int, set[tuple[bytes, bool]]] = {}
        for named, owner in self.held.values():
            owners.setdefault(owner, set()).add((named.key, named.verified))
        return {frozenset(of) for of in owners.values()}


@settings(max_examples=300)
@given(CLAIMS, st.data())
def test_a_batch_ends_like_its_claims_one_by_one(claims: list[list[Named]], data: st.DataObject) -> None:
    single, batched = Memory(), Memory()
    for one_claim in claims:
        single.take([one_claim])
    rest = claims
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        batched.take(rest[:size])
        rest = rest[size:]

    assert batched.groups() == single.groups()


@settings(max_examples=300)
@given(CLAIMS)
def test_nobody_ends_with_two_strong_identities_of_a_kind(claims: list[list[Named]]) -> None:
    store = Memory()
    store.take(claims)

    for group in store.groups():
        strong = [key for key, verified in group if key.startswith(b"UNIONID") or verified]
        kinds = [key[:5] for key in strong]
        assert len(kinds) == len(set(kinds))


def test_what_is_blocked_everywhere() -> None:
    assert is_blocked(PHONE, "13800000000")
    assert is_blocked(DEVICE, "0000000000000000")
    assert not is_blocked(PHONE, "13912345678")
    assert not is_blocked(EXTERNAL, "100")
