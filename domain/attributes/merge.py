"""Custom attributes of fans who become one: what both have a value of, the one who stays keeps."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from domain.attributes.models import FanAttribute
from domain.persons.holdings import among
from domain.persons.moving import FanPair, Move, Undoing, rows_of
from domain.persons.written import read_row, write_row
from domain.reads import grouped
from domain.tables import table_of

values = table_of(FanAttribute)
_SAID = ("attribute_id", "item", "text", "number", "updated_at")
Values = Mapping[int, Sequence[dict[str, Any]]]


class FanAttributes:
    """Moves values. One that was changed since the merge, or taken away, is so for the fan of the stated side."""

    what = "fan_attributes"
    tables = frozenset({"fan_attributes"})

    async def move(self, session: AsyncSession, pairs: Sequence[FanPair]) -> list[Move]:
        rows = await rows_of(session, values, pairs)
        moves = []
        for pair in (pair for pair in pairs if rows.of(pair.gone) or rows.of(pair.into)):
            had = {row.attribute_id for row in rows.of(pair.into)}
            taken = sorted({row.attribute_id for row in rows.of(pair.gone)} - had)
            written, own = ([write_row(row, _SAID) for row in rows.of(fan)] for fan in (pair.gone, pair.into))
            moves.append(Move(pair, {"values": written, "taken": taken, "own": own}))
            mine = values.c.fan_id == pair.gone
            await session.execute(
                update(values).where(mine, among(session, values.c.attribute_id, taken)).values(fan_id=pair.into)
            )
            await session.execute(delete(values).where(mine))
        return moves

    async def restore(self, session: AsyncSession, undoing: Undoing) -> None:
        pair = undoing.pair
        statement = select(values).where(values.c.fan_id == pair.into).with_for_update()
        now = _by_attribute(write_row(row, _SAID) for row in await session.execute(statement))
        theirs, own = (_by_attribute(undoing.listed(name)) for name in ("values", "own"))
        changed = _changed(undoing, now, theirs, own)
        if undoing.to_gone:
            into = {**now, **{one: own.get(one, []) for one in changed}}
            gone = {**theirs, **{one: now.get(one, []) for one in changed}}
        else:
            into, gone = dict(now), dict(theirs)
        for one in set(undoing.listed("taken")) - changed:
            into[one] = []
        await _replace(session, pair, pair.into, into, now)
        await _replace(session, pair, pair.gone, gone, {})


def _by_attribute(written: Iterable[dict[str, Any]]) -> Values:
    return grouped(written, lambda value: int(value["attribute_id"]))


def _changed(undoing: Undoing, now: Values, theirs: Values, own: Values) -> set[int]:
    """Return the attributes that are not as the merge left them, but for what a later merge brought."""
    left = {**theirs, **own}
    differ = {one for one in {**left, **now} if _plain(left.get(one, [])) != _plain(now.get(one, []))}
    return differ - undoing.of_others("taken")


def _plain(written: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(written, key=lambda value: int(value["item"]))


async def _replace(session: AsyncSession, pair: FanPair, fan_id: int, wanted: Values, now: Values) -> None:
    """Make the fan's values those wanted, writing what differs from those they have."""
    differ = [one for one in wanted if _plain(wanted[one]) != _plain(now.get(one, []))]
    mine = (values.c.fan_id == fan_id, among(session, values.c.attribute_id, differ))
    await session.execute(delete(values).where(*mine))
    place = {"group_id": pair.group_id, "brand_id": pair.brand_id, "fan_id": fan_id}
    rows = [read_row(values, value) | place for one in differ for value in wanted[one]]
    if rows:
        await session.execute(insert(values), rows)


ATTRIBUTES = FanAttributes()
