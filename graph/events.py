"""Reading outbox events: what a payload must say before it may reach the graph."""

from dataclasses import dataclass
from typing import Final

from domain.outbox.delivery import Pending
from domain.outbox.projection import FanState, ReferralState, ShareState

LARGEST: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class GoneEdge:
    """An edge that SQL has no more, by the two numbers of its key; `v` is the number of the event that says so."""

    brand_id: int
    key: tuple[int, int]
    v: int


class BadEvent(Exception):
    """Report an event that says nothing the graph could hold. The message names fields, never values."""


def fan_of_event(event: Pending) -> FanState:
    return FanState(_id(event, "id"), _id(event, "brand"), event.version)


def share_of_event(event: Pending) -> ShareState:
    channel = event.payload.get("channel")
    if not isinstance(channel, str | None):
        raise BadEvent("channel is no text")
    ends = (_id(event, "cascade"), _id(event, "from"), _id(event, "to"))
    return ShareState(0, _id(event, "brand"), *ends, channel, _whole(event, "at"), event.id)


def referral_of_event(event: Pending) -> ReferralState:
    ends = (_id(event, "referrer"), _id(event, "invitee"))
    return ReferralState(0, _id(event, "brand"), *ends, _whole(event, "at"), event.id)


def gone_share_of_event(event: Pending) -> GoneEdge:
    return GoneEdge(_id(event, "brand"), (_id(event, "cascade"), _id(event, "to")), event.id)


def gone_referral_of_event(event: Pending) -> GoneEdge:
    brand = _id(event, "brand")
    return GoneEdge(brand, (brand, _id(event, "invitee")), event.id)


def _whole(event: Pending, name: str) -> int:
    value = event.payload.get(name)
    if type(value) is not int or abs(value) > LARGEST:
        raise BadEvent(f"{name} is no whole number")
    return value


def _id(event: Pending, name: str) -> int:
    # a null key would become a node on the embedded engine, where Neo4j refuses it
    value = _whole(event, name)
    if value <= 0:
        raise BadEvent(f"{name} is no id")
    return value
