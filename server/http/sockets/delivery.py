"""What a subscription brings, under rights that are asked anew for all of it, and while nothing comes."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

from server.http.pipeline import Pipeline, Subscription
from server.http.response import Outcome
from server.http.sockets.options import SocketOptions
from server.http.sockets.session import Session
from server.http.throttle import Throttled

MOST_AT_ONCE = 100
Put = Callable[[Outcome], Awaitable[None]]


class Delivery:
    """One subscription on its way to one client."""

    def __init__(
        self, pipeline: Pipeline, subscription: Subscription, session: Session, options: SocketOptions
    ) -> None:
        self._pipeline = pipeline
        self._subscription = subscription
        self._stream = subscription.stream
        self._session = session
        self._options = options
        # what is answered at once must find room in a full bucket
        self._most = max(1, min(MOST_AT_ONCE, options.most_cost // max(subscription.measure.cost, 1)))

    async def run(self, put: Put) -> None:
        """Deliver until the stream ends; raise what ends it sooner, Unauthenticated and Forbidden among it."""
        waiting: asyncio.Task[Sequence[Any] | None] | None = None
        try:
            while True:
                waiting = waiting or asyncio.create_task(self._stream.next())
                await asyncio.wait({waiting}, timeout=self._options.rights_seconds)
                rows: Sequence[Any] | None = ()
                if waiting.done():
                    rows, waiting = waiting.result(), None
                if rows is None:
                    return
                await self._deliver(rows, put)
        finally:
            if waiting is not None:
                waiting.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await waiting
            await self._stream.close()

    async def _deliver(self, rows: Sequence[Any], put: Put) -> None:
        while True:
            asked = asyncio.get_running_loop().time()
            rights = await self._session.rights()
            rows = self._stream.admit(rights.context, rows)
            if not rows:
                return
            try:
                async with asyncio.timeout(self._options.request_seconds):
                    outcomes = await self._pipeline.answer(
                        self._subscription, rows[: self._most], rights.caller, rights.context
                    )
            except Throttled as refusal:
                await asyncio.sleep(min(refusal.retry_after, self._options.rights_seconds))
            else:
                rows = rows[await self._put(outcomes, put, asked) :]

    async def _put(self, outcomes: Sequence[Outcome], put: Put, asked: float) -> int:
        """Send answers for as long as the rights they were made under are fresh; return how many were sent."""
        for number, outcome in enumerate(outcomes):
            if number and asyncio.get_running_loop().time() > asked + self._options.rights_seconds:
                return number
            await put(outcome)
        return len(outcomes)
