"""Reads of fans."""

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from typing import Any

from sqlalchemy import Column, FromClause, Select, and_, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import reads
from domain.compiled import Compiled
from domain.errors import NotFound
from domain.fans.filters import EVENTS, READ, FanFilter, Found, also, check_size, condition
from domain.fans.lookups import look_up, looks_up
from domain.fans.models import Fan
from domain.fans.nearby import Nearby, nearby
from domain.fans.sorts import BESIDE, SORTS, FanSort
from domain.near import Near, window_near
from domain.page import Page, PageArgs, Window, paginate, read, window
from domain.persons.models import FanAlias
from domain.scope import Scope, TenantSet
from domain.tables import table_of
from domain.vault import Vault

fans = table_of(Fan)
aliases = table_of(FanAlias)


async def get_fan(session: AsyncSession, scope: Scope, fan_id: int) -> Fan:
    """Return the fan. Raises NotFound where there is none or the caller may not read it."""
    found = await fans_by_any_id(session, scope, [fan_id])
    if fan_id not in found:
        raise NotFound
    return found[fan_id]


async def fans_by_id(session: AsyncSession, scope: Scope, ids: Iterable[int], permission: str = READ) -> dict[int, Fan]:
    nodes, wanted = scope.nodes(permission), sorted(set(ids))
    if nodes.fans or not wanted:
        # a statement of a fan's own would be compiled for them alone
        return await reads.by_id(session, nodes.where(fans), Fan, wanted)
    return {fan.id: fan for fan in await _select_fans(nodes).rows(session, ids=wanted)}


@lru_cache(maxsize=2_000)
def _select_fans(nodes: TenantSet) -> Compiled:
    return Compiled(lambda among: select(fans).where(among(fans.c.id, "ids"), nodes.where(fans)))


async def fans_by_any_id(
    session: AsyncSession, scope: Scope, ids: Iterable[int], permission: str = READ
) -> dict[int, Fan]:
    """Return the fans by the ids asked for; the id of one who was merged away leads to who they are now."""
    wanted = set(ids)
    found = await fans_by_id(session, scope, wanted, permission)
    former = sorted(wanted - found.keys())
    if not former:
        return found
    leads = select(aliases.c.old_id, aliases.c.fan_id).where(aliases.c.old_id.in_(former))
    into = {row.old_id: row.fan_id for row in await session.execute(leads)}
    now = await fans_by_id(session, scope, into.values(), permission)
    return found | {old: now[fan_id] for old, fan_id in into.items() if fan_id in now}


async def list_fans(
    session: AsyncSession,
    scope: Scope,
    vault: Vault,
    args: PageArgs,
    *,
    wanted: FanFilter | None = None,
    order: FanSort = FanSort.ID_ASC,
) -> Page[Fan]:
    """Return a page of the fans the caller may read and that meet the filter."""
    if wanted is not None:
        check_size(wanted)
    found = await look_up(session, scope, vault, wanted)
    statement = _meeting(scope, wanted, found)
    if order is FanSort.LAST_ACTIVE_AT_DESC:
        scope.require(EVENTS)
        statement = statement.where(also(scope, permission=EVENTS))
    if order in BESIDE:
        statement = _with(statement, BESIDE[order])
    close = nearby(scope, wanted, order)
    if close is None:
        return await paginate(session, statement, SORTS[order], args)
    return await read(session, window_near(statement, SORTS[order], args, _near(scope, close, found)))


def cut_fans(scope: Scope, args: PageArgs, wanted: FanFilter | None, order: FanSort) -> Window | None:
    """Return the page of `list_fans` before it is read, or None where the filter has to look something up first.

    Nor where a moment that may be missing sorts it, or it is read in two ways (`domain.near`): what is read depends
    on more of the cursor than its value.
    """
    if wanted is not None:
        check_size(wanted)
        if looks_up(wanted):
            return None
    if SORTS[order].gapped or nearby(scope, wanted, order) is not None:
        return None
    return window(_meeting(scope, wanted, Found()), SORTS[order], args)


def select_fans(scope: Scope) -> Select[Any]:
    """Select the fans the caller may read."""
    return select(fans).where(scope.where(READ, fans))


def fan_of_each(scope: Scope, row: FromClause) -> Select[Any]:
    """Select the fan a row of an outer statement belongs to."""
    return select_fans(scope).where(fans.c.id == row.c.fan_id).correlate(row)


def _with(statement: Select[Any], column: Column[Any]) -> Select[Any]:
    # of the same brand and group, which says nothing new and lets the index of either be read in its order
    beside = column.table.c
    same = (beside.fan_id == fans.c.id, *(beside[name] == fans.c[name] for name in ("brand_id", "group_id")))
    return statement.add_columns(column).outerjoin(column.table, and_(*same))


def _near(scope: Scope, close: Nearby, found: Found) -> Near:
    statement = _meeting(scope, close.left, replace(found, walking=True))
    if close.of_activity:
        statement = statement.where(also(scope, permission=EVENTS))
    return Near(close.keys, statement, close.worth)


def _meeting(scope: Scope, wanted: FanFilter | None, found: Found) -> Select[Any]:
    statement = select_fans(scope)
    return statement if wanted is None else statement.where(condition(wanted, scope, found))
