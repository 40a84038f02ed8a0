"""What events hold about a fan. That something happened stays, for the brand's counts; what it said of them goes."""

from typing import Any

from sqlalchemy import Select, delete, null, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from domain.database import dialect_insert
from domain.events.models import EventCount, FanActivity, FanEvent, Follow
from domain.privacy.subject import Erasing, Holding, Subject, deletes, hands_over, shows
from domain.tables import table_of

events, counts, follows = table_of(FanEvent), table_of(EventCount), table_of(Follow)
activity = table_of(FanActivity)


def _events(subject: Subject) -> Select[Any]:
    return select(events).where(events.c.fan_id == subject.fan_id)


def _counts(subject: Subject) -> Select[Any]:
    return select(counts).where(counts.c.fan_id == subject.fan_id)


def _follows(subject: Subject) -> Select[Any]:
    return select(follows).where(follows.c.fan_id == subject.fan_id)


def _activity(subject: Subject) -> Select[Any]:
    return select(activity).where(activity.c.fan_id == subject.fan_id)


async def _hand_over_counts(session: AsyncSession, erasing: Erasing, limit: int) -> int:
    """Add the fan's counts to the stand-in's, which may have some of the same day already."""
    key = (counts.c.fan_id, counts.c.name, counts.c.day)
    some = select(*key).where(counts.c.fan_id == erasing.fan_id).limit(limit)
    taken = await session.execute(delete(counts).where(tuple_(*key).in_(some)).returning(counts))
    rows = [{**row, "fan_id": erasing.stand_in_id} for row in taken.mappings()]
    if rows:
        statement = dialect_insert(session, counts)
        more = {"count": counts.c.count + statement.excluded.count}
        await session.execute(
            statement.on_conflict_do_update(index_elements=["fan_id", "name", "day"], set_=more), rows
        )
    return len(rows)


HOLDING = Holding(
    tables=("events", "event_counts", "fan_activity", "follows"),
    sections={
        "events": shows(_events, (events.c.occurred_at, events.c.id)),
        "eventCounts": shows(_counts, (counts.c.name, counts.c.day)),
        "lastActivity": shows(_activity, (activity.c.fan_id,)),
        "follows": shows(_follows, (follows.c.at, follows.c.id)),
    },
    erase=(
        hands_over(events, properties={}, violations=null(), scene=null()),
        _hand_over_counts,
        deletes(activity),
        deletes(follows),
    ),
)
