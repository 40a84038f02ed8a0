import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from domain import clock
from domain.audit import AuditEntry
from domain.database import Database
from domain.errors import Conflict, NotFound, Timeout, Unavailable
from domain.jobs.models import Job, JobKind
from domain.jobs.queue import MAX_TRIES, LeaseLost, Step, Work, advance, claim, hold
from domain.jobs.runner import Runner
from domain.jobs.service import submit
from domain.tables import table_of
from tests.graph.worlds import NOON, SYSTEM, make_group

KIND = JobKind.EXPORT_FAN
jobs, log = table_of(Job), table_of(AuditEntry)


@pytest.fixture
async def group(database: Database) -> None:
    async with database.writing(SYSTEM) as session:
        await make_group(session, 1)


async def ask(database: Database, fan_id: int = 7) -> int:
    async with database.writing(SYSTEM) as session:
        return await submit(session, KIND, group_id=1, brand_id=1, fan_id=fan_id, principal=f"fan:{fan_id}")


async def all_jobs(database: Database) -> list[Any]:
    async with database.reading(SYSTEM) as session:
        return list((await session.execute(select(jobs).order_by(jobs.c.id))).all())


async def counted(database: Database) -> list[int]:
    """Return what the steps of `counting` wrote, in order."""
    async with database.reading(SYSTEM) as session:
        found = (await session.execute(select(log.c.detail).order_by(log.c.id))).scalars()
        return [detail["n"] for detail in found]


async def counting(session: AsyncSession, work: Work) -> Step:
    """Write the numbers from 0 to 5, one a step."""
    n = int(work.progress.get("n", 0))
    deed = {"group_id": 1, "brand_id": 1, "principal": "test", "action": "count", "subject": "x", "detail": {"n": n}}
    await session.execute(insert(log).values(**deed, at=clock.now()))
    return Step({"n": n + 1}, done=1, total=6, finished=n == 5)


async def test_a_job_asked_for_twice_is_one_while_it_is_under_way(database: Database, group: None) -> None:
    first = await ask(database)
    assert await ask(database) == first
    assert await ask(database, 8) != first

    while await Runner(database, {KIND: counting}).run_once():
        pass

    assert await ask(database) != first
    done = (await all_jobs(database))[0]
    assert (done.state, done.done, done.total, done.claim) == ("DONE", 6, 6, None)


async def test_many_workers_do_each_step_once(database: Database, group: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("domain.jobs.runner.STEPS_PER_TURN", 2)
    await ask(database)

    async def work() -> None:
        runner = Runner(database, {KIND: counting})
        while await runner.run_once():
            pass

    await asyncio.gather(*(work() for _ in range(5)))
    await work()

    assert await counted(database) == [0, 1, 2, 3, 4, 5]


async def test_a_step_of_one_who_lost_the_lease_is_rolled_back(database: Database, group: None) -> None:
    await ask(database)
    with clock.at(NOON + timedelta(days=300)):
        stale = await claim(database, [KIND], lease_seconds=1)
    assert stale is not None
    with clock.at(NOON + timedelta(days=300, seconds=5)):
        fresh = await claim(database, [KIND], lease_seconds=60)
    assert fresh is not None
    assert fresh.attempts == 2

    async def late() -> None:
        async with database.writing(SYSTEM) as session:
            await advance(session, stale, await counting(session, stale))

    with pytest.raises(LeaseLost):
        await late()
    async with database.writing(SYSTEM) as session:
        await hold(session, fresh, lease_seconds=60)
        await advance(session, fresh, await counting(session, fresh))

    assert await counted(database) == [0]


async def test_while_one_has_it_nobody_else_gets_it(database: Database, group: None) -> None:
    await ask(database)

    assert await claim(database, [KIND], lease_seconds=60) is not None
    assert await claim(database, [KIND], lease_seconds=60) is None
    assert await claim(database, [JobKind.ERASE_FAN], lease_seconds=60) is None


async def test_a_job_that_always_fails_is_given_up_after_ten_tries(database: Database, group: None) -> None:
    async def failing(session: AsyncSession, work: Work) -> Step:
        raise ValueError("13800003534")

    await ask(database)
    runner, moment = Runner(database, {KIND: failing}), clock.now()
    for _ in range(MAX_TRIES):
        (job,) = await all_jobs(database)
        assert job.state == "QUEUED"
        moment = max(job.next_at, moment) + timedelta(seconds=1)
        with clock.at(moment):
            assert await runner.run_once()

    (job,) = await all_jobs(database)
    assert (job.state, job.error, job.attempts) == ("FAILED", "ValueError", MAX_TRIES)


async def test_one_that_kills_its_worker_is_given_up_too(database: Database, group: None) -> None:
    await ask(database)
    moment = clock.now()
    for _ in range(MAX_TRIES):
        with clock.at(moment):
            assert await claim(database, [KIND], lease_seconds=1) is not None
        moment += timedelta(seconds=2)

    with clock.at(moment):
        assert await claim(database, [KIND], lease_seconds=1) is None

    (job,) = await all_jobs(database)
    assert (job.state, job.error) == ("FAILED", "Abandoned")


async def test_what_is_not_there_costs_no_try_and_what_is_refused_is_not_tried_again(
    database: Database, group: None
) -> None:
    async def away(session: AsyncSession, work: Work) -> Step:
        raise Unavailable

    async def refused(session: AsyncSession, work: Work) -> Step:
        raise NotFound

    await ask(database)
    await Runner(database, {KIND: away}).run_once()
    (job,) = await all_jobs(database)
    assert (job.state, job.attempts, job.error, job.next_at > clock.now()) == ("QUEUED", 0, "Unavailable", True)

    async with database.writing(SYSTEM) as session:
        await session.execute(update(jobs).values(next_at=clock.now()))
    await Runner(database, {KIND: refused}).run_once()
    (job,) = await all_jobs(database)
    assert (job.state, job.error) == ("FAILED", "NotFound")


@pytest.mark.parametrize("refusal", [Unavailable, Timeout, Conflict])
async def test_one_that_waits_for_ever_is_given_up(
    database: Database, group: None, monkeypatch: pytest.MonkeyPatch, refusal: type[Exception]
) -> None:
    monkeypatch.setattr("domain.jobs.queue.MAX_WAITS", 4)
    steps = 0

    async def stuck(session: AsyncSession, work: Work) -> Step:
        nonlocal steps
        steps += 1
        if steps == 3:
            # a step that goes well begins the count anew
            return Step({}, done=1)
        raise refusal

    await ask(database)
    runner, moment, waits = Runner(database, {KIND: stuck}), clock.now(), []
    for _ in range(6):
        (job,) = await all_jobs(database)
        waits.append((job.state, job.waits))
        moment = max(job.next_at, moment) + timedelta(seconds=1)
        with clock.at(moment):
            assert await runner.run_once()

    (job,) = await all_jobs(database)
    assert waits == [("QUEUED", 0), ("QUEUED", 1), ("QUEUED", 2), ("QUEUED", 1), ("QUEUED", 2), ("QUEUED", 3)]
    assert (job.state, job.error, job.attempts, job.waits) == ("FAILED", refusal.__name__, 0, 4)
    assert job.finished_at is not None


async def test_a_stop_ends_between_two_steps_and_the_next_goes_on(database: Database, group: None) -> None:
    stop = asyncio.Event()

    async def stopping(session: AsyncSession, work: Work) -> Step:
        step = await counting(session, work)
        if step.progress["n"] == 3:
            stop.set()
        return step

    await ask(database)
    await asyncio.wait_for(Runner(database, {KIND: stopping}).run(stop), 10)
    (job,) = await all_jobs(database)
    assert (job.state, job.done, job.attempts, job.claim) == ("QUEUED", 3, 0, None)

    while await Runner(database, {KIND: counting}).run_once():
        pass
    assert await counted(database) == [0, 1, 2, 3, 4, 5]
