"""Fans found by ids, which lead on where they were merged away, and kept there until the transaction ends."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Select, bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.compiled import Among, Compiled
from domain.fans.models import Fan
from domain.looks import Asked
from domain.persons.models import FanAlias
from domain.scope import Scope, TenantSet
from domain.tables import table_of

fans, aliases = table_of(Fan), table_of(FanAlias)

T = TypeVar("T")


class There(NamedTuple):
    """A fan, and of which brand."""

    id: int
    brand_id: int


async def find_fans(session: AsyncSession, scope: Scope, ids: Collection[int], permission: str) -> dict[int, There]:
    """Return, by the ids asked for, the fans for whom the caller has the permission; a merged one's id leads on.

    Nothing is locked, so that what is held then is held in one order. Who is not there any more when they are held was
    merged away since, and an id may lead elsewhere than before (`whom_they_lead_to`): both have to be found again.
    """
    there = _select_there(scope.nodes(permission))

    async def look(some: Sequence[int]) -> dict[int, There]:
        return {row.id: There(*row) for row in await there.rows(session, ids=some)}

    return await _follow(session, ids, look)


async def hold_fans(
    session: AsyncSession, brand_id: int, ids: Collection[int], *, erased: bool = False
) -> dict[int, int]:
    """Return who the brand's fans of these ids are now, kept there until the transaction ends: a merge waits.

    To be asked before accounts are locked, as a merge does. Who is of another brand is left out, and who was `erased`
    where they are not asked for.
    """
    select_kept = _select_row if erased else _select_living

    async def hold(some: Sequence[int]) -> dict[int, int]:
        return {fan_id: fan_id for fan_id in await select_kept.scalars(session, brand=brand_id, ids=some)}

    return await _follow(session, ids, hold)


async def _follow(
    session: AsyncSession, ids: Collection[int], there: Callable[[Sequence[int]], Awaitable[Mapping[int, T]]]
) -> dict[int, T]:
    """Return who is there by the ids asked for; an id that is not there leads to whom its fan was merged into.

    Whom it leads to may be merged away, or the fan come back, between two looks and while one waits: it is followed
    until it leads nowhere else than before. A merge is undone under the lock of who stays, so that holds who is held.
    """
    found = dict(await there(sorted(set(ids))))
    left, led = set(ids) - found.keys(), dict[int, int]()
    while left:
        new = {
            old: fan_id for old, fan_id in (await whom_they_lead_to(session, left)).items() if led.get(old) != fan_id
        }
        heirs = await there(sorted(set(new.values()))) if new else {}
        found = {old: fan for old, fan in found.items() if old not in new}
        found |= {old: heirs[fan_id] for old, fan_id in new.items() if fan_id in heirs}
        left, led = set(new), led | new
    return found


async def whom_they_lead_to(session: AsyncSession, ids: Collection[int]) -> dict[int, int]:
    """Return whose the ids are by what is committed: their own where nobody was merged away under them."""
    leads = {row.old_id: row.fan_id for row in await _select_leads.rows(session, ids=sorted(set(ids)))}
    return {old: leads.get(old, old) for old in ids}


def held_among(scope: Scope, ids: Collection[int], permission: str) -> Asked:
    """Ask for the ids of those who are there and for whom the caller has the permission, and hold them.

    To be asked before accounts are locked, as a merge does.
    """
    return Asked(_select_held(scope.nodes(permission)), {"ids": sorted(set(ids))})


@Compiled
def _select_leads(among: Among) -> Select[Any]:
    return select(aliases.c.old_id, aliases.c.fan_id).where(among(aliases.c.old_id, "ids"))


@lru_cache(maxsize=200)
def _select_there(nodes: TenantSet) -> Compiled:
    return Compiled(lambda among: _there(nodes, among, fans.c.id, fans.c.brand_id))


@lru_cache(maxsize=200)
def _select_held(nodes: TenantSet) -> Compiled:
    def build(among: Among) -> Select[Any]:
        return _there(nodes, among, fans.c.id).order_by(fans.c.id).with_for_update(read=True, key_share=True, of=fans)

    return Compiled(build)


@Compiled
def _select_living(among: Among) -> Select[Any]:
    return _row(among).where(fans.c.erased_at.is_(None))


@Compiled
def _select_row(among: Among) -> Select[Any]:
    return _row(among)


def _row(among: Among) -> Select[Any]:
    mine = (fans.c.brand_id == bindparam("brand"), among(fans.c.id, "ids"))
    return select(fans.c.id).where(*mine).order_by(fans.c.id).with_for_update(read=True, key_share=True)


def _there(nodes: TenantSet, among: Among, *columns: Any) -> Select[Any]:
    return select(*columns).where(among(fans.c.id, "ids"), nodes.where(fans), fans.c.erased_at.is_(None))
