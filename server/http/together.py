"""Requests for rows by their ids: those of one caller that come in one turn of the event loop are answered together.

A task, a look-up of the caller and a statement cost more than all else that the smallest query needs; those who come
together share them, and for a service that is known from before the statement itself asks whether it still stands.
Either begins after all of them came, so a right that was taken away is gone for each of them. The limits on variables,
the bucket and the log are each request's own; what depends on the text alone is found once. Whatever is unusual about a
request, it goes alone, having spent nothing.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson

from domain.errors import DomainError, Timeout, Unavailable
from schema.compiled import Operation, RowAsked
from schema.compiled.executor import PATIENCE_SECONDS
from schema.lookahead.rows import Rows
from server.http.negotiation import negotiate
from server.http.params import Params, from_body
from server.http.pipeline import Admitted, Caller, Pipeline
from server.http.readings import Reading, Readings
from server.http.request import HttpRefusal, Request
from server.http.response import Response, of_fault, of_outcome
from server.http.waiting import Alike, Known, Memory, Waiting, Ways
from server.http.watchdog import Watchdog

_TextAndName = tuple[str, str | None]
MOST_TOGETHER = 16  # rows of one statement, while there is room for another


@dataclass(frozen=True, eq=False, slots=True)
class _Asked:
    waiting: Waiting
    params: Params
    media: str
    row: RowAsked


class Together:
    """The requests of one endpoint that came in this turn. `alike` is the same for requests of one caller."""

    def __init__(self, pipeline: Pipeline, watchdog: Watchdog, ways: Ways, alike: Alike, memory: Memory | None) -> None:
        self._pipeline = pipeline
        self._watchdog = watchdog
        self._ways = ways
        self._alike = alike
        self._memory = memory
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
        room = 0 if self._memory is None else self._memory.room
        for left, those in zip(range(len(callers), 0, -1), callers.values(), strict=True):
            known = self._known(those[0].request) if room > 0 else None
            if known is None and len(those) == 1:
                those[0].go_alone()
            else:
                # a place for each of those who are still to come
                room -= self._start(those, known, max(room - left + 1, 1))

    def _known(self, request: Request) -> Known | None:
        try:
            return None if self._memory is None else self._memory.remembered(request)
        except Exception as error:  # noqa: BLE001 (none of this turn may be left without an answer)
            self._note(error)
            return None

    def _start(self, those: list[Waiting], known: Known | None, room: int) -> int:
        """Answer the requests of one caller together, as far as they ask for rows; return how much room they take."""
        same: dict[_Asked, Reading | None] = {}
        readings = Readings(known.context) if known else None
        operations: dict[_TextAndName, Operation | None] = {}
        for waiting in those:
            asked = self._asked(waiting, operations)
            reading = self._reading(readings, asked) if asked and readings else None
            if asked is None or (known and reading is None):
                waiting.go_alone()
            else:
                same[asked] = reading
        kinds = {reading[0] for reading in same.values() if reading}
        if len(same) > 1 or (same and known):
            parts = _parts([*same], room if len(kinds) == 1 else 1)
            for some in parts:
                turn = _Turn({asked: same[asked] for asked in some}, known)
                turn.first.track(asyncio.get_running_loop().create_task(self._answer(turn)))
            return max(len(kinds), len(parts)) if known else 0  # who is looked up shares statements with others
        for asked in same:
            asked.waiting.go_alone()
        return 0

    def _asked(self, waiting: Waiting, operations: dict[_TextAndName, Operation | None]) -> _Asked | None:
        request = waiting.request
        try:
            media = request.media or negotiate(request.headers)
            params = request.params = from_body(request.body)
            key = params.query, params.operation_name
            if key not in operations:
                operations[key] = self._pipeline.planned(params)
            operation = operations[key]
            row = None if operation is None else operation.row_asked(params.variables)
        except Exception as error:  # noqa: BLE001 (a refusal, or a fault of ours: alone, they hear it)
            self._note(error)
            return None
        return None if row is None else _Asked(waiting, params, media, row)

    def _reading(self, readings: Readings, asked: _Asked) -> Reading | None:
        try:
            return readings.of(asked.row)
        except Exception as error:  # noqa: BLE001 (as above)
            self._note(error)
            return None

    def _note(self, error: Exception) -> None:
        """Have a fault logged: alone, they are answered by other code, which may never meet it."""
        if not isinstance(error, DomainError | HttpRefusal):
            with suppress(Exception):  # a log that fails takes no answer from anybody
                self._ways.note(error)

    async def _answer(self, turn: "_Turn") -> None:
        """Answer the requests of one caller; whatever happens, each is answered."""
        try:
            with self._watchdog.guard():
                await self._by_rows(turn)
        except TimeoutError:
            for asked in turn.left.values():
                asked.waiting.finish(self._ways.too_late(asked.waiting.request, asked.media))
            self._forget(turn)
        except Exception as error:  # noqa: BLE001 (a caller who is refused, or a store that is not there: each hears it)
            self._note(error)
            self._send_alone([*turn.left.values()], turn)
        except BaseException:
            for waiting in turn.left:
                waiting.finish(of_fault())
            raise

    async def _by_rows(self, turn: "_Turn") -> None:
        request = turn.first.request
        context = turn.known.context if turn.known else await self._ways.make_context(request)
        turn.caller = caller = self._ways.describe_caller(context, request)
        reads: dict[Rows, dict[_Asked, int]] = {}
        readings, before = Readings(context), dict[_TextAndName, Admitted]()
        for asked, reading in turn.same.items():
            found, params = reading or self._reading(readings, asked), asked.params
            key = params.query, params.operation_name
            # nothing is read for who is over a limit: alone, they hear so
            admitted = None if found is None else self._pipeline.admit_like(params, caller, before.get(key))
            if found is None or not isinstance(admitted, Admitted):
                self._send_alone([asked], turn)
            else:
                turn.paid[asked.waiting] = before[key] = admitted
                reads.setdefault(found[0], {})[asked] = found[1]
        groups = [self._read(rows, wanted, context, caller, turn) for rows, wanted in reads.items()]
        if len(groups) == 1:
            await groups[0]
        else:
            # all of them end before anything else is done with those who are left
            for fault in await asyncio.gather(*groups, return_exceptions=True):
                if fault is not None:
                    raise fault

    async def _read(
        self, rows: Rows, wanted: Mapping[_Asked, int], context: Any, caller: Caller, turn: "_Turn"
    ) -> None:
        started, ids = time.perf_counter(), {*wanted.values()}
        try:
            found = await (rows.read_for(turn.known.standing, ids) if turn.known else rows.load_many(ids))
        except Exception as error:  # noqa: BLE001 (as above)
            if isinstance(error, Timeout | Unavailable) and time.perf_counter() - started > PATIENCE_SECONDS:
                self._end_in_vain(error, wanted, turn)
            else:
                self._note(error)
                self._send_alone(wanted, turn)
            return
        for asked, number in wanted.items():
            text = found.get(number)
            if text is None:
                self._send_alone([asked], turn)  # what is missing, or not theirs to see, is said in words
                continue
            data = orjson.dumps(asked.row.answered(context, orjson.Fragment(text)))
            outcome = self._pipeline.answered(data, caller, turn.paid[asked.waiting].measure)
            response = of_outcome(outcome, asked.media)
            del turn.paid[asked.waiting]
            turn.finish(asked, response)
            self._ways.log_request(asked.params, caller, outcome, time.perf_counter() - started)

    def _end_in_vain(self, error: Exception, wanted: Iterable[_Asked], turn: "_Turn") -> None:
        """Say what was waited for in vain: it is not asked for again."""
        # who was not looked up hears what they would have heard then, at no cost
        is_unreached = turn.known is not None and isinstance(error, Unavailable)
        for asked in wanted:
            if is_unreached:
                self._take_back(asked, turn)
            turn.finish(asked, (self._ways.unreached if is_unreached else self._ways.failed)(error, asked.media))
        self._forget(turn)

    def _forget(self, turn: "_Turn") -> None:
        # whether they stand was not told: who does not could spend so again, for as long as it is slow
        if turn.known is not None and self._memory is not None:
            self._memory.forget(turn.first.request)

    def _send_alone(self, those: Iterable[_Asked], turn: "_Turn") -> None:
        for asked in those:
            self._take_back(asked, turn)
            del turn.left[asked.waiting]
            asked.waiting.go_alone()

    def _take_back(self, asked: _Asked, turn: "_Turn") -> None:
        admitted = turn.paid.pop(asked.waiting, None)
        if admitted is not None and turn.caller is not None:
            self._pipeline.take_back(admitted, turn.caller)


def _parts(those: list[_Asked], room: int) -> list[list[_Asked]]:
    """Cut what is asked together into even parts, in its order: while one is read, another can be answered.

    All by one statement would come back all at once, time after time, and the server wait for PostgreSQL in between.
    """
    size = -(-len(those) // min(-(-len(those) // MOST_TOGETHER), room))
    return [those[start : start + size] for start in range(0, len(those), size)]


class _Turn:
    """Requests of one caller on their way: who is not answered yet, and what was paid for them."""

    def __init__(self, same: Mapping[_Asked, Reading | None], known: Known | None) -> None:
        self.same, self.known = same, known
        self.first = next(iter(same)).waiting
        self.left = {asked.waiting: asked for asked in same}
        self.paid: dict[Waiting, Admitted] = {}
        self.caller: Caller | None = None

    def finish(self, asked: _Asked, response: Response) -> None:
        del self.left[asked.waiting]
        asked.waiting.finish(response)
