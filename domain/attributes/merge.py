"""Custom attributes of fans who become one: what both have a value of, the one who stays keeps."""

from collections.abc import Sequence

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from domain.attributes.models import FanAttribute
from domain.persons.holdings import among
from domain.persons.moving import FanPair, Move, Undoing, rows_of
from domain.persons.written import read_row, write_row
from domain.tables import table_of

values = table_of(FanAttribute)
_SAID = ("attribute_id", "item", "text", "number", "updated_at")


class FanAttributes:
    """Moves values. One that was changed since the merge stays with the fan it was changed of."""

    what = "fan_attributes"
    tables = frozenset({"fan_attributes"})

    async def move(self, session: AsyncSession, pairs: Sequence[FanPair]) -> list[Move]:
        rows = await rows_of(session, values, pairs)
        moves = []
        for pair in (pair for pair in pairs if rows.of(pair.gone)):
            had = {row.attribute_id for row in rows.of(pair.into)}
            taken = sorted({row.attribute_id for row in rows.of(pair.gone)} - had)
            written = [write_row(row, _SAID) for row in rows.of(pair.gone)]
            moves.append(Move(pair, {"values": written, "taken": taken}))
            mine = values.c.fan_id == pair.gone
            await session.execute(
                update(values).where(mine, among(session, values.c.attribute_id, taken)).values(fan_id=pair.into)
            )
            await session.execute(delete(values).where(mine))
        return moves

    async def restore(self, session: AsyncSession, undoing: Undoing) -> None:
        pair, written = undoing.pair, undoing.listed("values")
        if not written:
            return
        taken = (values.c.fan_id == pair.into, among(session, values.c.attribute_id, undoing.listed("taken")))
        changed = select(values.c.attribute_id).where(*taken, values.c.updated_at >= undoing.since)
        kept = set((await session.execute(changed)).scalars())
        await session.execute(delete(values).where(*taken, values.c.attribute_id.not_in(sorted(kept))))
        place = {"group_id": pair.group_id, "brand_id": pair.brand_id, "fan_id": pair.gone}
        await session.execute(insert(values), [read_row(values, value) | place for value in written])


ATTRIBUTES = FanAttributes()
