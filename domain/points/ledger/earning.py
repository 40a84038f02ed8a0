"""Earning: many fans at once, each once for each natural key, at once or when its day comes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy.ext.asyncio import AsyncSession

from domain.bulk import Bulk, write_together
from domain.levels.standing import LevelsHeld, levels_among, levels_held
from domain.looks import look
from domain.points.ledger.accounts import Account, lock_of_fans
from domain.points.ledger.book import Book, transfers
from domain.points.ledger.drafts import Draft, NewLot
from domain.points.ledger.models import EntryKind, TransferKind
from domain.points.ledger.replays import by_source, known_among, replayed
from domain.points.ledger.rules import Earn, Posted, SourceConflict, Why, check_amount, check_texts
from domain.points.programme.rules import Programme, expires_at

Beside = Callable[[], Sequence[Bulk]]


class Before(NamedTuple):
    """What the ledger has under natural keys, ids for as many new transfers as there are keys, and where fans stand."""

    posted: Mapping[str, Any]
    ids: Sequence[int]
    levels: LevelsHeld


async def earn(
    session: AsyncSession,
    programme: Programme,
    earns: Sequence[Earn],
    *,
    actor: str,
    locked: Mapping[int, Account] | None = None,
    before: Before | None = None,
    beside: Beside = tuple,
) -> list[Posted]:
    """Give fans points and growth, and say for each what was posted, in the order they were named.

    A source that was posted before is answered as it was then, `replayed`; with other amounts or for another fan it
    raises SourceConflict. What is earned settles a debt first. `locked` are the fans' accounts, where the caller has
    them from `lock_of_fans`, and `before` what there was under that lock. What is to be written `beside` is asked for
    when the accounts hold what they will, and goes in the ledger's own statement. Raises BadInput, NotFound and
    PointsLimit.
    """
    for one in earns:
        check_amount(one.points, one.growth)
        check_texts(one.source, one.reason, one.reference)
    if not earns:
        await write_together(session, beside())
        return []
    if locked is None:
        locked = await lock_of_fans(session, programme, [one.fan_id for one in earns])
    if before is None:
        before = await _look_before(session, programme, list({one.source: None for one in earns}), locked)
    posted = before.posted
    _check_replays(earns, locked, posted)
    book, drafts = Book(), dict[str, Draft]()
    for one in earns:
        if one.source in drafts:
            _check_same(one, drafts[one.source].account is locked[one.fan_id], drafts[one.source])
        elif one.source not in posted:
            why = Why(one.reason, actor, one.reference, one.request_key, one.rule_id, one.at)
            drafts[one.source] = _post(book, programme, locked[one.fan_id], one, why)
    made = {one.source: one for one in await book.write(session, before.ids, beside(), before.levels)}
    return _answers(earns, locked, posted, made)


async def _look_before(
    session: AsyncSession, programme: Programme, sources: Sequence[str], locked: Mapping[int, Account]
) -> Before:
    fans = {account.fan_id for account in locked.values()}
    asked = (known_among(programme.brand_id, sources), *levels_among(programme.brand_id, fans))
    (posted, *stood), ids = await look(session, *asked, ids={transfers: len(sources)})
    return Before(by_source(posted), ids[transfers], levels_held(*stood))


def _answers(
    earns: Sequence[Earn], locked: Mapping[int, Account], before: Mapping[str, Any], made: Mapping[str, Posted]
) -> list[Posted]:
    said, told = list[Posted](), set[str]()
    for one in earns:
        if one.source in before:
            said.append(replayed(before[one.source], locked[one.fan_id].fan_id))
        else:
            now = made[one.source]
            said.append(replace(now, replayed=True) if one.source in told else now)
        told.add(one.source)
    return said


def _post(book: Book, programme: Programme, account: Account, one: Earn, why: Why) -> Draft:
    issued = {EntryKind.ISSUED: -one.points, EntryKind.GROWTH_ISSUED: -one.growth}
    if one.available_at is not None and one.available_at > book.now:
        waits = {EntryKind.PENDING: one.points, EntryKind.GROWTH_PENDING: one.growth}
        return book.post(
            account, TransferKind.EARN, waits | issued, why, source=one.source, available_at=one.available_at
        )
    free = credit(account, one.points) | {EntryKind.GROWTH: one.growth}
    draft = book.post(account, TransferKind.EARN, free | issued, why, source=one.source)
    add_lot(draft, programme, one.available_at or one.at or book.now)
    return draft


def credit(account: Account, points: int) -> dict[EntryKind, int]:
    """Say where points that come free go: what is owed is settled first."""
    settled = min(points, -account.holds["debt"])
    return {EntryKind.DEBT: settled, EntryKind.SPENDABLE: points - settled}


def add_lot(draft: Draft, programme: Programme, granted_at: datetime) -> None:
    """Make the lot of what became spendable."""
    granted = draft.changes.get(EntryKind.SPENDABLE, 0)
    if granted:
        draft.lots.append(NewLot(granted, granted_at, expires_at(programme, granted_at)))


def _check_replays(earns: Sequence[Earn], locked: Mapping[int, Account], before: Mapping[str, Any]) -> None:
    """Raise SourceConflict where what was posted is not what is asked for now; a fan may be another's since a merge."""
    for one in earns:
        row = before.get(one.source)
        if row is not None:
            _check_same(one, row.fan_id == locked[one.fan_id].fan_id, row)


def _check_same(one: Earn, same_fan: bool, row: Any) -> None:
    if not same_fan or (row.kind, row.points, row.growth) != (TransferKind.EARN.value, one.points, one.growth):
        raise SourceConflict(field=("source",))
