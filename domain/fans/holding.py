"""Fans of a caller, kept there until the transaction ends: a merge waits."""

from collections.abc import Collection
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.bulk import among
from domain.compiled import Among, Compiled
from domain.fans.models import Fan
from domain.persons.models import FanAlias
from domain.scope import Scope, TenantSet
from domain.tables import table_of

fans, aliases = table_of(Fan), table_of(FanAlias)


class Held(NamedTuple):
    """A fan who is there, and where."""

    id: int
    group_id: int
    brand_id: int


async def hold_fans(session: AsyncSession, scope: Scope, ids: Collection[int], permission: str) -> dict[int, Held]:
    """Return, by the ids asked for, those for whom the caller has the permission; a merged one's id leads on.

    Who was erased is left out. To be asked before accounts are locked, as a merge does.
    """
    nodes = scope.nodes(permission)
    found = {one.id: one for one in await _hold(session, nodes, sorted(set(ids)))}
    former = sorted(set(ids) - found.keys())
    if former:
        leads = select(aliases.c.old_id, aliases.c.fan_id).where(among(session, aliases.c.old_id, former))
        into = {row.old_id: row.fan_id for row in await session.execute(leads)}
        now = {one.id: one for one in await _hold(session, nodes, sorted(set(into.values())))} if into else {}
        found |= {old: now[fan_id] for old, fan_id in into.items() if fan_id in now}
    return found


async def _hold(session: AsyncSession, nodes: TenantSet, ids: list[int]) -> list[Held]:
    if nodes.fans:
        # a statement of a fan's own would be compiled for them alone
        rows = (await session.execute(_held(nodes).where(among(session, fans.c.id, ids)))).all()
    else:
        rows = list(await _select_held(nodes).rows(session, ids=ids))
    return [Held(*row) for row in rows]


@lru_cache(maxsize=200)
def _select_held(nodes: TenantSet) -> Compiled:
    def build(among: Among) -> Select[Any]:
        return _held(nodes).where(among(fans.c.id, "ids"))

    return Compiled(build)


def _held(nodes: TenantSet) -> Select[Any]:
    there = select(fans.c.id, fans.c.group_id, fans.c.brand_id).where(nodes.where(fans), fans.c.erased_at.is_(None))
    return there.order_by(fans.c.id).with_for_update(read=True, key_share=True, of=fans)
