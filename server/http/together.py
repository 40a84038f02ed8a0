"""Requests that come in one turn of the event loop, answered together where one caller asks for rows by their ids.

A task, a look-up of the caller and a statement cost more than all else that the smallest query needs; those who come
together share them. Who asks is looked up after all of them came, so a right that was taken away is gone for each of
them. Gate, bucket, measure and log are each request's own. Whatever is unusual about a request, it goes alone.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

import orjson
from graphql import ExecutionResult

from schema.compiled.executor import RowAsked
from server.http.negotiation import check_content, response_type
from server.http.params import Params, from_body
from server.http.pipeline import Caller, Pipeline
from server.http.request import HttpRefusal, Request
from server.http.response import Outcome, Response, of_fault, of_outcome
from server.http.watchdog import Watchdog

Alike = Callable[[Request], str | None]


class Waiting(Protocol):
    """A request whose body is whole, and the ways it can go on."""

    request: Request

    def go_alone(self) -> None:
        """Be answered as if nobody else were there."""

    def finish(self, response: Response) -> None:
        """Be answered so."""

    def track(self, task: "asyncio.Task[None]") -> None:
        """Have the server wait for this task when it stops."""


class _Asked(NamedTuple):
    waiting: Waiting
    params: Params
    media: str
    row: RowAsked


class Ways(NamedTuple):
    """What an endpoint does with a request, whichever way it goes."""

    make_context: Callable[[Request], Any]
    describe_caller: Callable[[Any, Request], Caller]
    log_request: Callable[[Params, Caller, Outcome, float], None]
    too_late: Callable[[Request, str], Response]


class Together:
    """The requests of one endpoint that came in this turn. `alike` is the same for requests of one caller."""

    def __init__(self, pipeline: Pipeline, watchdog: Watchdog, ways: Ways, alike: Alike) -> None:
        self._pipeline = pipeline
        self._watchdog = watchdog
        self._ways = ways
        self._alike = alike
        self._arrived: list[Waiting] = []

    def add(self, waiting: Waiting) -> None:
        """Answer a request with those that come before this turn ends."""
        if not self._arrived:
            asyncio.get_running_loop().call_soon(self._sort)
        self._arrived.append(waiting)

    def _sort(self) -> None:
        arrived, self._arrived = self._arrived, []
        if len(arrived) == 1:
            arrived[0].go_alone()
            return
        callers: dict[str, list[_Asked]] = {}
        for waiting in arrived:
            who = self._alike(waiting.request)
            asked = None if who is None else self._asked(waiting)
            if who is None or asked is None:
                waiting.go_alone()
            else:
                callers.setdefault(who, []).append(asked)
        for same in callers.values():
            if len(same) == 1:
                same[0].waiting.go_alone()
            else:
                same[0].waiting.track(asyncio.get_running_loop().create_task(self._answer(same)))

    def _asked(self, waiting: Waiting) -> _Asked | None:
        request = waiting.request
        try:
            check_content(request)
            media = response_type(request)
            params = request.params = from_body(request.body)
        except HttpRefusal:
            return None
        row = self._pipeline.row_asked(params)
        return None if row is None else _Asked(waiting, params, media, row)

    async def _answer(self, same: list[_Asked]) -> None:
        """Answer the requests of one caller; whatever happens, each is answered."""
        left = {asked.waiting: asked for asked in same}
        try:
            with self._watchdog.guard():
                await self._by_rows(same, left)
        except TimeoutError:
            for waiting, asked in left.items():
                waiting.finish(self._ways.too_late(waiting.request, asked.media))
        except Exception:  # noqa: BLE001 (a caller who is refused, or a store that is not there: each hears it alone)
            for waiting in left:
                waiting.go_alone()
        except BaseException:
            for waiting in left:
                waiting.finish(of_fault())
            raise

    async def _by_rows(self, same: list[_Asked], left: dict[Waiting, _Asked]) -> None:
        request = same[0].waiting.request
        context = await self._ways.make_context(request)
        caller = self._ways.describe_caller(context, request)
        reads: dict[Any, list[tuple[int, _Asked]]] = {}
        for asked in same:
            found = asked.row.reading(context)
            if found is None:
                _send_alone([asked], left)
            else:
                reads.setdefault(found[0], []).append((found[1], asked))
        groups = [self._read(rows, wanted, context, caller, left) for rows, wanted in reads.items()]
        if len(groups) == 1:
            await groups[0]
        else:
            await asyncio.gather(*groups)

    async def _read(
        self, rows: Any, wanted: list[tuple[int, _Asked]], context: Any, caller: Caller, left: dict[Waiting, _Asked]
    ) -> None:
        started = time.perf_counter()
        try:
            found = await rows.load_many([number for number, _ in wanted])
        except Exception:  # noqa: BLE001 (as above)
            _send_alone([asked for _, asked in wanted], left)
            return
        for number, asked in wanted:
            text = found.get(number)
            if text is None:
                _send_alone([asked], left)  # what is missing, or not theirs to see, is said in words
                continue
            outcome = self._outcome(asked, context, caller, text)
            self._ways.log_request(asked.params, caller, outcome, time.perf_counter() - started)
            del left[asked.waiting]
            asked.waiting.finish(of_outcome(outcome, asked.media))

    def _outcome(self, asked: _Asked, context: Any, caller: Caller, text: bytes) -> Outcome:
        # the points are taken only now: who goes alone has spent none
        admitted = self._pipeline.admit(asked.params, caller)
        if isinstance(admitted, Outcome):
            return admitted
        data = asked.row.answered(context, orjson.Fragment(text))
        return self._pipeline.finished(ExecutionResult(data, None), caller, admitted.measure)


def _send_alone(those: Iterable[_Asked], left: dict[Waiting, _Asked]) -> None:
    for asked in those:
        del left[asked.waiting]
        asked.waiting.go_alone()
