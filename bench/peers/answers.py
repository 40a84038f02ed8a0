"""Whether all servers say the same: before a server is timed, its answers are compared with the others'."""

import base64
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import orjson

from bench.peers.questions import Question, body, draw
from bench.peers.servers import Server

# how many random questions of each kind are compared
COMPARED = {"Q1": 200, "Q2": 40, "Q3": 10, "Q4": 5}


class Differ(Exception):
    """Two servers answered one question differently, or one did not answer; the message shows what."""


def compare(servers: Sequence[Server], loads: Sequence[str], fans: int) -> int:
    """Ask all servers the same random questions and return how many. Raises Differ at the first difference."""
    asked = 0
    with httpx.Client(timeout=60) as http:
        for name in (name for name in COMPARED if name in loads or "Q5" in loads):
            able = [server for server in servers if name in server.answers]
            for question in draw(name, COMPARED[name], fans, seed=0) if able else ():
                _compare(http, able, question)
                asked += 1
    return asked


def _compare(http: httpx.Client, servers: Sequence[Server], question: Question) -> None:
    first, said = servers[0], _ask(http, servers[0], question)
    for other in servers[1:]:
        also = _ask(http, other, question)
        if said != also:
            raise Differ(f"{question}: {first.name} and {other.name} differ at {_where(said, also)}")


def _ask(http: httpx.Client, server: Server, question: Question) -> Any:
    headers = {**server.headers, "Content-Type": "application/json"}
    answer = http.post(server.url, content=body(question, server.dialect), headers=headers)
    said = orjson.loads(answer.content)
    if answer.status_code != 200 or "errors" in said or not said.get("data"):
        raise Differ(f"{question}: {server.name} answered {answer.status_code} {answer.text[:500]}")
    return plain(said["data"])


def plain(value: Any) -> Any:
    """Return an answer without what is a server's own way to say it."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"nodes"}:
        return plain(value["nodes"])
    if set(value) == {"weight", "tag"}:
        value = {"weight": value["weight"], **value["tag"]}
    named = {_NAMES.get(name, name): item for name, item in value.items()}
    return {name: _MEANS.get(name, plain)(item) for name, item in named.items()}


def _number(text: str) -> int:
    if text.isdecimal():
        return int(text)
    return int(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).rsplit(b":", 1)[1])


def _amount(value: Any) -> Decimal:
    if isinstance(value, dict):
        return Decimal(value["amount"])
    # PostGraphile says what is stored, which is in minor units
    return Decimal(value) if "." in value else Decimal(value).scaleb(-2)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _tags(value: Any) -> list[Any]:
    found: list[Any] = plain(value)
    return sorted(found, key=lambda tag: str(tag["name"]))


_NAMES = {"rowId": "id", "orders": "lastOrders"}
_MEANS: dict[str, Callable[[Any], Any]] = {"id": _number, "amount": _amount, "createdAt": _moment, "tags": _tags}


def _where(one: Any, other: Any, path: str = "") -> str:
    """Name the first place where two answers differ, with what stands there."""
    if isinstance(one, dict) and isinstance(other, dict) and set(one) == set(other):
        pairs = [(f"{path}.{name}", one[name], other[name]) for name in one]
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = [(f"{path}[{index}]", *pair) for index, pair in enumerate(zip(one, other, strict=True))]
    else:
        pairs = []
    for place, mine, theirs in pairs:
        if mine != theirs:
            return _where(mine, theirs, place)
    return f"{path or 'the answer'}: {str(one)[:200]} against {str(other)[:200]}"
