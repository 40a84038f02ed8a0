"""Running jobs: claim one, do some steps of it, put it back so that others have their turn."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from domain.database import Database
from domain.errors import Conflict, DomainError, Timeout, Unavailable
from domain.jobs.models import JobKind
from domain.jobs.queue import LeaseLost, Step, Work, advance, claim, hold, mark_failed, put_back, wait_for_it
from domain.scope import system_scope

# One bounded piece of the work, in a transaction of its own. It may be run again after it was rolled back.
Handler = Callable[[AsyncSession, Work], Awaitable[Step]]

STEPS_PER_TURN = 50
STEP_SECONDS = 30.0

log = structlog.get_logger(__name__)


class Runner:
    """Does jobs until told to stop. Several may run at once; one that is killed costs the rest of its lease."""

    def __init__(
        self,
        database: Database,
        handlers: Mapping[JobKind, Handler],
        *,
        lease_seconds: float = 60.0,
        idle_seconds: float = 1.0,
    ) -> None:
        self._database = database
        self._handlers = handlers
        self._lease_seconds = lease_seconds
        self._idle_seconds = idle_seconds
        self._stop = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then return when the step in hand is done."""
        self._stop = stop
        while not stop.is_set():
            try:
                busy = await self.run_once()
            except Exception:
                log.exception("jobs_wait")
                busy = False
            if not busy:
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), self._idle_seconds)

    async def run_once(self) -> bool:
        """Take one job's turn; return whether there was one."""
        work = await claim(self._database, self._handlers, lease_seconds=self._lease_seconds)
        if work is None:
            return False
        try:
            await self._turn(work)
        except LeaseLost:
            log.info("job_taken_over", job=work.id)
        return True

    async def _turn(self, work: Work) -> None:
        for _ in range(STEPS_PER_TURN):
            if self._stop.is_set():
                break
            try:
                step = await self._step(work)
            except LeaseLost:
                raise
            except (Conflict, Timeout, Unavailable) as refusal:
                await self._wait(work, refusal)
                return
            except Exception as error:  # noqa: BLE001 whatever is wrong with one job, the others must go on
                await self._fail(work, error)
                return
            work = work.after(step)
            if step.finished:
                log.info("job_done", job=work.id, kind=work.kind.value, items=work.done)
                return
        await put_back(self._database, work)

    async def _step(self, work: Work) -> Step:
        scope = system_scope("job", group_id=work.group_id)
        async with self._database.writing(scope, statement_seconds=STEP_SECONDS) as session:
            await hold(session, work, lease_seconds=self._lease_seconds)
            step = await self._handlers[work.kind](session, work)
            await advance(session, work, step)
        return step

    async def _wait(self, work: Work, refusal: DomainError) -> None:
        name = type(refusal).__name__
        if await wait_for_it(self._database, work, name):
            log.error("job_failed", job=work.id, kind=work.kind.value, waits=work.waits + 1, error=name)

    async def _fail(self, work: Work, error: Exception) -> None:
        # an error's message may quote values; its class does not
        name = type(error).__name__
        hopeless = isinstance(error, DomainError)
        last = await mark_failed(self._database, work, name, hopeless=hopeless)
        say = log.error if last and not hopeless else log.warning
        say("job_failed", job=work.id, kind=work.kind.value, tries=work.attempts, error=name, exc_info=not hopeless)
