"""Fans of a caller, found and then kept there until the transaction ends: a merge waits."""

from collections.abc import Collection
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.compiled import Among, Compiled
from domain.fans.models import Fan
from domain.looks import Asked
from domain.persons.models import FanAlias
from domain.scope import Scope, TenantSet
from domain.tables import table_of

fans, aliases = table_of(Fan), table_of(FanAlias)


class There(NamedTuple):
    """A fan, and of which brand."""

    id: int
    brand_id: int


async def find_fans(session: AsyncSession, scope: Scope, ids: Collection[int], permission: str) -> dict[int, There]:
    """Return, by the ids asked for, the fans for whom the caller has the permission; a merged one's id leads on.

    Nothing is locked, so that what is held then is held in one order. Who is not there any more when they are held was
    merged away since, and has to be found again.
    """
    there = _select_there(scope.nodes(permission))
    found = {row.id: There(*row) for row in await there.rows(session, ids=sorted(set(ids)))}
    former = sorted(set(ids) - found.keys())
    leads = {row.old_id: row.fan_id for row in (await _select_leads.rows(session, ids=former) if former else ())}
    heirs = {
        row.id: There(*row) for row in (await there.rows(session, ids=sorted(set(leads.values()))) if leads else ())
    }
    return found | {old: heirs[fan_id] for old, fan_id in leads.items() if fan_id in heirs}


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


def _there(nodes: TenantSet, among: Among, *columns: Any) -> Select[Any]:
    return select(*columns).where(among(fans.c.id, "ids"), nodes.where(fans), fans.c.erased_at.is_(None))
