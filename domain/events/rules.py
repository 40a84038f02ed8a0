"""What an event is: the names everybody knows, what its properties must be, when it happened, and its key. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from operator import attrgetter
from typing import Any

import orjson

from domain.batches import Problem
from domain.events.models import NAME_LENGTH, REFERENCE_LENGTH, SchemaMode
from domain.ids import ChannelAccountId
from domain.inputs import JsonObject, said
from domain.persons.models import IdentityKind
from domain.vault import is_phone, normalise, normalise_phone

FOLLOW, UNFOLLOW = "follow", "unfollow"
# what a fan's own device sees; what earns or costs something is said by servers only
FROM_FANS = frozenset(
    {
        *("scan", "menu_click", "article_read", "article_share", "h5_view", "h5_share"),
        *("product_view", "favourite", "add_to_cart", "like", "location", "message_opened", "message_clicked"),
    }
)
BUILT_IN = FROM_FANS | {
    *(FOLLOW, UNFOLLOW, "sign_in", "register", "post", "comment"),
    *("order_created", "order_paid", "order_received", "order_refunded"),
    *("coupon_claimed", "coupon_redeemed", "points_redeemed", "lottery_drawn", "survey_submitted"),
    *("referral_joined", "message_delivered"),
}

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
CLOCK_SKEW = timedelta(minutes=5)
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
VALUE_LENGTH = 255
MAX_IDENTITIES, MAX_PROPERTIES, MAX_PROPERTY_BYTES, MAX_DEPTH = 10, 50, 8192, 5
REFERENCES = ("content", "product", "campaign", "scene", "order_reference")
_references = attrgetter(*REFERENCES)
SHOWN = {"order_reference": "orderReference"}


class PropertyType(StrEnum):
    """What a property of an event holds."""

    STRING = "STRING"
    INTEGER = "INTEGER"
    NUMBER = "NUMBER"
    BOOLEAN = "BOOLEAN"
    DATETIME = "DATETIME"


@dataclass(frozen=True)
class Property:
    """One property of an event as its definition says it."""

    name: str = said("Its name in the event's properties, 1 to 64 characters.")
    type: PropertyType = said("What it holds.")
    required: bool = said("Whether every such event has it.", default=False)
    choices: list[str] = said("For a STRING: what it may be, at most 100; anything where there are none.", factory=list)


@dataclass(frozen=True)
class EventIdentity:
    """An identity of who did it; `issuer` is the account of an openid or the system of an external id."""

    kind: IdentityKind = said("What kind of identity it is.")
    value: str = said("The identity itself.")
    issuer: str = said("Whose it is: the account of an openid, the system of an external id.", "")
    verified: bool = said("Whether it was proved in the act, as a phone is by a code sent to it.", default=False)


@dataclass(frozen=True)
class EventContent:
    """What happened, without who did it."""

    name: str = said("What was done: a name that is built in, or one the brand has defined.")
    occurred_at: datetime | None = said(
        "When; without it, when it is received. More than 5 minutes in the future is put back to when it is received, "
        "and marked as clamped; late events count where they belong, and those before the year 2000 are refused.",
        None,
    )
    event_id: str | None = said(
        "Your own id of it, at most 128 characters: sent again, it counts once. All servers of a brand share one space "
        "of ids, so begin yours with the name of the system; a fan's are their own.",
        None,
    )
    account_id: ChannelAccountId | None = said("The channel account it happened in.", None)
    content: str | None = said("The content it was about: an article, a page.", None)
    product: str | None = said("The product it was about.", None)
    campaign: str | None = said("The campaign it belongs to.", None)
    scene: str | None = said("The scene of the QR code or the link that led to it.", None)
    order_reference: str | None = said("The number of the order it is about.", None)
    properties: JsonObject = said("What else is known: at most 50 properties and 8 KiB.", factory=dict)


@dataclass(frozen=True)
class EventInput(EventContent):
    """Something somebody did, under one or more of their identities."""

    identities: list[EventIdentity] = said("Who did it, 1 to 10 identities of one person.", factory=list)


@dataclass(frozen=True)
class Definition:
    """What events of one name must be in one brand; `properties` is None where anything goes."""

    properties: Mapping[str, Property] | None = None
    mode: SchemaMode = SchemaMode.LENIENT
    from_fans: bool = False


KNOWN_EVERYWHERE = {name: Definition(from_fans=name in FROM_FANS) for name in BUILT_IN}


def problems(event: EventContent) -> list[Problem]:
    """Say everything that is wrong with what an event says, but for what its definition asks."""
    found = [] if _fits(event.name, NAME_LENGTH) else [_text("name", NAME_LENGTH)]
    if event.event_id is not None and not _fits(event.event_id, REFERENCE_LENGTH):
        found.append(_text("eventId", REFERENCE_LENGTH))
    for reference, text in zip(REFERENCES, _references(event), strict=True):
        if text is not None and not _fits(text, REFERENCE_LENGTH):
            found.append(_text(SHOWN.get(reference, reference), REFERENCE_LENGTH))
    if event.occurred_at is not None and event.occurred_at < EARLIEST:
        found.append(Problem("occurredAt", "lies before the year 2000"))
    return found + _property_problems(event.properties) if event.properties else found


def identity_problems(identities: Sequence[EventIdentity]) -> list[Problem]:
    """Say what is wrong with who did it."""
    if not 1 <= len(identities) <= MAX_IDENTITIES:
        return [Problem("identities", f"takes 1 to {MAX_IDENTITIES} identities")]
    found: list[Problem] = []
    for position, one in enumerate(identities):
        if not _fits(one.value, VALUE_LENGTH):
            found.append(_text(f"identities.{position}.value", VALUE_LENGTH))
        elif one.kind is IdentityKind.PHONE and not is_phone(normalise_phone(one.value)):
            # what is left of `unknown` is nothing, and all without a phone would be one person
            found.append(Problem(f"identities.{position}.value", "must be a phone of 5 to 15 digits"))
        if one.issuer and not _fits(one.issuer, REFERENCE_LENGTH):
            found.append(_text(f"identities.{position}.issuer", REFERENCE_LENGTH))
    return found


def _fits(text: str, limit: int) -> bool:
    return 0 < len(text) <= limit and "\0" not in text and not text.isspace()


def _text(field: str, limit: int) -> Problem:
    return Problem(field, f"must have 1 to {limit} characters")


def _property_problems(properties: Mapping[str, Any]) -> list[Problem]:
    if len(properties) > MAX_PROPERTIES:
        return [Problem("properties", f"holds at most {MAX_PROPERTIES} properties")]
    try:
        written = orjson.dumps(properties)
    except TypeError:
        return [Problem("properties", "holds what cannot be stored")]
    if len(written) > MAX_PROPERTY_BYTES:
        return [Problem("properties", f"holds at most {MAX_PROPERTY_BYTES} bytes")]
    if b"\\u0000" in written:
        return [Problem("properties", "holds a character that cannot be stored")]
    # each level begins with one of these two
    is_deep = written.count(b"{") + written.count(b"[") > MAX_DEPTH and _depth(properties) > MAX_DEPTH
    return [Problem("properties", f"is nested deeper than {MAX_DEPTH} levels")] if is_deep else []


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0


def violations(properties: Mapping[str, Any], definition: Definition) -> list[Problem]:
    """Say where the properties are not what the definition says."""
    if definition.properties is None:
        return []
    found = [Problem(_at(name), "is not defined") for name in properties if name not in definition.properties]
    for name, wanted in definition.properties.items():
        value = properties.get(name)
        if value is None:
            found += [Problem(_at(name), "is required")] if wanted.required else []
        elif not _FITS[wanted.type](value):
            found.append(Problem(_at(name), f"must be a {wanted.type.value}"))
        elif wanted.choices and value not in wanted.choices:
            found.append(Problem(_at(name), "is none of its choices"))
    return found


def _at(name: str) -> str:
    return f"properties.{name[:NAME_LENGTH]}"


def _is_moment(value: Any) -> bool:
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


_FITS = {
    PropertyType.STRING: lambda value: isinstance(value, str),
    PropertyType.INTEGER: lambda value: isinstance(value, int) and not isinstance(value, bool),
    PropertyType.NUMBER: lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    PropertyType.BOOLEAN: lambda value: isinstance(value, bool),
    PropertyType.DATETIME: _is_moment,
}


def moment_of(event: EventContent, received: datetime) -> tuple[datetime, bool]:
    """Return when the event happened, and whether its own time was put back: beyond 5 minutes in the future."""
    if event.occurred_at is None:
        return received, False
    if event.occurred_at > received + CLOCK_SKEW:
        return received, True
    return event.occurred_at, False


def key_text(event: EventContent, who: Sequence[EventIdentity], fan_id: int | None) -> str | None:
    """Return what makes two events the same: their id, or what they say. None where neither an id nor a time is there.

    A fan's ids are their own, so that nobody can use up the id of what a server is about to say.
    """
    owner = "" if fan_id is None else f"fan:{fan_id}"
    if event.event_id is not None:
        return f"id\0{owner}\0{event.event_id}"
    if event.occurred_at is None:
        return None
    names = sorted(f"{one.kind}@{one.issuer}@{normalise(one.kind, one.value)}" for one in who)
    references = _references(event)
    said_of_it = [event.name, event.occurred_at.astimezone(UTC), event.account_id, references, event.properties]
    written = orjson.dumps([names, said_of_it], option=orjson.OPT_SORT_KEYS)
    return f"all\0{owner}\0{written.decode()}"


def is_name(text: str) -> bool:
    """Tell whether a brand may call an event so."""
    return _NAME.fullmatch(text) is not None
