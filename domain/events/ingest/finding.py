"""Whose each event is: the fan of the person its identities lead to, made where the brand has none."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import Conflict
from domain.events.ingest.claiming import reject
from domain.events.ingest.results import Accepted, Sender
from domain.fans.models import Fan
from domain.fans.service import NewFan, hold_fans, make_fans
from domain.persons.resolution import Claim, Reshapes, resolve
from domain.persons.service import IdentityRef
from domain.persons.standing import people_as_known
from domain.tables import table_of
from domain.tenancy.models import Brand
from domain.vault import GroupVault

fans = table_of(Fan)
_NONE: frozenset[IdentityRef] = frozenset()


async def find_fans(
    session: AsyncSession, keys: GroupVault, brand: Brand, fresh: list[Accepted], sender: Sender
) -> list[Accepted]:
    """Give each event its fan, made where the brand has none; reject those whose identities name nobody."""
    if not fresh:
        return []
    if sender.fan_id is not None:
        await _hold_fan(session, sender.fan_id)
        for one in fresh:
            one.fan_id = sender.fan_id
        return fresh
    people, fan_of = await _people(session, keys, brand, fresh, sender)
    known = [(one, person) for one, person in zip(fresh, people, strict=True) if person is not None]
    if len(known) < len(fresh):
        await reject(session, brand, [one for one, person in zip(fresh, people, strict=True) if person is None])
    missing = [(one, person) for one, person in known if person not in fan_of]
    if missing:
        fan_of |= await make_fans(session, keys, brand, _newcomers(missing))
    for one, person in known:
        one.fan_id = fan_of[person]
    return [one for one, _ in known]


async def _people(
    session: AsyncSession, keys: GroupVault, brand: Brand, fresh: list[Accepted], sender: Sender
) -> tuple[list[int | None], dict[int, int]]:
    """Return the person of each event, and the fans who are there and held by them."""
    known = await people_as_known(session, keys, brand.id, [one.who for one in fresh])
    people = await _resolved(session, keys, brand, fresh, sender, known) if None in known else known
    fan_of = await hold_fans(session, brand.id, [person for person in people if person is not None])
    as_known = {person for person, was in zip(people, known, strict=True) if was is not None and person == was}
    if fan_of.keys() >= as_known:
        return people, fan_of
    # somebody was merged away or erased after they were read, and before their fan was held
    people = await _resolved(session, keys, brand, fresh, sender, [None] * len(fresh))
    return people, await hold_fans(session, brand.id, [person for person in people if person is not None])


async def _resolved(
    session: AsyncSession,
    keys: GroupVault,
    brand: Brand,
    fresh: list[Accepted],
    sender: Sender,
    known: list[int | None],
) -> list[int | None]:
    """Resolve the claims whose person is not known; where that merges anybody, all of them in their order."""

    async def resolved(some: list[Accepted], *, merging: bool) -> list[int | None]:
        claims = [_claim(one) for one in some]
        return await resolve(session, keys, claims, principal=sender.principal, brand_id=brand.id, merging=merging)

    new = [one for one, person in zip(fresh, known, strict=True) if person is None]
    if len(new) == len(fresh):
        return await resolved(fresh, merging=True)
    try:
        found = iter(await resolved(new, merging=False))
    except Reshapes:
        return await resolved(fresh, merging=True)
    return [next(found) if person is None else person for person in known]


def _newcomers(missing: list[tuple[Accepted, int]]) -> dict[int, NewFan]:
    """Describe each person by the first of their events."""
    first: dict[int, Accepted] = {}
    for one, person in missing:
        if person not in first or one.at < first[person].at:
            first[person] = one
    return {person: _newcomer(one) for person, one in first.items()}


async def _hold_fan(session: AsyncSession, fan_id: int) -> None:
    """Keep the fan from being merged or erased until the transaction ends. Raises Conflict where that was sooner."""
    found = select(fans.c.id).where(fans.c.id == fan_id).with_for_update(read=True, key_share=True)
    if (await session.execute(found)).first() is None:
        raise Conflict


def _claim(one: Accepted) -> Claim:
    refs, proved = [], _NONE
    for who in one.who:
        refs.append(IdentityRef(who.kind, who.value, who.issuer))
        if who.verified:
            proved |= {refs[-1]}
    return Claim(tuple(refs), proved, f"event:{one.key.hex() if one.key else one.event.name}")


def _newcomer(one: Accepted) -> NewFan:
    who = one.who[0]
    return NewFan(
        IdentityRef(who.kind, who.value, who.issuer),
        source_account_id=one.event.account_id,
        source_scene=one.event.scene,
        created_at=one.at,
    )
