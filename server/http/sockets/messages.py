"""The messages of graphql-transport-ws, and the codes its connections are closed with."""

from enum import IntEnum
from typing import Any, NamedTuple

import orjson

from schema.errors import ErrorCode
from server.http.params import Params, decode_json, read_params
from server.http.request import HttpRefusal, Message

SUBPROTOCOL = "graphql-transport-ws"
MAX_ID_CHARACTERS = 128
MAX_REASON_BYTES = 123  # what a close frame holds


class Close(IntEnum):
    """Why a connection is closed; those from 4000 on are the protocol's own."""

    TRY_AGAIN_LATER = 1013
    BAD_MESSAGE = 4400
    NOT_INITIALISED = 4401
    FORBIDDEN = 4403
    INITIALISATION_TIMEOUT = 4408
    SUBPROTOCOL_NOT_ACCEPTABLE = 4406
    ID_TAKEN = 4409
    INITIALISED_TWICE = 4429
    INTERNAL = 4500


class Closing(Exception):
    """The connection is to be closed with this code and reason."""

    def __init__(self, code: Close, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Received(NamedTuple):
    """One message of a client; `id` is empty where its type has none."""

    type: str
    id: str
    payload: Any


def read_message(message: Message) -> Received:
    """Decode a frame strictly; raise Closing for what is no message of the protocol."""
    text = message.get("text")
    if not isinstance(text, str):
        raise Closing(Close.BAD_MESSAGE, "Messages are JSON text.")
    try:
        found = decode_json(text.encode())
    except (HttpRefusal, UnicodeEncodeError):
        raise Closing(Close.BAD_MESSAGE, "The message is not valid JSON.") from None
    kind = found.get("type") if isinstance(found, dict) else None
    if not isinstance(kind, str) or kind not in _KINDS:
        raise Closing(Close.BAD_MESSAGE, "The message has no type of the protocol.")
    id_, payload = found.get("id", ""), found.get("payload")
    if not isinstance(id_, str) or bool(id_) != _KINDS[kind] or len(id_) > MAX_ID_CHARACTERS:
        raise Closing(Close.BAD_MESSAGE, "The message's id is missing, too long or out of place.")
    if not isinstance(payload, dict | None):
        raise Closing(Close.BAD_MESSAGE, "The message's payload is not an object.")
    return Received(kind, id_, payload)


_KINDS = {"connection_init": False, "ping": False, "pong": False, "subscribe": True, "complete": True}


def operation_of(received: Received) -> Params:
    """Read the operation of a subscribe message; raise Closing where it holds none."""
    try:
        return read_params(received.payload)
    except HttpRefusal as refusal:
        raise Closing(Close.BAD_MESSAGE, refusal.message) from None


def authorization_of(received: Received) -> str | None:
    """Return the Authorization of a connection_init; raise Closing for one that is no text."""
    found = {name.lower(): value for name, value in (received.payload or {}).items()}.get("authorization")
    if not isinstance(found, str | None):
        raise Closing(Close.FORBIDDEN, "Forbidden")
    return found


def close_of(error: dict[str, Any]) -> Closing:
    """Say how a connection ends whose caller could not be made out; `error` is already masked."""
    code = error["extensions"]["code"]
    if code == ErrorCode.UNAUTHENTICATED.value:
        return Closing(Close.FORBIDDEN, "Forbidden")
    if code == ErrorCode.INTERNAL.value:
        return Closing(Close.INTERNAL, f"Internal error {error['extensions']['id']}")
    return Closing(Close.TRY_AGAIN_LATER, error["message"])


ACKNOWLEDGED = b'{"type":"connection_ack"}'
PONG = b'{"type":"pong"}'


def next_message(id_: str, answer: bytes) -> bytes:
    """Carry one answer, already JSON."""
    return b'{"id":%b,"type":"next","payload":%b}' % (orjson.dumps(id_), answer)


def error_message(id_: str, errors: Any) -> bytes:
    """End an operation by errors."""
    return b'{"id":%b,"type":"error","payload":%b}' % (orjson.dumps(id_), orjson.dumps(errors))


def complete_message(id_: str) -> bytes:
    """End an operation."""
    return b'{"id":%b,"type":"complete"}' % orjson.dumps(id_)


def cut(reason: str) -> str:
    """Shorten a reason to what a close frame holds."""
    return reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore")
