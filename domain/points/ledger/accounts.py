"""Accounts of fans: opened where there is none, and locked in one order, so that no two wait for each other."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.bulk import among
from domain.compiled import Among, Compiled
from domain.database import insert_ignore
from domain.errors import NotFound
from domain.fans.holding import hold_fans
from domain.points.ledger.models import BALANCES, MAX_POINTS, EntryKind, PointAccount, PointLot
from domain.points.ledger.rules import Balances, InsufficientPoints, PointsLimit
from domain.points.programme.rules import Programme
from domain.tables import table_of

accounts, lots = table_of(PointAccount), table_of(PointLot)

# which column of an account the entries of a kind change
COLUMNS = {kind: kind.value.lower() for kind in BALANCES} | {EntryKind.REDEEMED: "spent", EntryKind.EXPIRED: "expired"}


@dataclass
class Lot:
    """What is left of a lot while its account is locked."""

    id: int
    transfer_id: int
    remaining: int
    granted_at: Any
    expires_at: Any


@dataclass
class Account:
    """A locked account: what it holds, and how much that differs from what the database says."""

    id: int
    group_id: int
    brand_id: int
    fan_id: int
    former: bool
    holds: dict[str, int]
    changed: dict[str, int] = field(default_factory=dict)
    lots: list[Lot] = field(default_factory=list)

    @property
    def free(self) -> int:
        """What may be spent, below zero where more is owed than there is."""
        return self.holds["spendable"] + self.holds["debt"]

    @property
    def balances(self) -> Balances:
        return Balances(**self.holds)

    def change(self, kind: EntryKind, amount: int) -> None:
        """Take an entry into the balances. Raises InsufficientPoints or PointsLimit where none can be so."""
        column = COLUMNS.get(kind)
        if column is None:
            return
        holds = self.holds[column] + amount
        if not -MAX_POINTS <= holds <= (0 if kind is EntryKind.DEBT else MAX_POINTS):
            raise PointsLimit(field=("points",))
        if kind is not EntryKind.DEBT and holds < 0:
            raise InsufficientPoints(field=("points",))
        self.holds[column] = holds
        self.changed[column] = self.changed.get(column, 0) + amount


async def lock_of_fans(
    session: AsyncSession, programme: Programme, fan_ids: Iterable[int], *, if_there: Iterable[int] = ()
) -> dict[int, Account]:
    """Return the accounts of the brand's fans by the ids asked for, locked until the transaction ends.

    The id of a fan who was merged away leads to who they are now. Raises NotFound for a fan the brand has not. Accounts
    of the fans `if_there` are locked with them, and not opened.
    """
    wanted = set(fan_ids)
    found = await _current(session, programme, wanted.union(if_there))
    missing = wanted - found.keys()
    if missing:
        found |= await _opened(session, programme, missing)
    return found


async def lock_accounts(session: AsyncSession, ids: Collection[int], *, waiting: bool = True) -> dict[int, Account]:
    """Return accounts by their ids, locked; without `waiting`, only those that nobody else holds."""
    found = await _lock(session, among(session, accounts.c.id, sorted(ids)), waiting=waiting)
    return {account.id: account for account in found}


async def lock_with_heir(session: AsyncSession, account_id: int) -> tuple[Account, Account | None]:
    """Return an account and the one its fan has now, both locked: another one where the fan was merged away.

    After an erasure there is no other, and no heir.
    """
    fan = select(accounts.c.fan_id).where(accounts.c.id == account_id).scalar_subquery()
    current = and_(accounts.c.fan_id == fan, accounts.c.former.is_(False))
    looked = 0
    while True:
        found = await _lock(session, or_(accounts.c.id == account_id, current))
        (own,) = [account for account in found if account.id == account_id]
        heirs = [own] if not own.former else [one for one in found if not one.former and one.fan_id == own.fan_id]
        if heirs or looked:
            return own, heirs[0] if heirs else None
        # merged away while this waited, perhaps: the next look sees into whom, and the account is locked now
        looked += 1


async def load_lots(session: AsyncSession, locked: Collection[Account]) -> None:
    """Read what is left of the lots of locked accounts: soonest expiry first, then oldest."""
    by_id = {account.id: account for account in locked}
    for account in by_id.values():
        account.lots = []
    for row in await _select_left.rows(session, accounts=sorted(by_id)):
        by_id[row.account_id].lots.append(Lot(*row[1:]))


@Compiled
def _select_left(among: Among) -> Select[Any]:
    columns = (lots.c.id, lots.c.transfer_id, lots.c.remaining, lots.c.granted_at, lots.c.expires_at)
    order = (lots.c.expires_at.asc().nulls_last(), lots.c.granted_at, lots.c.id)
    left = (among(lots.c.account_id, "accounts"), lots.c.remaining > 0)
    return select(lots.c.account_id, *columns).where(*left).order_by(*order)


async def _current(session: AsyncSession, programme: Programme, fan_ids: Collection[int]) -> dict[int, Account]:
    # of a brand's accounts and a fan's, SQLite would look through the brand's
    found = await _select_current.rows(session, fans=sorted(fan_ids))
    return {row.fan_id: _account(row) for row in found if row.brand_id == programme.brand_id}


@Compiled
def _select_current(among: Among) -> Select[Any]:
    mine = (among(accounts.c.fan_id, "fans"), accounts.c.former.is_(False))
    return select(accounts).where(*mine).order_by(accounts.c.id).with_for_update(key_share=True)


async def _lock(
    session: AsyncSession, which: ColumnElement[bool], *more: ColumnElement[bool], waiting: bool = True
) -> list[Account]:
    statement = select(accounts).where(which, *more).order_by(accounts.c.id)
    rows = await session.execute(statement.with_for_update(key_share=True, skip_locked=not waiting))
    return [_account(row) for row in rows]


def _account(row: Any) -> Account:
    holds = {column: int(getattr(row, column)) for column in COLUMNS.values()}
    return Account(row.id, row.group_id, row.brand_id, row.fan_id, row.former, holds)


async def _opened(session: AsyncSession, programme: Programme, fan_ids: set[int]) -> dict[int, Account]:
    now = await hold_fans(session, programme.brand_id, fan_ids, erased=True)
    if len(now) < len(fan_ids):
        raise NotFound("No such fan.", field=("fanId",))
    place = {"group_id": programme.group_id, "brand_id": programme.brand_id, "former": False}
    rows = [{**place, **dict.fromkeys(COLUMNS.values(), 0), "fan_id": fan_id} for fan_id in sorted(set(now.values()))]
    await session.execute(insert_ignore(session, accounts, rows))
    found = await _current(session, programme, set(now.values()))
    return {asked: found[fan_id] for asked, fan_id in now.items()}
