"""The worker's side: a claim is a lease on a job, and every step proves it in its own transaction.

A worker that dies gives its job back by doing nothing. What a step did and where the next goes on are committed
together, so whoever claims the job next goes on exactly there; a step of one whose lease another has is rolled back.
"""

import random
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import and_, case, null, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from domain import clock
from domain.database import Database
from domain.jobs.models import Job, JobKind, JobState
from domain.jobs.service import OPEN
from domain.scope import system_scope
from domain.tables import table_of

MAX_TRIES = 10
FIRST_WAIT_SECONDS = 2.0
LONGEST_WAIT = timedelta(minutes=5)
MAX_WAITS = 300  # of at most five minutes: most of a day

_SCOPE = system_scope("jobs")
jobs = table_of(Job)


class LeaseLost(Exception):
    """Another has the job by now: what the step did must be rolled back."""


@dataclass(frozen=True)
class Work:
    """A claimed job. `attempts` counts claims since the last step that went well, `waits` those that had to wait."""

    id: int
    group_id: int
    brand_id: int
    fan_id: int | None
    kind: JobKind
    principal: str
    input: dict[str, Any]
    progress: dict[str, Any]
    done: int
    total: int | None
    attempts: int
    waits: int
    created_at: datetime
    claim: UUID

    def after(self, step: "Step") -> "Work":
        """Return the work as it stands after a step."""
        done = self.done + step.done
        return replace(self, progress=step.progress, done=done, total=step.total, attempts=0, waits=0)


@dataclass(frozen=True)
class Step:
    """What a step came to: where to go on, how many items it did, of how many in all, and whether it was the last."""

    progress: dict[str, Any]
    done: int = 0
    total: int | None = None
    finished: bool = False


async def claim(database: Database, kinds: Collection[JobKind], *, lease_seconds: float) -> Work | None:
    """Lease the job that waits longest to the caller, or return None. One out of tries is given up on the way."""
    known = sorted(kind.value for kind in kinds)
    async with database.reading(_SCOPE) as session:
        # mostly there is none, and to see that must not cost SQLite its only writer
        if (await session.execute(_due(known))).first() is None:
            return None
    mine, until = uuid4(), clock.now() + timedelta(seconds=lease_seconds)
    spent = jobs.c.attempts >= MAX_TRIES
    values = {
        "claim": mine,
        "claimed_until": until,
        "attempts": jobs.c.attempts + 1,
        "state": case((spent, JobState.FAILED.value), else_=JobState.RUNNING.value),
        "finished_at": case((spent, clock.now()), else_=null()),
        "error": case((and_(spent, jobs.c.error.is_(None)), "Abandoned"), else_=jobs.c.error),
    }
    due = _due(known).with_for_update(skip_locked=True).scalar_subquery()
    async with database.writing(_SCOPE) as session:
        taken = update(jobs).where(jobs.c.id == due).values(**values).returning(*_COLUMNS, jobs.c.state)
        row = (await session.execute(taken)).mappings().one_or_none()
    if row is None or row["state"] == JobState.FAILED.value:
        return None
    return Work(**{name: row[name] for name in row if name != "state"} | {"kind": JobKind(row["kind"])}, claim=mine)


_COLUMNS = tuple(jobs.c[name] for name in Work.__dataclass_fields__ if name != "claim")


def _due(kinds: list[str]) -> Any:
    now = clock.now()
    # what lies further ahead than any wait was written before the clock was set back: nobody waits for it
    waiting = and_(jobs.c.next_at > now, jobs.c.next_at <= now + LONGEST_WAIT)
    free = or_(
        jobs.c.claimed_until.is_(None), jobs.c.claimed_until <= now, jobs.c.claimed_until > now + 2 * LONGEST_WAIT
    )
    wanted = (jobs.c.state.in_(OPEN), jobs.c.kind.in_(kinds), ~waiting, free)
    return select(jobs.c.id).where(*wanted).order_by(jobs.c.next_at, jobs.c.id).limit(1)


async def hold(session: AsyncSession, work: Work, *, lease_seconds: float) -> None:
    """Prove and renew the lease at the beginning of a step, and keep others off the job until it ends."""
    until = clock.now() + timedelta(seconds=lease_seconds)
    await _set(session, work, {"claimed_until": until})


async def advance(session: AsyncSession, work: Work, step: Step) -> None:
    """Write where the next step goes on, or that there is none, in the transaction of the step."""
    after = work.after(step)
    values: dict[str, Any] = {"progress": after.progress, "done": after.done, "total": after.total}
    values |= {"attempts": 0, "waits": 0, "error": null()}
    if step.finished:
        values |= {"state": JobState.DONE.value, "finished_at": clock.now(), "claim": null(), "claimed_until": null()}
    await _set(session, work, values)


async def put_back(database: Database, work: Work) -> None:
    """Give the job back with its tries unchanged: it is another's turn."""
    again = {"state": JobState.QUEUED.value, "next_at": clock.now(), "attempts": max(0, work.attempts - 1)}
    await _let_go(database, work, again, None)


async def wait_for_it(database: Database, work: Work, error: str) -> bool:
    """Give the job back because what it needs was not there; return whether it is given up.

    That costs no try and has more patience than a failure. But a step that can never end must not be done for ever.
    """
    now, tries = clock.now(), max(0, work.attempts - 1)
    last = work.waits + 1 >= MAX_WAITS
    ended = {"state": JobState.FAILED.value, "finished_at": now}
    again = {"state": JobState.QUEUED.value, "next_at": now + _wait(work.waits + 1)}
    await _let_go(database, work, (ended if last else again) | {"attempts": tries, "waits": work.waits + 1}, error)
    return last


async def mark_failed(database: Database, work: Work, error: str, *, hopeless: bool = False) -> bool:
    """Count a failed try; return whether it was the last, which is the tenth, or any of one that is hopeless."""
    now = clock.now()
    last = hopeless or work.attempts >= MAX_TRIES
    ended = {"state": JobState.FAILED.value, "finished_at": now}
    again = {"state": JobState.QUEUED.value, "next_at": now + _wait(work.attempts)}
    await _let_go(database, work, ended if last else again, error)
    return last


async def _let_go(database: Database, work: Work, values: dict[str, Any], error: str | None) -> None:
    free = {"claim": null(), "claimed_until": null(), "error": error}
    async with database.writing(_SCOPE) as session:
        await session.execute(_mine(work).values(**free, **values))


def _wait(tries: int) -> timedelta:
    longest = min(timedelta(seconds=FIRST_WAIT_SECONDS * 2.0 ** min(tries, 20)), LONGEST_WAIT)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311


async def _set(session: AsyncSession, work: Work, values: dict[str, Any]) -> None:
    result: Any = await session.execute(_mine(work).values(**values))
    if result.rowcount != 1:
        raise LeaseLost


def _mine(work: Work) -> Any:
    return update(jobs).where(jobs.c.id == work.id, jobs.c.claim == work.claim, jobs.c.state.in_(OPEN))
