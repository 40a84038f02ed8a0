"""Transfers that are not written yet: what they do to an account, and what they do for its fan."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from domain.points.ledger.accounts import Account
from domain.points.ledger.models import EntryKind, TransferKind
from domain.points.ledger.rules import OWN, Balances, Posted, Why

_SPENT = {EntryKind.SPENDABLE, EntryKind.DEBT}


@dataclass
class NewLot:
    """A lot a transfer makes."""

    granted: int
    granted_at: datetime
    expires_at: datetime | None
    from_lot_id: int | None = None


@dataclass
class Draft:
    """A transfer that is not written yet. Its amounts are taken into the account when it is made."""

    account: Account
    kind: TransferKind
    changes: Mapping[EntryKind, int]
    why: Why
    source: str | None
    points: int
    growth: int
    balances: Balances
    reverses_id: int | None = None
    available_at: datetime | None = None
    lots: list[NewLot] = field(default_factory=list)
    draws: dict[int, int] = field(default_factory=dict)
    id: int = 0

    @property
    def key(self) -> str:
        return self.source or f"{OWN}{self.kind.value.lower()}:{self.id}"


def posted(draft: Draft) -> Posted:
    """Say what a draft that was written has become."""
    holds = draft.balances
    return Posted(
        *(draft.id, draft.kind, draft.account.fan_id, draft.key, draft.points, draft.growth),
        *(holds.spendable + holds.debt, holds.growth, draft.available_at is not None),
    )


def for_the_fan(kind: TransferKind, changes: Mapping[EntryKind, int]) -> tuple[int, int]:
    """Say what a transfer does for the fan: an earn that waits counts in full, its end by what comes free."""
    points, growth = set(_SPENT), {EntryKind.GROWTH}
    if kind in (TransferKind.EARN, TransferKind.CANCEL):
        points, growth = points | {EntryKind.PENDING}, growth | {EntryKind.GROWTH_PENDING}
    if kind is TransferKind.SPEND and EntryKind.HELD in changes:
        points = {EntryKind.HELD}
    return (
        sum(amount for entry, amount in changes.items() if entry in points),
        sum(amount for entry, amount in changes.items() if entry in growth),
    )
