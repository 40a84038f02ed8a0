"""Whose each event is: the fan of the person its identities lead to, made where the brand has none."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import Conflict
from domain.events.ingest.claiming import reject
from domain.events.ingest.results import Accepted, Sender
from domain.fans.models import Fan
from domain.fans.service import NewFan, fans_of_persons
from domain.persons.resolution import Claim, resolve
from domain.persons.service import IdentityRef
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
    claims = [_claim(one) for one in fresh]
    people = await resolve(session, keys, claims, principal=sender.principal, brand_id=brand.id)
    known = [(one, person) for one, person in zip(fresh, people, strict=True) if person is not None]
    if len(known) < len(fresh):
        await reject(session, brand, [one for one, person in zip(fresh, people, strict=True) if person is None])
    first: dict[int, Accepted] = {}
    for one, person in known:
        if person not in first or one.at < first[person].at:
            first[person] = one
    fan_of = await fans_of_persons(session, keys, brand, first, lambda person: _newcomer(first[person]))
    for one, person in known:
        one.fan_id = fan_of[person]
    return [one for one, _ in known]


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
