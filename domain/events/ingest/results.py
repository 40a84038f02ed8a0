"""What came of each event of a batch."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from domain.batches import Problem
from domain.events.rules import EventContent, EventIdentity


class EventOutcome(StrEnum):
    """What came of an event: STORED now, known already (DUPLICATE), or REJECTED."""

    STORED = "STORED"
    DUPLICATE = "DUPLICATE"
    REJECTED = "REJECTED"


@dataclass(frozen=True)
class Sender:
    """Who says what happened; `fan_id` where it is a fan, who speaks of themselves only."""

    principal: str
    fan_id: int | None = None


@dataclass(slots=True)
class EventResult:
    """What came of the event at `index`. `violations` are of an event that was stored though it is not as defined."""

    index: int
    outcome: EventOutcome = EventOutcome.REJECTED
    id: int | None = None
    clamped: bool = False
    violations: list[Problem] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


@dataclass(slots=True)
class Accepted:
    """An event that is to be stored, with what is found out on the way."""

    event: EventContent
    who: Sequence[EventIdentity]
    result: EventResult
    at: datetime
    key: bytes | None
    fan_id: int = 0
