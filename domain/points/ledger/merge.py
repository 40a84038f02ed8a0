"""Points of fans who become one: their balances add up, both histories stay, and an unmerge takes them apart again."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from domain.persons.holdings import among
from domain.persons.moving import FanPair, Move, Undoing, pieces
from domain.points.ledger.accounts import Account, Lot, accounts, load_lots, lock_of_fans, lots
from domain.points.ledger.book import Book, entries, pendings, transfers
from domain.points.ledger.models import EntryKind, PendingState, TransferKind
from domain.points.ledger.moving import Load, all_of, carry
from domain.points.ledger.rules import Why
from domain.points.programme.queries import programmes_of
from domain.points.programme.rules import Programme
from domain.reads import grouped

_WAITS = pendings.c.state == PendingState.PENDING.value


class Points:
    """Moves balances by MERGE transfers, lot by lot; the account a fan had becomes a former one of who they are now.

    One's debt is not paid with the other's lots: both stand on the account, and what may be spent is what is left of
    the one after the other. So an unmerge gives back what is left of the lots that were brought, and of growth, debt
    and what waits as much as is there of what was brought. What was spent since is nobody's any more.
    """

    what = "points"
    tables = frozenset({"point_accounts"})

    async def move(self, session: AsyncSession, pairs: Sequence[FanPair]) -> list[Move]:
        gone = among(session, accounts.c.fan_id, [pair.gone for pair in pairs])
        owned = select(accounts.c.id, accounts.c.fan_id, accounts.c.former).where(gone).order_by(accounts.c.id)
        by_fan = grouped(await session.execute(owned), lambda row: int(row.fan_id))
        programmes = await programmes_of(session, {pair.brand_id for pair in pairs if pair.gone in by_fan})
        moves: list[Move] = []
        for pair in (pair for pair in pairs if pair.gone in by_fan):
            moves += await _move(session, programmes[pair.brand_id], pair, by_fan[pair.gone])
        return moves

    async def restore(self, session: AsyncSession, undoing: Undoing) -> None:
        pair, owned = undoing.pair, undoing.listed("accounts")
        programme = (await programmes_of(session, [pair.brand_id]))[pair.brand_id]
        if owned:
            back = among(session, accounts.c.id, owned)
            await session.execute(update(accounts).where(back).values(fan_id=pair.gone))
        for current in undoing.listed("current"):
            await session.execute(update(accounts).where(accounts.c.id == current).values(former=False))
        if owned or (undoing.to_gone and await _has_account(session, pair.into)):
            await _take_apart(session, programme, undoing)


async def _move(session: AsyncSession, programme: Programme, pair: FanPair, owned: Sequence[Any]) -> list[Move]:
    current = [row.id for row in owned if not row.former]
    record: dict[str, Any] = {"accounts": [row.id for row in owned], "current": current}
    waiting: list[int] = []
    if current:
        locked = await lock_of_fans(session, programme, [pair.into, pair.gone])
        source, target = locked[pair.gone], locked[pair.into]
        record |= await _carry_all(session, pair, source, target)
        waiting = await _hand_over_pendings(session, source, target)
    this = accounts.c.fan_id == pair.gone
    await session.execute(update(accounts).where(this).values(fan_id=pair.into, former=True))
    return [Move(pair, record), *(Move(pair, {"pendings": piece}) for piece in pieces(waiting))]


async def _carry_all(session: AsyncSession, pair: FanPair, source: Account, target: Account) -> dict[str, Any]:
    await load_lots(session, [source])
    load, book = all_of(source), Book()
    carry(book, source, target, load, _why(pair), f"~merge:{pair.merge_id}:{source.id}")
    await book.write(session)
    return {name: [load.amounts[kind]] for name, kind in (("growth", EntryKind.GROWTH), ("debt", EntryKind.DEBT))}


def _why(pair: FanPair) -> Why:
    return Why("merge", "system", f"PersonMerge:{pair.merge_id}")


async def _hand_over_pendings(session: AsyncSession, source: Account, target: Account) -> list[int]:
    mine = (pendings.c.account_id == source.id, _WAITS)
    moved = update(pendings).where(*mine).values(account_id=target.id).returning(pendings.c.transfer_id)
    return sorted((await session.execute(moved)).scalars())


async def _has_account(session: AsyncSession, fan_id: int) -> bool:
    return (
        await session.execute(select(accounts.c.id).where(accounts.c.fan_id == fan_id).limit(1))
    ).first() is not None


async def _take_apart(session: AsyncSession, programme: Programme, undoing: Undoing) -> None:
    """Give the fan who comes back what is theirs, out of the account of the one who stays."""
    pair = undoing.pair
    source = (await lock_of_fans(session, programme, [pair.into]))[pair.into]
    waiting = await _pendings_of(session, undoing, source)
    of_lots = await _lots_of(session, undoing, source)
    growth = sum(undoing.listed("growth")) + (await _growth_since(session, undoing, source) if undoing.to_gone else 0)
    amounts = {
        EntryKind.SPENDABLE: sum(points for _, points in of_lots),
        EntryKind.PENDING: sum(row.points for row in waiting),
        EntryKind.DEBT: max(sum(undoing.listed("debt")), source.holds["debt"]),
        EntryKind.GROWTH: max(0, min(growth, source.holds["growth"])),
        EntryKind.GROWTH_PENDING: sum(row.growth for row in waiting),
    }
    if not any(amounts.values()):
        return
    # nobody else knows of the fan who comes back yet, so that nobody waits for this account
    target = (await lock_of_fans(session, programme, [pair.gone]))[pair.gone]
    book = Book()
    carry(book, source, target, Load(amounts, of_lots), _why(pair), f"~unmerge:{pair.merge_id}:{target.id}")
    await book.write(session)
    if waiting:
        moved = among(session, pendings.c.transfer_id, [row.transfer_id for row in waiting])
        await session.execute(update(pendings).where(moved).values(account_id=target.id))


async def _pendings_of(session: AsyncSession, undoing: Undoing, source: Account) -> list[Any]:
    listed, others = set(undoing.listed("pendings")), undoing.of_others("pendings")
    recorded = (pendings, transfers.c.recorded_at)
    joined = pendings.join(transfers, transfers.c.id == pendings.c.transfer_id)
    mine = select(*recorded).select_from(joined).where(pendings.c.account_id == source.id, _WAITS)
    rows = (await session.execute(mine)).all()
    since = {row.transfer_id for row in rows if undoing.to_gone and row.recorded_at >= undoing.since}
    return [row for row in rows if row.transfer_id in listed | (since - others)]


@dataclass
class _Origin:
    """Where a lot came from: when it was made, and which accounts its points left, with when they did."""

    made: datetime
    left: list[tuple[int, datetime]] = field(default_factory=list)

    def brought(self, owned: Collection[int], since: datetime) -> bool:
        """Tell whether the points were on one of the accounts and left it since."""
        return any(account_id in owned and at >= since for account_id, at in self.left)


async def _lots_of(session: AsyncSession, undoing: Undoing, source: Account) -> list[tuple[Lot, int]]:
    """Return what is left of the lots that came from the accounts of who comes back, in the merge or given back since.

    Those that came since go along where `later` says so, but what other merges brought.
    """
    await load_lots(session, [source])
    origins = await _origins(session, [lot.id for lot in source.lots])
    own, others = set(undoing.listed("accounts")), undoing.of_others("accounts")

    def theirs(origin: _Origin) -> bool:
        came = undoing.to_gone and origin.made >= undoing.since and not origin.brought(others, undoing.since)
        return came or origin.brought(own, undoing.since)

    return [(lot, lot.remaining) for lot in source.lots if lot.remaining and theirs(origins[lot.id])]


async def _origins(session: AsyncSession, lot_ids: Sequence[int]) -> dict[int, _Origin]:
    """Follow lots back through the merges and unmerges that made them of others, one step a statement."""
    origins: dict[int, _Origin] = {}
    followed = {lot_id: [lot_id] for lot_id in lot_ids}
    before = lots.alias("before")
    joined = lots.join(transfers, transfers.c.id == lots.c.transfer_id)
    columns = (lots.c.id, lots.c.from_lot_id, before.c.account_id, transfers.c.recorded_at)
    statement = select(*columns).select_from(joined.outerjoin(before, before.c.id == lots.c.from_lot_id))
    while followed:
        rows = (await session.execute(statement.where(among(session, lots.c.id, list(followed))))).all()
        earlier: dict[int, list[int]] = {}
        for row in rows:
            for lot_id in followed[row.id]:
                origin = origins.setdefault(lot_id, _Origin(row.recorded_at))
                if row.from_lot_id is not None:
                    origin.left.append((row.account_id, row.recorded_at))
            if row.from_lot_id is not None:
                earlier.setdefault(row.from_lot_id, []).extend(followed[row.id])
        followed = earlier
    return origins


async def _growth_since(session: AsyncSession, undoing: Undoing, source: Account) -> int:
    """Add up the growth that came to an account and went since, but by merges."""
    came = (transfers.c.account_id == source.id, transfers.c.recorded_at >= undoing.since)
    of_fans = (transfers.c.kind != TransferKind.MERGE.value, entries.c.kind == EntryKind.GROWTH.value)
    joined = transfers.join(entries, entries.c.transfer_id == transfers.c.id)
    total = select(func.coalesce(func.sum(entries.c.amount), 0)).select_from(joined)
    return int((await session.execute(total.where(*came, *of_fans))).scalar_one())


POINTS = Points()
