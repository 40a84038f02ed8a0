"""Who is at the other end of a connection: asked anew whenever it matters, so that a right that ends, ends here too."""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from domain.errors import Unauthenticated
from server.http.pipeline import Caller
from server.http.request import Request

MakeContext = Callable[[Request], Awaitable[Any]]
DescribeCaller = Callable[[Any, Request], Caller]


class Rights(NamedTuple):
    """What the caller may do as of a moment."""

    context: Any
    caller: Caller


class Session:
    """The token a connection was opened with, and what it is worth now."""

    def __init__(self, request: Request, make_context: MakeContext, describe_caller: DescribeCaller) -> None:
        self._request = request
        self._make_context = make_context
        self._describe_caller = describe_caller

    def sign_in(self, authorization: str | None) -> None:
        """Take the token of the first message, or else that of the handshake; raise Unauthenticated without either."""
        if authorization is not None:
            self._request.headers = {**self._request.headers, "authorization": authorization}
        if "authorization" not in self._request.headers:
            raise Unauthenticated

    async def rights(self) -> Rights:
        """Ask who it is and what they may do now; raise what a request with this token would be refused with."""
        context = await self._make_context(self._request)
        return Rights(context, self._describe_caller(context, self._request))
