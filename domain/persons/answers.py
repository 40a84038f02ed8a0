"""What fans were answered under their keys: who they are now is answered the same."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from domain.bulk import Bulk, insert_rows
from domain.idempotency import keys
from domain.persons.holdings import among
from domain.persons.moving import FanPair, Move, Undoing, cut
from domain.reads import grouped

_KEPT = ("principal", "mutation", "key", "request_hash", "response", "created_at")


class Answers:
    """Copies keys, so that what a device sends again after a merge, or after it was undone, is done once.

    An undoing takes the copies back. Whose device used a key while two were one is not known, so both have it then.
    """

    what = "answers"
    tables = frozenset[str]()

    async def move(self, session: AsyncSession, pairs: Sequence[FanPair]) -> list[Move]:
        of = await _of(session, [fan for pair in pairs for fan in (pair.into, pair.gone)])
        moves = []
        for pair in pairs:
            there = {_name(row) for row in of.get(pair.into, ())}
            new = [row for row in of.get(pair.gone, ()) if _name(row) not in there]
            await _give(session, pair.group_id, pair.into, new)
            names = [_name(row) for row in new]
            moves += [Move(pair, {"keys": piece}) for piece in cut(names)]
        return moves

    async def restore(self, session: AsyncSession, undoing: Undoing) -> None:
        pair, copies, brought = undoing.pair, set(undoing.listed("keys")), undoing.of_others("keys")
        rows = (await _of(session, [pair.into])).get(pair.into, [])
        mine = [row for row in rows if row.created_at < undoing.since and _name(row) in copies]
        for piece in cut(mine):
            which = [(row.mutation, row.key) for row in piece]
            theirs = (keys.c.principal == _principal(pair.into), tuple_(keys.c.mutation, keys.c.key).in_(which))
            await session.execute(delete(keys).where(*theirs))
        since = [row for row in rows if row.created_at >= undoing.since and _name(row) not in brought]
        await _give(session, pair.group_id, pair.gone, since)


def _principal(fan_id: int) -> str:
    return f"fan:{fan_id}"


def _name(row: Any) -> str:
    return f"{row.mutation} {row.key}"


async def _of(session: AsyncSession, fan_ids: Sequence[int]) -> dict[int, list[Any]]:
    """Return the keys of fans, by fan."""
    by_principal = {_principal(fan_id): fan_id for fan_id in fan_ids}
    theirs = select(*(keys.c[name] for name in _KEPT)).where(among(session, keys.c.principal, list(by_principal)))
    rows = await session.execute(theirs.order_by(keys.c.principal, keys.c.mutation, keys.c.key))
    return grouped(rows, lambda row: by_principal[row.principal])


async def _give(session: AsyncSession, group_id: int, fan_id: int, rows: Sequence[Any]) -> None:
    """Give keys to a fan, who keeps those they have."""
    if rows:
        columns: dict[str, Sequence[Any]] = dict(zip(_KEPT, zip(*rows, strict=True), strict=True))
        columns["principal"] = [_principal(fan_id)] * len(rows)
        await insert_rows(session, Bulk(keys, {"group_id": group_id}, columns, "ON CONFLICT DO NOTHING"))


ANSWERS = Answers()
