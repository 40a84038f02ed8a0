"""What runs beside the requests: the projector, jobs, earning, and the forgetting of what has served its time."""

import asyncio
from contextlib import suppress
from datetime import timedelta

import structlog

from domain import clock, idempotency
from domain.events import upkeep as event_upkeep
from domain.jobs.runner import Runner
from domain.levels import upkeep as level_upkeep
from domain.live import service as live
from domain.live import upkeep as live_upkeep
from domain.mall import upkeep as mall_upkeep
from domain.outbox import upkeep
from domain.points import auditing
from domain.points import upkeep as points_upkeep
from domain.points.earning.consumer import Earner
from domain.points.sealer import Sealer
from domain.privacy.service import prune_exports
from graph.projector import Projector
from resolvers.context import Services
from server.handlers import all_handlers

log = structlog.get_logger(__name__)

HOUR_SECONDS, MINUTE_SECONDS = 3600.0, 60.0
LEVEL_SECONDS = 10.0
SEAL_SECONDS = 10.0
AUDIT_SECONDS = 600.0
SENT_KEPT = timedelta(days=7)
# the API promises 72 hours
KEYS_KEPT = timedelta(hours=96)


async def work(services: Services, stop: asyncio.Event) -> None:
    """Project, do jobs and forget until told to stop; what is under way is finished first."""
    projector = Projector(services.database, services.graph)
    runner = Runner(services.database, all_handlers(services))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(projector.run(stop))
        tasks.create_task(runner.run(stop))
        tasks.create_task(Earner(services.database).run(stop))
        tasks.create_task(_forget_hourly(services, stop))
        tasks.create_task(_tend_each_minute(services, stop))
        tasks.create_task(_audit_nightly(services, stop))
        tasks.create_task(_tend_levels(services, stop))
        tasks.create_task(_seal(services, stop))


async def _forget_hourly(services: Services, stop: asyncio.Event) -> None:
    await _keep_months(services)
    while not stop.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), HOUR_SECONDS)
            return
        await _keep_months(services)
        try:
            await forget(services)
        except Exception:
            # it is tried again in an hour; the projector beside it must not stop for it
            log.exception("nothing_forgotten")


async def _tend_each_minute(services: Services, stop: asyncio.Event) -> None:
    while not stop.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), MINUTE_SECONDS)
            return
        try:
            await live_upkeep.fold(services.database, clock.now())
        except Exception:
            log.exception("nothing_folded")
        try:
            await mall_upkeep.expire_unpaid(services.database)
        except Exception:
            log.exception("nothing_expired")
        try:
            await points_upkeep.tend(services.database)
        except Exception:
            log.exception("no_points_tended")


async def _audit_nightly(services: Services, stop: asyncio.Event) -> None:
    """Audit the ledgers whose night has begun; after a start at another time, those of the night before."""
    while not stop.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), AUDIT_SECONDS)
            return
        try:
            await auditing.audit_due(services.database, services.vault, stop)
        except Exception:
            log.exception("nothing_audited")


async def _tend_levels(services: Services, stop: asyncio.Event) -> None:
    """Look at fans again whose brand changed its levels, and at levels whose months are over."""
    while not stop.is_set():
        try:
            busy = await level_upkeep.tend(services.database)
        except Exception:
            log.exception("levels_wait")
            busy = False
        if not busy:
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), LEVEL_SECONDS)


async def _seal(services: Services, stop: asyncio.Event) -> None:
    """Add what was written in the ledgers to their chains, some seconds after."""
    sealer = Sealer(services.database, services.vault)
    while not stop.is_set():
        try:
            await sealer.run_once()
        except Exception:
            log.exception("nothing_sealed")
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), SEAL_SECONDS)


async def _keep_months(services: Services) -> None:
    """Make the months ahead; an event of a month that is not there yet is kept beside until it is."""
    try:
        await event_upkeep.keep_months(services.database)
    except Exception:
        log.exception("no_months_made")


async def forget(services: Services) -> None:
    """Delete delivered events, idempotency keys and exports that are older than they are promised to be kept."""
    now = clock.now()
    events = await upkeep.prune(services.database, now - SENT_KEPT)
    keys = await idempotency.prune(services.database, now - KEYS_KEPT)
    documents = await prune_exports(services.database)
    await live_upkeep.prune(services.database, now - live.KEPT)
    await event_upkeep.forget(services.database, services.event_months)
    log.info("forgotten", events=events, keys=keys, documents=documents)
