"""What the graph should hold, read from the tables that are the truth: in pages by id, or by what a caller names."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, and_, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from domain.fans.models import Fan
from domain.outbox.models import Outbox
from domain.referrals.models import Referral
from domain.scope import Scope
from domain.shares.models import Share
from domain.tables import table_of
from domain.tenancy.models import Brand

_brands, _fans, _shares, _referrals = table_of(Brand), table_of(Fan), table_of(Share), table_of(Referral)
_outbox = table_of(Outbox)


@dataclass(frozen=True, slots=True)
class FanState:
    """A fan as the graph should know it."""

    id: int
    brand_id: int
    version: int


@dataclass(frozen=True, slots=True)
class ShareState:
    """An edge of a cascade; `at` in epoch milliseconds, `v` the number of the event that says so, 0 without one."""

    id: int
    brand_id: int
    cascade_id: int
    from_fan_id: int
    to_fan_id: int
    channel: str | None
    at: int
    v: int = 0


@dataclass(frozen=True, slots=True)
class ReferralState:
    """Who brought a fan; `at` in epoch milliseconds, `v` the number of the event that says so, 0 without one."""

    id: int
    brand_id: int
    referrer_fan_id: int
    invitee_fan_id: int
    at: int
    v: int = 0


async def brand_ids(session: AsyncSession, scope: Scope) -> list[int]:
    """Return the brands in the scope, in ascending order."""
    statement = select(_brands.c.id).where(scope.reach.where(_brands)).order_by(_brands.c.id)
    return list((await session.execute(statement)).scalars())


async def fan_states(session: AsyncSession, scope: Scope, brand_id: int, after_id: int, limit: int) -> list[FanState]:
    """Return the brand's fans whose ids follow `after_id`, in their order."""
    return await _fan_states(session, _page(_fans, scope, brand_id, after_id, limit))


async def fans_named(session: AsyncSession, scope: Scope, brand_id: int, ids: Collection[int]) -> list[FanState]:
    """Return those of the named fans that the brand has."""
    return await _fan_states(session, _of(_fans, scope, brand_id).where(_fans.c.id.in_(ids)))


async def share_states(
    session: AsyncSession, scope: Scope, brand_id: int, after_id: int, limit: int
) -> list[ShareState]:
    """Return the brand's shares whose ids follow `after_id`, in their order."""
    return await _share_states(session, _page(_shares, scope, brand_id, after_id, limit))


async def shares_named(
    session: AsyncSession, scope: Scope, brand_id: int, keys: Collection[tuple[int, int]]
) -> list[ShareState]:
    """Return those of the shares named by cascade and reached fan that the brand has; a thousand names at most."""
    named = tuple_(_shares.c.cascade_id, _shares.c.to_fan_id).in_(keys)
    return await _share_states(session, _of(_shares, scope, brand_id).where(named))


async def referral_states(
    session: AsyncSession, scope: Scope, brand_id: int, after_id: int, limit: int
) -> list[ReferralState]:
    """Return the brand's referrals whose ids follow `after_id`, in their order."""
    return await _referral_states(session, _page(_referrals, scope, brand_id, after_id, limit))


async def referrals_named(
    session: AsyncSession, scope: Scope, brand_id: int, invitee_ids: Collection[int]
) -> list[ReferralState]:
    """Return those of the referrals named by invitee that the brand has."""
    named = _referrals.c.invitee_fan_id.in_(invitee_ids)
    return await _referral_states(session, _of(_referrals, scope, brand_id).where(named))


async def count_states(session: AsyncSession, scope: Scope, brand_id: int) -> int:
    """Count all that the graph should hold of a brand."""
    tables = (_fans, _shares, _referrals)
    parts = [select(func.count()).where(_mine(table, scope, brand_id)).scalar_subquery() for table in tables]
    counts = (await session.execute(select(*parts))).one()
    return sum(counts)


async def pending_keys(session: AsyncSession, scope: Scope, consumer: str, keys: Collection[str]) -> set[str]:
    """Return those of the event keys of which the consumer has still something to learn."""
    pending = (_outbox.c.consumer == consumer, _outbox.c.sent_at.is_(None), _outbox.c.dead_at.is_(None))
    statement = select(_outbox.c.key).where(*pending, _outbox.c.key.in_(keys), scope.reach.where_shared(_outbox))
    return set((await session.execute(statement)).scalars())


async def _fan_states(session: AsyncSession, statement: Select[Any]) -> list[FanState]:
    found = await session.execute(statement.with_only_columns(_fans.c.id, _fans.c.brand_id, _fans.c.version))
    return [FanState(*row) for row in found]


async def _share_states(session: AsyncSession, statement: Select[Any]) -> list[ShareState]:
    edge = (_shares.c.cascade_id, _shares.c.from_fan_id, _shares.c.to_fan_id, _shares.c.channel, _shares.c.shared_at)
    found = await session.execute(statement.with_only_columns(_shares.c.id, _shares.c.brand_id, *edge))
    return [ShareState(*row[:-1], epoch_ms(row[-1])) for row in found]


async def _referral_states(session: AsyncSession, statement: Select[Any]) -> list[ReferralState]:
    edge = (_referrals.c.referrer_fan_id, _referrals.c.invitee_fan_id, _referrals.c.referred_at)
    found = await session.execute(statement.with_only_columns(_referrals.c.id, _referrals.c.brand_id, *edge))
    return [ReferralState(*row[:-1], epoch_ms(row[-1])) for row in found]


def epoch_ms(moment: datetime) -> int:
    """Return a moment as the graph keeps it."""
    return int(moment.timestamp() * 1000)


def _mine(table: Table, scope: Scope, brand_id: int) -> ColumnElement[bool]:
    return and_(table.c.brand_id == brand_id, scope.reach.where(table))


def _of(table: Table, scope: Scope, brand_id: int) -> Select[Any]:
    return select(table).where(_mine(table, scope, brand_id))


def _page(table: Table, scope: Scope, brand_id: int, after_id: int, limit: int) -> Select[Any]:
    return _of(table, scope, brand_id).where(table.c.id > after_id).order_by(table.c.id).limit(limit)
