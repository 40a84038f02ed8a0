"""The one place that writes the ledger: transfers on locked accounts, with their entries, lots and draws."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, insert, update
from sqlalchemy.ext.asyncio import AsyncSession

from domain import clock
from domain.bulk import Bulk, insert_rows, next_ids, write_together
from domain.errors import DomainError
from domain.levels.standing import LevelsHeld, follow_growth
from domain.points.ledger.accounts import Account, accounts
from domain.points.ledger.drafts import Draft, NewLot, for_the_fan, posted
from domain.points.ledger.models import (
    EntryKind,
    PendingState,
    PointDraw,
    PointEntry,
    PointLot,
    PointPending,
    PointTransfer,
    TransferKind,
)
from domain.points.ledger.rules import Posted, Why, signed_by
from domain.tables import table_of

transfers, entries, lots = table_of(PointTransfer), table_of(PointEntry), table_of(PointLot)
draws, pendings = table_of(PointDraw), table_of(PointPending)


class Book:
    """What is about to be written about locked accounts of one brand."""

    def __init__(self) -> None:
        self.now = clock.now()
        self.drafts: list[Draft] = []

    def post(
        self,
        account: Account,
        kind: TransferKind,
        changes: Mapping[EntryKind, int],
        why: Why,
        *,
        source: str | None = None,
        reverses_id: int | None = None,
        available_at: datetime | None = None,
    ) -> Draft:
        """Take a transfer into its account; the entries must add up to zero. What `source` says may be written once.

        Raises InsufficientPoints and PointsLimit, and then has taken nothing.
        """
        made = {entry: amount for entry, amount in changes.items() if amount}
        before = dict(account.holds), dict(account.changed)
        try:
            for entry, amount in made.items():
                account.change(entry, amount)
        except DomainError:
            account.holds, account.changed = before
            raise
        points, growth = for_the_fan(kind, made)
        draft = Draft(account, kind, made, why, source, points, growth, account.balances, reverses_id, available_at)
        self.drafts.append(draft)
        return draft

    def draw(self, draft: Draft, points: int, *, first: Collection[int] = ()) -> None:
        """Take points out of the account's lots, those of the transfers `first` before the others.

        The lots have been loaded, and hold what the balance says.
        """
        account = draft.account
        left = points
        for lot in sorted(account.lots, key=lambda lot: lot.transfer_id not in first):
            taken = min(left, lot.remaining)
            if taken:
                lot.remaining -= taken
                draft.draws[lot.id] = draft.draws.get(lot.id, 0) + taken
                left -= taken
        assert left == 0, "the lots do not hold what the balance says"

    async def write(
        self,
        session: AsyncSession,
        ids: Sequence[int] = (),
        beside: Sequence[Bulk] = (),
        levels: LevelsHeld | None = None,
    ) -> list[Posted]:
        """Write everything, let levels follow growth, and return what was posted in the order it was made.

        `ids` are the transfers' next, of which there may be more than are needed, and `levels` those the fans hold,
        where the caller has them. What is written `beside` goes with it, or alone where nothing is posted.
        """
        if not self.drafts:
            await write_together(session, beside)
            return []
        taken = ids or await next_ids(session, transfers, len(self.drafts))
        for draft, id_ in zip(self.drafts, taken, strict=False):
            draft.id = id_
        made = [(draft, lot) for draft in self.drafts for lot in draft.lots]
        # the entries come before their transfers, which close them on SQLite
        rows = [_entries(self.drafts), _transfers(self.drafts, self.now), *([_lots(made)] if made else [])]
        await write_together(session, [*rows, *beside], _changes(self._changed()))
        await self._write_draws(session)
        await self._write_pendings(session)
        await follow_growth(session, self.drafts[0].account.brand_id, self._grown(), levels)
        return [posted(draft) for draft in self.drafts]

    def _changed(self) -> list[Account]:
        by_id = {draft.account.id: draft.account for draft in self.drafts}
        return [by_id[id_] for id_ in sorted(by_id)]

    def _grown(self) -> dict[int, int]:
        """Return the growth that fans have now whose growth changed; what a fan had before a merge is not theirs."""
        grown = (draft.account for draft in self.drafts if EntryKind.GROWTH in draft.changes)
        return {account.fan_id: account.holds["growth"] for account in grown if not account.former}

    async def _write_draws(self, session: AsyncSession) -> None:
        drawn = [(draft, lot_id, points) for draft in self.drafts for lot_id, points in draft.draws.items()]
        if drawn:
            await _take(session, drawn)
            rows = [{"transfer_id": draft.id, "lot_id": lot_id, "points": points} for draft, lot_id, points in drawn]
            await insert_rows(session, Bulk(draws, _place(drawn[0][0]), _columns(rows)))

    async def _write_pendings(self, session: AsyncSession) -> None:
        rows = [
            {
                **_place(draft),
                "transfer_id": draft.id,
                "account_id": draft.account.id,
                "points": draft.points,
                "growth": draft.growth,
                "available_at": draft.available_at,
                "state": PendingState.PENDING.value,
            }
            for draft in self.drafts
            if draft.kind is TransferKind.EARN and draft.available_at is not None
        ]
        if rows:
            await session.execute(insert(pendings), rows)


def _changes(changed: Sequence[Account]) -> Bulk:
    """Say by how much the balances change; the database refuses one below zero."""
    names = sorted({name for account in changed for name in account.changed})
    columns = {name: [account.changed.get(name, 0) for account in changed] for name in names}
    ids = [account.id for account in changed] if names else []
    for account in changed:
        account.changed.clear()
    place = {"group_id": changed[0].group_id, "brand_id": changed[0].brand_id}
    return Bulk(accounts, place, {"id": ids, **columns})


async def _take(session: AsyncSession, drawn: Sequence[tuple[Draft, int, int]]) -> None:
    totals: dict[int, int] = {}
    for _, lot_id, points in drawn:
        totals[lot_id] = totals.get(lot_id, 0) + points
    statement = update(lots).where(lots.c.id == bindparam("of")).values(remaining=lots.c.remaining - bindparam("taken"))
    await session.execute(statement, [{"of": lot_id, "taken": totals[lot_id]} for lot_id in sorted(totals)])


def _place(draft: Draft) -> dict[str, int]:
    return {"group_id": draft.account.group_id, "brand_id": draft.account.brand_id}


def _columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


def _entries(drafts: Sequence[Draft]) -> Bulk:
    rows = [(draft.id, kind.value, amount) for draft in drafts for kind, amount in draft.changes.items()]
    columns = dict(zip(("transfer_id", "kind", "amount"), zip(*rows, strict=True), strict=False))
    return Bulk(entries, _place(drafts[0]), columns or {"transfer_id": ()})


def _transfers(drafts: Sequence[Draft], now: datetime) -> Bulk:
    shared = {**_place(drafts[0]), "recorded_at": now}
    return Bulk(transfers, shared, _columns([_transfer(draft, now) for draft in drafts]))


def _transfer(draft: Draft, now: datetime) -> dict[str, Any]:
    holds, why = draft.balances, draft.why
    return {
        "id": draft.id,
        "account_id": draft.account.id,
        "kind": draft.kind.value,
        "source": draft.key,
        "points": draft.points,
        "growth": draft.growth,
        "balance": holds.spendable + holds.debt,
        "growth_balance": holds.growth,
        "reason": why.reason,
        "actor": signed_by(why.actor),
        "rule_id": why.rule_id,
        "reference": why.reference,
        "request_key": why.request_key,
        "reverses_id": draft.reverses_id,
        "occurred_at": why.at or now,
        "available_at": draft.available_at,
    }


def _lots(made: Sequence[tuple[Draft, NewLot]]) -> Bulk:
    rows = [
        {
            "account_id": draft.account.id,
            "transfer_id": draft.id,
            "remaining": lot.granted,
            **vars(lot),
        }
        for draft, lot in made
    ]
    return Bulk(lots, _place(made[0][0]), _columns(rows))
