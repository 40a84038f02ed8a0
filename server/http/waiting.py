"""What those who answer requests together are given: who waits, whose requests are known, and what an endpoint does."""

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from domain.standing import Standing
from server.http.params import Params
from server.http.pipeline import Caller
from server.http.request import Request
from server.http.response import Outcome, Response

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


class Ways(NamedTuple):
    """What an endpoint does with a request, whichever way it goes."""

    make_context: Callable[[Request], Any]
    describe_caller: Callable[[Any, Request], Caller]
    log_request: Callable[[Params, Caller, Outcome, float], None]
    too_late: Callable[[Request, str], Response]
    failed: Callable[[Exception, str], Response]
    unreached: Callable[[Exception, str], Response]
    note: Callable[[Exception], None]


class Memory(Protocol):
    """Who asked before."""

    @property
    def room(self) -> int:
        """Return how many statements may begin now that ask whether a caller stands."""

    def remembered(self, request: Request) -> Known | None:
        """Return whose a request is if nothing changed, or None where that has to be looked up."""

    def forget(self, request: Request) -> None:
        """Have whose it is looked up the next time."""
