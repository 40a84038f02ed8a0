"""What the ledger takes and gives: values and refusals. Pure."""

from dataclasses import dataclass
from datetime import datetime

from domain.errors import BadInput, DomainError, IdempotencyConflict
from domain.points.ledger.models import MAX_POINTS, REASON_LENGTH, REFERENCE_LENGTH, SOURCE_LENGTH, TransferKind

OWN = "~"  # begins the natural keys that the ledger makes itself


class InsufficientPoints(DomainError):
    code = "INSUFFICIENT_POINTS"
    default = "There are not enough points for this."


class PointsLimit(DomainError):
    code = "BAD_USER_INPUT"
    default = "No balance holds so many points."


class SourceConflict(IdempotencyConflict):
    """What was posted under a natural key is not what is asked for now."""

    default = "This was posted before, and not like this."


class HoldEnded(DomainError):
    code = "HOLD_ENDED"
    default = "What was held is spent or given back already."


class NotReversible(DomainError):
    code = "NOT_REVERSIBLE"
    default = "This cannot be taken back, or was already."


@dataclass(frozen=True)
class Earn:
    """Points or growth a fan is to be given, once for each `source`: the natural key of what they did.

    Until `available_at`, where it lies ahead, they are pending. `at` is when it happened; without it, now.
    `reference` names what it was for as `kind:id`, such as `Order:17`.
    """

    fan_id: int
    source: str
    points: int = 0
    growth: int = 0
    reason: str = ""
    at: datetime | None = None
    available_at: datetime | None = None
    rule_id: int | None = None
    reference: str | None = None
    request_key: str | None = None


@dataclass(frozen=True)
class Spend:
    """Points a fan gives for something, once for each `source`: the natural key of what they got."""

    fan_id: int
    points: int
    source: str
    reason: str = ""
    reference: str | None = None


@dataclass(frozen=True)
class ClawBack:
    """What is to be taken back of an earn, named by its source or transfer id, once for each `source`."""

    of: str | int
    source: str
    points: int = 0
    growth: int = 0
    reason: str = ""
    reference: str | None = None


@dataclass(frozen=True)
class Balances:
    """What a fan has: `active` is what they may spend, `negative` what they owe beyond it."""

    spendable: int = 0
    held: int = 0
    pending: int = 0
    debt: int = 0
    growth: int = 0
    growth_pending: int = 0
    spent: int = 0
    expired: int = 0

    @property
    def active(self) -> int:
        return max(self.spendable + self.debt, 0)

    @property
    def negative(self) -> int:
        return max(-self.spendable - self.debt, 0)


@dataclass(frozen=True)
class Posted:
    """A transfer as it was posted, now or, where it is `replayed`, before.

    `points` and `growth` are what it did for the fan, `balance` and `growth_balance` what they had after it.
    """

    transfer_id: int
    kind: TransferKind
    fan_id: int
    source: str
    points: int
    growth: int
    balance: int
    growth_balance: int
    pending: bool = False
    replayed: bool = False


@dataclass(frozen=True)
class ClawedBack:
    """What came of a claw-back: how much of it was still pending, was taken from the balance, or is owed now.

    `points` and `growth` are all that was taken; what the policy left with the fan is `left_points`, `left_growth`.
    """

    points: int
    growth: int
    cancelled_points: int = 0
    cancelled_growth: int = 0
    owed_points: int = 0
    left_points: int = 0
    left_growth: int = 0
    posted: tuple[Posted, ...] = ()


@dataclass(frozen=True)
class Why:
    """What a transfer says of itself beside its amounts."""

    reason: str
    actor: str
    reference: str | None = None
    request_key: str | None = None
    rule_id: int | None = None
    at: datetime | None = None


def check_amount(points: int, growth: int = 0) -> None:
    """Raise BadInput unless both are 0 to 2^63-1 and one is above 0."""
    for name, amount in (("points", points), ("growth", growth)):
        if not 0 <= amount <= MAX_POINTS:
            raise BadInput(f"{name} must be between 0 and 2^63-1.", field=(name,))
    if not points and not growth:
        raise BadInput("points must be at least 1.", field=("points",))


def check_texts(source: str, reason: str, reference: str | None) -> None:
    """Raise BadInput for a natural key, a reason or a reference that no row holds."""
    if not 1 <= len(source) <= SOURCE_LENGTH or source.startswith(OWN) or "\0" in source:
        raise BadInput(f"source must have 1 to {SOURCE_LENGTH} characters and not begin with {OWN}.", field=("source",))
    if len(reason) > REASON_LENGTH or "\0" in reason:
        raise BadInput(f"reason has at most {REASON_LENGTH} characters.", field=("reason",))
    if reference is not None and len(reference) > REFERENCE_LENGTH:
        raise BadInput(f"reference has at most {REFERENCE_LENGTH} characters.", field=("reference",))


def signed_by(actor: str) -> str:
    """Say who did it in a row that is kept for ever: a fan's own id would outlive their erasure."""
    return "fan" if actor.startswith("fan:") else actor
