"""What fans were answered under their keys: who they are now is answered the same."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.database import insert_ignore
from domain.idempotency import keys
from domain.persons.holdings import among
from domain.persons.moving import FanPair, Move, Undoing


class Answers:
    """Copies keys, so that what a device sends again after a merge, or after it was undone, is done once.

    Whose device used a key while two were one is not known, so both have it afterwards; keys are forgotten after days.
    """

    what = "answers"
    tables = frozenset[str]()

    async def move(self, session: AsyncSession, pairs: Sequence[FanPair]) -> list[Move]:
        await _copy(session, {_principal(pair.gone): _principal(pair.into) for pair in pairs})
        return []

    async def restore(self, session: AsyncSession, undoing: Undoing) -> None:
        pair = undoing.pair
        since = keys.c.created_at >= undoing.since
        await _copy(session, {_principal(pair.into): _principal(pair.gone)}, since)


def _principal(fan_id: int) -> str:
    return f"fan:{fan_id}"


async def _copy(session: AsyncSession, to: dict[str, str], *which: Any) -> None:
    """Give the keys of some callers to others too, who keep those they have."""
    theirs = select(keys).where(among(session, keys.c.principal, list(to)), keys.c.response.is_not(None), *which)
    rows = [dict(row) | {"principal": to[row["principal"]]} for row in (await session.execute(theirs)).mappings()]
    if rows:
        await session.execute(insert_ignore(session, keys, rows))


ANSWERS = Answers()
