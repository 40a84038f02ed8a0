"""Requests for rows by their ids: those of one caller that come in one turn of the event loop are answered together.

A task, a look-up of the caller and a statement cost more than all else that the smallest query needs; those who come
together share them, and for a service that is known from before the statement itself asks whether it still stands.
Either begins after all of them came, so a right that was taken away is gone for each of them. Gate, bucket, measure
and log are each request's own. Whatever is unusual about a request, it goes alone, having spent nothing.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol

import orjson
from graphql import ExecutionResult

from domain.errors import Timeout, Unavailable
from domain.standing import Standing
from schema.compiled.executor import PATIENCE_SECONDS, RowAsked
from schema.lookahead.rows import Rows
from server.http.negotiation import check_content, response_type
from server.http.params import Params, from_body
from server.http.pipeline import Admitted, Caller, Pipeline
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


class Known(NamedTuple):
    """Whose a request is, if what its statement asks still stands."""

    context: Any
    standing: Standing


class _Asked(NamedTuple):
    waiting: Waiting
    params: Params
    media: str
    row: RowAsked


class _Wanted(NamedTuple):
    """A row that may be read: what it is for, and what was paid."""

    number: int
    asked: _Asked
    admitted: Admitted


class Ways(NamedTuple):
    """What an endpoint does with a request, whichever way it goes."""

    make_context: Callable[[Request], Any]
    remembered: Callable[[Request], Known | None]
    describe_caller: Callable[[Any, Request], Caller]
    log_request: Callable[[Params, Caller, Outcome, float], None]
    too_late: Callable[[Request, str], Response]
    failed: Callable[[Exception, str], Response]


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
        callers: dict[str, list[Waiting]] = {}
        for waiting in arrived:
            who = self._alike(waiting.request)
            if who is None:
                waiting.go_alone()
            else:
                callers.setdefault(who, []).append(waiting)
        for those in callers.values():
            known = self._ways.remembered(those[0].request)
            if known is None and len(those) == 1:
                those[0].go_alone()
            else:
                self._start(those, known)

    def _start(self, those: list[Waiting], known: Known | None) -> None:
        """Answer the requests of one caller together, as far as they ask for rows."""
        same = []
        for waiting in those:
            asked = self._asked(waiting)
            if asked is None:
                waiting.go_alone()
            else:
                same.append(asked)
        if len(same) > 1 or (same and known):
            same[0].waiting.track(asyncio.get_running_loop().create_task(self._answer(same, known)))
        elif same:
            same[0].waiting.go_alone()

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

    async def _answer(self, same: list[_Asked], known: Known | None) -> None:
        """Answer the requests of one caller; whatever happens, each is answered."""
        left = {asked.waiting: asked for asked in same}
        try:
            with self._watchdog.guard():
                await self._by_rows(same, known, left)
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

    async def _by_rows(self, same: list[_Asked], known: Known | None, left: dict[Waiting, _Asked]) -> None:
        request = same[0].waiting.request
        context = known.context if known else await self._ways.make_context(request)
        turn = _Turn(context, self._ways.describe_caller(context, request), known and known.standing, left)
        reads: dict[Rows, list[_Wanted]] = {}
        for asked in same:
            found = asked.row.reading(context)
            # nothing is read for who is over a limit: alone, they hear so
            admitted = None if found is None else self._pipeline.admit(asked.params, turn.caller)
            if found is None or not isinstance(admitted, Admitted):
                _send_alone([asked], left)
            else:
                reads.setdefault(found[0], []).append(_Wanted(found[1], asked, admitted))
        groups = [self._read(rows, wanted, turn) for rows, wanted in reads.items()]
        if len(groups) == 1:
            await groups[0]
        else:
            # all of them end before anything else is done with those who are left
            for fault in await asyncio.gather(*groups, return_exceptions=True):
                if fault is not None:
                    raise fault

    async def _read(self, rows: Rows, wanted: list[_Wanted], turn: "_Turn") -> None:
        started = time.perf_counter()
        try:
            found = await turn.read(rows, {one.number for one in wanted})
        except Exception as error:  # noqa: BLE001 (as above)
            if isinstance(error, Timeout | Unavailable) and time.perf_counter() - started > PATIENCE_SECONDS:
                # what was waited for in vain is not asked for again
                for one in wanted:
                    turn.finish(one.asked, self._ways.failed(error, one.asked.media))
            else:
                self._go_alone(wanted, turn)
            return
        for one in wanted:
            text = found.get(one.number)
            if text is None:
                self._go_alone([one], turn)  # what is missing, or not theirs to see, is said in words
                continue
            data = one.asked.row.answered(turn.context, orjson.Fragment(text))
            outcome = self._pipeline.finished(ExecutionResult(data, None), turn.caller, one.admitted.measure)
            self._ways.log_request(one.asked.params, turn.caller, outcome, time.perf_counter() - started)
            turn.finish(one.asked, of_outcome(outcome, one.asked.media))

    def _go_alone(self, wanted: list[_Wanted], turn: "_Turn") -> None:
        for one in wanted:
            self._pipeline.take_back(one.admitted, turn.caller)
        _send_alone([one.asked for one in wanted], turn.left)


class _Turn(NamedTuple):
    """Requests of one caller on their way."""

    context: Any
    caller: Caller
    standing: Standing | None
    left: dict[Waiting, _Asked]

    async def read(self, rows: Rows, ids: set[int]) -> Mapping[int, bytes]:
        """Return the rows, and none for a caller who has to be looked up."""
        if self.standing is None:
            return await rows.load_many(ids)
        return {} if rows.is_crowded else await rows.read_for(self.standing, ids)

    def finish(self, asked: _Asked, response: Response) -> None:
        del self.left[asked.waiting]
        asked.waiting.finish(response)


def _send_alone(those: Iterable[_Asked], left: dict[Waiting, _Asked]) -> None:
    for asked in those:
        del left[asked.waiting]
        asked.waiting.go_alone()
