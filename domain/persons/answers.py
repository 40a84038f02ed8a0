"""What fans were answered under their keys: who they are now is answered the same."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.bulk import Bulk, insert_rows
from domain.idempotency import keys
from domain.persons.holdings import among
from domain.persons.moving import FanPair, Move, Undoing

_KEPT = ("principal", "mutation", "key", "request_hash", "response", "created_at")


class Answers:
    """Copies keys, so that what a device sends again after a merge, or after it was undone, is done once.

    Whose device used a key while two were one is not known, so both have it afterwards; keys are forgotten after days.
    """

    what = "answers"
    tables = frozenset[str]()

    async def move(self, session: AsyncSession, pairs: Sequence[FanPair]) -> list[Move]:
        await _copy(session, pairs[0].group_id, {_principal(pair.gone): _principal(pair.into) for pair in pairs})
        return []

    async def restore(self, session: AsyncSession, undoing: Undoing) -> None:
        pair = undoing.pair
        since = keys.c.created_at >= undoing.since
        await _copy(session, pair.group_id, {_principal(pair.into): _principal(pair.gone)}, since)


def _principal(fan_id: int) -> str:
    return f"fan:{fan_id}"


async def _copy(session: AsyncSession, group_id: int, to: dict[str, str], *which: ColumnElement[bool]) -> None:
    """Give the keys of some callers to others too, who keep those they have."""
    theirs = (among(session, keys.c.principal, list(to)), keys.c.group_id == group_id, *which)
    rows = (await session.execute(select(*(keys.c[name] for name in _KEPT)).where(*theirs))).all()
    if rows:
        columns: dict[str, Sequence[Any]] = dict(zip(_KEPT, zip(*rows, strict=True), strict=True))
        columns["principal"] = [to[row.principal] for row in rows]
        await insert_rows(session, Bulk(keys, {"group_id": group_id}, columns, "ON CONFLICT DO NOTHING"))


ANSWERS = Answers()
