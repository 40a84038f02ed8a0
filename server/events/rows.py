"""From a JSON object to an event: every value of the type it must have, or a refusal that names the field."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from domain.batches import Problem
from domain.errors import DomainError
from domain.events.rules import EventContent, EventIdentity, EventInput
from domain.persons.models import IdentityKind
from schema.ids import decode_as


class Wrong(Exception):
    """A value that is not what its field holds."""


def _text(value: Any) -> str:
    if type(value) is not str:
        raise Wrong("must be a string")
    return value


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise Wrong("must be true or false")
    return value


def _moment(value: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(_text(value))
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise Wrong("must be a moment with its offset, such as 2026-01-31T08:00:00Z")


def _account(value: Any) -> int:
    try:
        return decode_as("ChannelAccount", _text(value), "accountId")
    except DomainError:
        raise Wrong("no such channel account of this brand") from None


def _object(value: Any) -> dict[str, Any]:
    if type(value) is not dict:
        raise Wrong("must be an object")
    return value


def _kind(value: Any) -> IdentityKind:
    try:
        return IdentityKind(value)
    except ValueError:
        raise Wrong(f"must be one of {', '.join(IdentityKind)}") from None


Readers = Mapping[str, tuple[str, Callable[[Any], Any]]]
_CONTENT: Readers = {
    "name": ("name", _text),
    "occurredAt": ("occurred_at", _moment),
    "eventId": ("event_id", _text),
    "accountId": ("account_id", _account),
    "content": ("content", _text),
    "product": ("product", _text),
    "campaign": ("campaign", _text),
    "scene": ("scene", _text),
    "orderReference": ("order_reference", _text),
    "properties": ("properties", _object),
}
_IDENTITY: Readers = {
    "kind": ("kind", _kind),
    "value": ("value", _text),
    "issuer": ("issuer", _text),
    "verified": ("verified", _flag),
}


def read_row(row: Any, *, own: bool) -> EventContent | list[Problem]:
    """Return the event a row says, or what is wrong with it. `own` rows are a fan's, who names nobody."""
    if type(row) is not dict:
        return [Problem("", "must be an object")]
    found: list[Problem] = []
    named = row.pop("identities", None)
    values = _read(row, _CONTENT, "", ("name",), found)
    if own:
        found += [] if named is None else [Problem("identities", "are not named by a fan, who speaks of themselves")]
        return found or EventContent(**values)
    who = _identities(named, found)
    return found or EventInput(**values, identities=who)


def _identities(named: Any, found: list[Problem]) -> list[EventIdentity]:
    if type(named) is not list:
        found.append(Problem("identities", "must be a list"))
        return []
    who = []
    for position, one in enumerate(named[:100]):
        at = f"identities.{position}"
        if type(one) is not dict:
            found.append(Problem(at, "must be an object"))
            continue
        before = len(found)
        values = _read(one, _IDENTITY, f"{at}.", ("kind", "value"), found)
        if len(found) == before:
            who.append(EventIdentity(**values))
    return who


MOST_PROBLEMS = 20  # that are said of one row; who sends more knows enough by then


def _read(
    row: Mapping[str, Any], readers: Readers, prefix: str, required: tuple[str, ...], found: list[Problem]
) -> dict[str, Any]:
    values = {}
    for name, value in row.items():
        if len(found) >= MOST_PROBLEMS:
            break
        reader = readers.get(name)
        if reader is None:
            found.append(Problem(f"{prefix}{name[:64]}", "is no field of an event"))
        elif value is not None:
            try:
                values[reader[0]] = reader[1](value)
            except Wrong as wrong:
                found.append(Problem(f"{prefix}{name}", str(wrong)))
    found += [Problem(f"{prefix}{name}", "is required") for name in required if row.get(name) is None]
    return values
