"""What is to be done once a day, whichever worker comes first: who is at it, and whether it is done."""

from collections.abc import Collection
from datetime import date, datetime, timedelta

from sqlalchemy import ColumnElement, Date, String, and_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import Field, SQLModel

from domain import clock
from domain.bulk import among
from domain.database import dialect_insert
from domain.tables import moment, table_of


class Chore(SQLModel, table=True):
    """The last day of which a chore was taken up. Whoever did so has it until `claimed_until`, unless it is done."""

    __tablename__ = "chores"

    name: str = Field(primary_key=True, sa_type=String(64))
    day: date = Field(sa_type=Date)
    claimed_until: datetime = moment()
    done_at: datetime | None = moment(nullable=True)


chores = table_of(Chore)


async def taken(session: AsyncSession, names: Collection[str], day: date) -> set[str]:
    """Return those of which the day is done, or being done: to ask costs nobody the right to write."""
    named = select(chores.c.name).where(among(session, chores.c.name, sorted(names)), ~_is_open(day))
    return set((await session.execute(named)).scalars())


async def claim(session: AsyncSession, name: str, day: date, lasting: timedelta) -> bool:
    """Take up the day's chore and return True, unless another has it or has done it."""
    anew = {"day": day, "claimed_until": clock.now() + lasting, "done_at": None}
    insertion = dialect_insert(session, chores).values(name=name, **anew)
    statement = insertion.on_conflict_do_update(index_elements=["name"], set_=anew, where=_is_open(day))
    return (await session.execute(statement.returning(chores.c.name))).one_or_none() is not None


async def finish(session: AsyncSession, name: str, day: date) -> None:
    """Say that the day's chore is done."""
    mine = (chores.c.name == name, chores.c.day == day)
    await session.execute(update(chores).where(*mine).values(done_at=clock.now()))


def _is_open(day: date) -> ColumnElement[bool]:
    left = and_(chores.c.day == day, chores.c.done_at.is_(None), chores.c.claimed_until <= clock.now())
    # a day that no time zone has reached was written by a clock that was wrong, and holds up none
    return or_(chores.c.day < day, left, chores.c.day > day + timedelta(days=1))
