"""Levels of fans who become one: the higher one holds, and goes on from the growth of both."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.levels.ladders import ladders_by_brand
from domain.levels.models import FanLevel
from domain.levels.rules import NOWHERE, Ladder, Standing, united
from domain.levels.standing import Cause, Stood, lock_accounts, look_again, tell, write
from domain.persons.holdings import among
from domain.persons.models import MergeMove, PersonMerge
from domain.persons.moving import FanPair, Move, Undoing, rows_of
from domain.persons.written import read_row, write_value
from domain.tables import table_of

fan_levels, notes, merges = table_of(FanLevel), table_of(MergeMove), table_of(PersonMerge)
PRINCIPAL = "system:merge"
_SAID = tuple(Standing.__dataclass_fields__)


class FanLevels:
    """Moves where fans stand, before their points: when the ledger moves those, levels follow.

    Comes back after the points, and looks at the growth both have in the end.
    """

    what = "fan_levels"
    tables = frozenset({"fan_levels"})

    async def move(self, session: AsyncSession, pairs: Sequence[FanPair]) -> list[Move]:
        await lock_accounts(session, [fan_id for pair in pairs for fan_id in (pair.into, pair.gone)])
        rows = await rows_of(session, fan_levels, pairs)
        moving = [pair for pair in pairs if rows.of(pair.into) or rows.of(pair.gone)]
        if not moving:
            return []
        held = {fan: _standing(rows.of(fan)) for pair in moving for fan in (pair.into, pair.gone)}
        ladders = await ladders_by_brand(session, {pair.brand_id for pair in moving})
        after = {pair.into: united(ladders[pair.brand_id], [held[pair.into], held[pair.gone]]) for pair in moving}
        stood = [_stood(pair, pair.into, held[pair.into]) for pair in moving]
        await _change(session, stood, after, ladders)
        gone = among(session, fan_levels.c.fan_id, [pair.gone for pair in moving])
        await session.execute(delete(fan_levels).where(gone))
        return [Move(pair, {"into": _say(held[pair.into]), "gone": _say(held[pair.gone])}) for pair in moving]

    async def restore(self, session: AsyncSession, undoing: Undoing) -> None:
        fans = [undoing.pair.into, undoing.pair.gone]
        await look_again(session, fans, principal=PRINCIPAL, cause=Cause.MERGE)


class FanLevelsApart:
    """Lets both stand where they stood, before their points come back: by what `FanLevels` wrote down."""

    what = "fan_levels_apart"
    tables = frozenset[str]()

    async def move(self, session: AsyncSession, pairs: Sequence[FanPair]) -> list[Move]:
        return []

    async def restore(self, session: AsyncSession, undoing: Undoing) -> None:
        pair = undoing.pair
        ladders = await ladders_by_brand(session, [pair.brand_id])
        if pair.brand_id not in ladders:
            return
        own, others = await _written(session, pair)
        await lock_accounts(session, [pair.into])
        locked = select(fan_levels).where(fan_levels.c.fan_id == pair.into).with_for_update()
        now, gone = _standing((await session.execute(locked)).all()), _read(own["gone"])
        into = united(ladders[pair.brand_id], [_read(own["into"]), *(_read(other["gone"]) for other in others)])
        # what a period that ended since took off is of the side that gets what came since
        since = max(0, now.deducted - into.deducted - gone.deducted)
        stood = [_stood(pair, pair.into, now), _stood(pair, pair.gone, NOWHERE)]
        after = {
            pair.into: _deducting(into, 0 if undoing.to_gone else since),
            pair.gone: _deducting(gone, since if undoing.to_gone else 0),
        }
        # who comes back had their level all the time
        await _change(session, stood, after, ladders, told=stood[:1])


LEVELS, LEVELS_APART = FanLevels(), FanLevelsApart()


async def _change(
    session: AsyncSession,
    stood: Sequence[Stood],
    after: Mapping[int, Standing],
    ladders: Mapping[int, Ladder],
    *,
    told: Sequence[Stood] | None = None,
) -> None:
    changed = [one for one in stood if after[one.fan_id] != one.standing]
    await write(session, changed, after, ladders)
    moved = [(one, after[one.fan_id]) for one in (changed if told is None else told)]
    await tell(session, moved, ladders, principal=PRINCIPAL, cause=Cause.MERGE)


async def _written(session: AsyncSession, pair: FanPair) -> tuple[Mapping[str, Any], list[Mapping[str, Any]]]:
    """Return what was written down of the pair, and of those who were merged into the same fan since."""
    of_both = (notes.c.what == FanLevels.what, notes.c.into_fan_id == pair.into, notes.c.merge_id >= pair.merge_id)
    statement = select(notes.c.gone_fan_id, notes.c.before).join(merges, merges.c.id == notes.c.merge_id)
    rows = (await session.execute(statement.where(*of_both, merges.c.undone_at.is_(None)))).all()
    nothing: Mapping[str, Any] = {"into": None, "gone": None}
    own = next((row.before for row in rows if row.gone_fan_id == pair.gone), nothing)
    return own, [row.before for row in rows if row.gone_fan_id != pair.gone]


def _standing(rows: Sequence[Any]) -> Standing:
    return Standing(*(getattr(rows[0], name) for name in _SAID)) if rows else NOWHERE


def _stood(pair: FanPair, fan_id: int, standing: Standing) -> Stood:
    return Stood(pair.group_id, pair.brand_id, fan_id, 0, standing)


def _say(standing: Standing) -> dict[str, Any] | None:
    return None if standing == NOWHERE else {name: write_value(value) for name, value in asdict(standing).items()}


def _read(said: Mapping[str, Any] | None) -> Standing:
    return NOWHERE if said is None else Standing(**read_row(fan_levels, said))


def _deducting(standing: Standing, more: int) -> Standing:
    return replace(standing, deducted=standing.deducted + more)
