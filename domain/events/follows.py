"""The follow state (关注状态) of fans: a history of rows, and columns of the fan that are always read off it."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, FromClause, and_, exists, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from domain import clock, reads
from domain.events.models import Follow, FollowKind
from domain.fans.models import Fan
from domain.tables import table_of
from domain.tenancy.models import Brand

fans, follows = table_of(Fan), table_of(Follow)
NEWEST = (follows.c.at.desc(), follows.c.id.desc())


class Step(NamedTuple):
    """A fan following an account of the brand, or leaving it."""

    fan_id: int
    kind: FollowKind
    at: datetime
    account_id: int | None = None
    scene: str | None = None


async def record(session: AsyncSession, brand: Brand, steps: Sequence[Step]) -> None:
    """Write the steps of (locked) fans, in whatever order they come, and bring the fans' state up to them."""
    if not steps:
        return
    tenant = {"group_id": brand.group_id, "brand_id": brand.id}
    await session.execute(insert(follows), [{**tenant, **step._asdict(), "kind": step.kind.value} for step in steps])
    await recompute(session, {step.fan_id for step in steps})


async def recompute(session: AsyncSession, fan_ids: Iterable[int]) -> None:
    """Bring the follow state of the (locked) fans up to what their history says, in one statement."""
    mine = follows.c.fan_id == fans.c.id
    came, left = (and_(mine, follows.c.kind == kind.value) for kind in (FollowKind.FOLLOW, FollowKind.UNFOLLOW))
    state = {
        "subscribed": exists().where(came, ~_has_later(follows)),
        "follow_count": _one(func.count(), came),
        "followed_at": _one(func.min(follows.c.at), came),
        "last_followed_at": _one(func.max(follows.c.at), came),
        "unfollowed_at": _one(func.max(follows.c.at), left),
        # who was known before they followed keeps what brought them, until a follow says it
        "source_account_id": func.coalesce(_first(follows.c.account_id, came), fans.c.source_account_id),
        "source_scene": func.coalesce(_first(follows.c.scene, came), fans.c.source_scene),
    }
    wanted = fans.c.id.in_(sorted(set(fan_ids)))
    await session.execute(update(fans).where(wanted).values(**state, updated_at=clock.now()))


async def recompute_known(session: AsyncSession, fan_ids: Iterable[int]) -> None:
    """Recompute the state of those of the (locked) fans who have a history."""
    wanted = select(follows.c.fan_id).distinct().where(follows.c.fan_id.in_(sorted(set(fan_ids))))
    known = (await session.execute(wanted)).scalars().all()
    if known:
        await recompute(session, known)


def _has_later(row: FromClause) -> ColumnElement[bool]:
    """Build the condition that the fan took a later step at the same account, which says nothing of others."""
    other = follows.alias("later")
    after = or_(other.c.at > row.c.at, and_(other.c.at == row.c.at, other.c.id > row.c.id))
    same = other.c.account_id.is_not_distinct_from(row.c.account_id)
    return exists().where(other.c.fan_id == row.c.fan_id, same, after).correlate(row)


def _one(value: ColumnElement[Any], condition: ColumnElement[bool]) -> Any:
    return select(value).select_from(follows).where(condition).correlate(fans).scalar_subquery()


def _first(column: ColumnElement[Any], condition: ColumnElement[bool]) -> Any:
    first = select(column).where(condition, column.is_not(None)).order_by(follows.c.at, follows.c.id).limit(1)
    return first.correlate(fans).scalar_subquery()


async def follows_by_fan(session: AsyncSession, fan_ids: Sequence[int], first: int) -> dict[int, list[Follow]]:
    """Return the newest `first` steps of each fan. The fans must have been read under the caller's scope already."""
    statement = reads.first_of_each(select(follows), "fan_id", fan_ids, NEWEST, first)
    return reads.grouped(await reads.rows(session, statement, Follow), lambda row: row.fan_id)
