"""Reading outbox events: what a payload must say before it may reach the graph."""

from typing import Final

from domain.outbox.delivery import Pending
from domain.outbox.projection import FanState, ReferralState, ShareState

LARGEST: Final = 2**63 - 1


class BadEvent(Exception):
    """Report an event that says nothing the graph could hold. The message names fields, never values."""


def fan_of_event(event: Pending) -> FanState:
    return FanState(_id(event, "id"), _id(event, "brand"), event.version)


def share_of_event(event: Pending) -> ShareState:
    channel = event.payload.get("channel")
    if not isinstance(channel, str | None):
        raise BadEvent("channel is no text")
    ends = (_id(event, "cascade"), _id(event, "from"), _id(event, "to"))
    return ShareState(0, _id(event, "brand"), *ends, channel, _whole(event, "at"))


def referral_of_event(event: Pending) -> ReferralState:
    ends = (_id(event, "referrer"), _id(event, "invitee"))
    return ReferralState(0, _id(event, "brand"), *ends, _whole(event, "at"))


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
