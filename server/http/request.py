"""The request as the endpoint and `make_context` see it, and the reading of its body under a limit."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class HttpRefusal(Exception):
    """A request refused before GraphQL has a say in it."""

    def __init__(self, status: int, message: str, *, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers


class ClientGone(Exception):
    """The client closed the connection before the body was complete: there is nobody to answer."""


class Request:
    """One HTTP request; `headers` by lower-case name, `body` the raw bytes, for signatures over them.

    `client` is the peer's address, an empty string where the server does not tell; `received` says that the body is
    whole, and `params` what was read from it already. `media` is the type of the answer where the headers were found
    to be in order before.
    """

    __slots__ = ("body", "client", "headers", "media", "method", "params", "path", "query_string", "received")

    def __init__(self, method: str, path: str, headers: Mapping[str, str], *, client: str, query: bytes = b"") -> None:
        self.method = method
        self.path = path
        self.headers = headers
        self.client = client
        self.query_string = query
        self.body = b""
        self.received = False
        self.params: Any = None
        self.media: str | None = None

    @classmethod
    def of_scope(cls, scope: Scope) -> "Request":
        """Read the request ASGI describes."""
        peer = scope.get("client")
        return cls(
            scope["method"],
            scope["path"],
            joined_headers(scope["headers"]),
            client=str(peer[0]) if peer else "",
            query=bytes(scope.get("query_string", b"")),
        )


def joined_headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Decode the headers; one sent twice is joined by a comma, so that neither can hide behind the other."""
    found: dict[str, str] = {}
    for raw_name, raw_value in raw:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


_CLOSE = ((b"connection", b"close"),)


async def read_body(request: Request, receive: Receive, limit: int) -> bytes:
    """Read the body; raise HttpRefusal 413 at the first byte over the limit, whatever content-length says."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and (len(declared) > 15 or int(declared) > limit):
        raise too_large(limit)
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        return _bounded(message.get("body", b""), limit)
    return await _read_chunks(message, receive, limit)


async def _read_chunks(message: Message, receive: Receive, limit: int) -> bytes:
    body = bytearray()
    while True:
        if message["type"] == "http.disconnect":
            raise ClientGone
        body += message.get("body", b"")
        if len(body) > limit:
            raise too_large(limit)
        if not message.get("more_body"):
            return bytes(body)
        message = await receive()


def _bounded(body: bytes, limit: int) -> bytes:
    if len(body) > limit:
        raise too_large(limit)
    return body


def too_large(limit: int) -> HttpRefusal:
    """Make the 413; the connection closes, since the rest of the body is not read."""
    return HttpRefusal(413, f"The body is larger than {limit} bytes.", headers=_CLOSE)
