"""The projector: brings what the outbox says to the graph, at least once and in order for each key."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import structlog

from domain.database import Database
from domain.errors import Conflict, DomainError, Timeout, Unavailable
from domain.outbox.delivery import MAX_TRIES, Pending, claim, mark_failed, mark_sent, release
from graph.driver import Graph
from graph.errors import GraphUnavailable
from graph.events import BadEvent
from graph.parts import PARTS

CONSUMER: Final = "graph"
FIRST_WAIT_SECONDS: Final = 0.25
LONGEST_WAIT_SECONDS: Final = 5.0
REFUSALS_IN_A_ROW: Final = 20

log = structlog.get_logger(__name__)


class _Taker(NamedTuple):
    """Takes events of one kind to the graph."""

    of_event: Callable[[Pending], Any]
    apply: Callable[[Graph, Sequence[Any]], Awaitable[None]]


# What comes before what goes: an edge that moves from a fan who leaves to one who stays is there all the time.
_takers: dict[str, _Taker] = {part.kind: _Taker(part.of_event, part.upsert) for part in PARTS}
_takers |= {f"{part.kind}_gone": _Taker(part.gone_of_event, part.bury) for part in reversed(PARTS)}


@dataclass
class _Outcome:
    """How the rows of one batch fared so far."""

    sent: list[Pending] = field(default_factory=list)
    refused: list[tuple[Pending, Exception]] = field(default_factory=list)

    def refuse(self, event: Pending, error: Exception) -> None:
        self.refused.append((event, error))
        # where nothing at all goes through it is the engine that is ill, and the other events keep their tries
        if len(self.refused) >= REFUSALS_IN_A_ROW and not self.sent:
            raise GraphUnavailable from error

    def untouched(self, claimed: Sequence[Pending]) -> list[Pending]:
        done = {event.id for event in self.sent} | {event.id for event, _ in self.refused}
        return [event for event in claimed if event.id not in done]


class Projector:
    """Deliver the graph's events. Several may run at once; one that is killed costs only the rest of its lease."""

    def __init__(
        self,
        database: Database,
        graph: Graph,
        *,
        batch: int = 1_000,
        lease_seconds: float = 30.0,
        idle_seconds: float = 0.5,
    ) -> None:
        self._database = database
        self._graph = graph
        self._batch = batch
        self._lease_seconds = lease_seconds
        self._idle_seconds = idle_seconds
        self._wake = asyncio.Event()
        self._failures = 0

    def poke(self) -> None:
        """Say that something was committed, so that it is delivered now and not at the next look."""
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until `stop` is set, then return when the batch in hand is done. Survives any outage."""
        while not stop.is_set():
            self._wake.clear()
            settled = await self._turn()
            if self._failures:
                await _first_of(self._pause(), stop)
            elif not settled:
                await _first_of(self._idle_seconds, stop, self._wake)

    async def run_once(self) -> int:
        """Deliver one batch and return how many events it settled.

        Raises GraphUnavailable, and then what was not delivered is back on the queue with its tries unchanged.
        """
        started = time.monotonic()
        claimed = await claim(self._database, CONSUMER, limit=self._batch, lease_seconds=self._lease_seconds)
        outcome = _Outcome()
        try:
            for kind in _kinds(claimed):
                await self._deliver(kind, [event for event in claimed if event.kind == kind], outcome)
        finally:
            await self._settle(claimed, outcome)
        if claimed:
            log.debug("graph events delivered", events=len(outcome.sent), seconds=round(time.monotonic() - started, 3))
        return len(claimed)

    async def _deliver(self, kind: str, events: Sequence[Pending], outcome: _Outcome) -> None:
        try:
            await self._apply(kind, events)
        except GraphUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 whatever is wrong with one event, the others must flow
            if len(events) == 1:
                outcome.refuse(events[0], error)
                return
            half = len(events) // 2
            await self._deliver(kind, events[:half], outcome)
            await self._deliver(kind, events[half:], outcome)
        else:
            outcome.sent.extend(events)

    async def _apply(self, kind: str, events: Sequence[Pending]) -> None:
        taker = _takers.get(kind)
        if taker is None:
            raise BadEvent("the kind is not known")
        await taker.apply(self._graph, [taker.of_event(event) for event in events])

    async def _settle(self, claimed: Sequence[Pending], outcome: _Outcome) -> None:
        await mark_sent(self._database, outcome.sent)
        for event, error in outcome.refused:
            reason = _reason(error)
            await mark_failed(self._database, event, reason)
            say = log.error if event.attempts + 1 >= MAX_TRIES else log.warning
            say("graph event refused", id=event.id, key=event.key, tries=event.attempts + 1, reason=reason)
        await release(self._database, outcome.untouched(claimed))

    async def _turn(self) -> int:
        try:
            if self._failures:
                # nothing is claimed for a graph that is not there
                await self._graph.verify()
            settled = await self.run_once()
        except (Unavailable, Conflict, Timeout) as refusal:
            self._fail(refusal)
            return 0
        except Exception as error:  # noqa: BLE001 the loop must outlive what it cannot foresee
            self._fail(error)
            return 0
        if self._failures:
            log.info("projector recovered", failures=self._failures)
        self._failures = 0
        return settled

    def _fail(self, error: Exception) -> None:
        self._failures += 1
        unforeseen = not isinstance(error, DomainError)
        if self._failures == 1 or unforeseen:
            log.warning("projector waits", reason=_reason(error), exc_info=unforeseen)

    def _pause(self) -> float:
        longest: float = min(FIRST_WAIT_SECONDS * 2.0 ** min(self._failures, 10), LONGEST_WAIT_SECONDS)
        return longest * random.uniform(0.5, 1.0)  # noqa: S311


def _kinds(events: Sequence[Pending]) -> list[str]:
    """Return the kinds of the events, nodes before edges and both before tombstones, and last those nobody knows."""
    order = list(_takers)
    return sorted({event.kind for event in events}, key=lambda kind: order.index(kind) if kind in order else len(order))


def _reason(error: Exception) -> str:
    # an engine's message may quote values; its code does not
    detail = str(error) if isinstance(error, BadEvent) else getattr(error, "code", None)
    return f"{type(error).__name__}: {detail}" if detail else type(error).__name__


async def _first_of(seconds: float, *events: asyncio.Event) -> None:
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
