"""Referrals of fans who become one: they have one referrer, the first who does not come after them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from domain.outbox import Event, emit
from domain.outbox.telling import fan_referred, referral_gone
from domain.persons.holdings import among
from domain.persons.moving import FanPair, Move, Undoing, pieces, turned
from domain.persons.written import read_row, write_row
from domain.referrals.models import Referral
from domain.referrals.service import uplines
from domain.tables import table_of

referrals = table_of(Referral)
_SAID = tuple(column.name for column in referrals.c)


class Referrals:
    """Moves who brought whom, and leaves out what would make a fan their own referrer, near or far."""

    what = "referrals"
    tables = frozenset({"referrals"})

    async def move(self, session: AsyncSession, pairs: Sequence[FanPair]) -> list[Move]:
        ends = sorted({fan for pair in pairs for fan in (pair.into, pair.gone)})
        touched = or_(
            among(session, referrals.c.invitee_fan_id, ends),
            among(session, referrals.c.referrer_fan_id, [pair.gone for pair in pairs]),
        )
        rows = (
            await session.execute(select(referrals).where(touched).order_by(referrals.c.id).with_for_update())
        ).all()
        if not rows:
            return []
        above = await uplines(session, ends)
        dropped = {row.id: row for pair in pairs for row in _not_kept(pair, rows, above)}
        if dropped:
            await session.execute(delete(referrals).where(among(session, referrals.c.id, list(dropped))))
        await self._rename(session, pairs, [row.id for row in rows if row.id not in dropped])
        moves = [move for pair in pairs for move in _moves(pair, rows, dropped)]
        await _tell(session, [row.id for row in rows if row.id not in dropped])
        brought = {pair.into for pair in pairs for row in rows if row.id not in dropped and _is_of(row, pair)}
        left = {row.invitee_fan_id: row for row in dropped.values()}
        await emit(session, [_left(row) for fan, row in left.items() if fan not in brought])
        return moves

    async def _rename(self, session: AsyncSession, pairs: Sequence[FanPair], ids: Sequence[int]) -> None:
        for piece in pieces(ids):
            names = {name: turned(referrals.c[name], pairs) for name in ("referrer_fan_id", "invitee_fan_id")}
            await session.execute(update(referrals).where(among(session, referrals.c.id, piece)).values(names))

    async def restore(self, session: AsyncSession, undoing: Undoing) -> None:
        pair = undoing.pair
        changed: set[int] = set()
        for column in ("referrer_fan_id", "invitee_fan_id"):
            ids = undoing.listed(column)
            if undoing.to_gone:
                ids += await _since(session, undoing, column)
            for piece in pieces(ids):
                mine = (referrals.c[column] == pair.into, among(session, referrals.c.id, piece))
                found = await session.execute(
                    update(referrals).where(*mine).values({column: pair.gone}).returning(referrals.c.id)
                )
                changed |= set(found.scalars())
        changed |= await _bring_back(session, [read_row(referrals, row) for row in undoing.listed("dropped")])
        await _tell(session, sorted(changed))
        still = select(referrals.c.id).where(referrals.c.invitee_fan_id == pair.into)
        if undoing.moves and (await session.execute(still)).first() is None:
            await emit(session, [referral_gone(pair.group_id, pair.brand_id, pair.into)])


def _is_of(row: Any, pair: FanPair) -> bool:
    return row.invitee_fan_id in (pair.into, pair.gone)


def _not_kept(pair: FanPair, rows: Sequence[Any], above: Mapping[int, int]) -> list[Any]:
    """Return the referrals of the pair that go: all but the first that does not come from below them."""
    own = sorted((row for row in rows if _is_of(row, pair)), key=lambda row: (row.referred_at, row.id))
    valid = [row for row in own if not {pair.into, pair.gone} & set(_way_up(row.referrer_fan_id, above))]
    return [row for row in own if not valid or row.id != valid[0].id]


def _way_up(fan: int, above: Mapping[int, int]) -> Iterable[int]:
    current: int | None = fan
    while current is not None:
        yield current
        current = above.get(current)


def _moves(pair: FanPair, rows: Sequence[Any], dropped: Mapping[int, Any]) -> list[Move]:
    mine = [row for row in dropped.values() if _is_of(row, pair)]
    kept = [row for row in rows if row.id not in dropped]
    lists: dict[str, list[Any]] = {
        name: [row.id for row in kept if getattr(row, name) == pair.gone]
        for name in ("referrer_fan_id", "invitee_fan_id")
    }
    moves = [Move(pair, {name: piece}) for name, ids in lists.items() for piece in pieces(ids)]
    return moves + ([Move(pair, {"dropped": [write_row(row, _SAID) for row in mine]})] if mine else [])


async def _since(session: AsyncSession, undoing: Undoing, column: str) -> list[int]:
    came = (referrals.c[column] == undoing.pair.into, referrals.c.created_at >= undoing.since)
    found = (await session.execute(select(referrals.c.id).where(*came))).scalars()
    return sorted(set(found) - undoing.of_others(column))


async def _bring_back(session: AsyncSession, rows: Sequence[dict[str, Any]]) -> set[int]:
    """Write dropped referrals again, but where somebody else brought the fan since or a loop would close."""
    if not rows:
        return set()
    ends = {row[name] for row in rows for name in ("referrer_fan_id", "invitee_fan_id")}
    above = await uplines(session, sorted(ends))
    back = []
    for row in rows:
        if row["invitee_fan_id"] not in above and row["invitee_fan_id"] not in _way_up(row["referrer_fan_id"], above):
            above[row["invitee_fan_id"]] = row["referrer_fan_id"]
            back.append(row)
    if back:
        await session.execute(insert(referrals), back)
    return {row["id"] for row in back}


async def _tell(session: AsyncSession, ids: Sequence[int]) -> None:
    for piece in pieces(ids):
        found = await session.execute(select(referrals).where(among(session, referrals.c.id, piece)))
        await emit(session, [fan_referred(row) for row in found.mappings()])


def _left(row: Any) -> Event:
    return referral_gone(row.group_id, row.brand_id, row.invitee_fan_id)


REFERRALS = Referrals()
