"""Where fans stand, brought up to what their growth says, in the transaction that changes it."""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import bulk, clock
from domain.compiled import Among, Compiled
from domain.database import dialect_insert
from domain.levels.ladders import ladders_by_brand
from domain.levels.models import FanLevel, Level
from domain.levels.rules import NOWHERE, Ladder, Standing, stand
from domain.looks import Asked, look
from domain.points.ledger.models import PointAccount
from domain.tables import table_of
from domain.timeline import changes
from domain.timeline.models import ChangeAct, ChangeKind

accounts, levels, fan_levels = table_of(PointAccount), table_of(Level), table_of(FanLevel)
GROWTH = "system:points"
_KEPT = tuple(Standing.__dataclass_fields__)


class Cause(StrEnum):
    """Why a level changed: growth came or went, its months were over, the brand changed its levels, or fans merged."""

    GROWTH = "GROWTH"
    PERIOD = "PERIOD"
    LADDER = "LADDER"
    MERGE = "MERGE"


@dataclass(frozen=True)
class Stood:
    """Where a fan stands, and with what growth."""

    group_id: int
    brand_id: int
    fan_id: int
    growth: int
    standing: Standing


class LevelsHeld(NamedTuple):
    """Where fans stand: the growth that each level in force begins at, ascending, and by fan what is kept of them."""

    thresholds: Sequence[int]
    kept: Mapping[int, Any]

    def passed(self, growth: Mapping[int, int]) -> list[int]:
        """Return those whose level begins elsewhere than the highest that so much growth of theirs reaches."""
        return [fan_id for fan_id, has in growth.items() if self._reached(fan_id, has) != self._held(fan_id)]

    def _reached(self, fan_id: int, growth: int) -> int:
        counted = growth - (self.kept[fan_id].deducted if fan_id in self.kept else 0)
        place = bisect_right(self.thresholds, counted)
        return self.thresholds[place - 1] if place else 0

    def _held(self, fan_id: int) -> int:
        return (self.kept[fan_id].growth or 0) if fan_id in self.kept else 0


def levels_among(brand_id: int, fan_ids: Collection[int]) -> tuple[Asked, Asked]:
    """Ask where a brand's fans stand, beside other things; their accounts are locked, and so it stays."""
    return Asked(_select_thresholds, {"brand": brand_id}), Asked(_select_kept, {"fans": sorted(set(fan_ids))})


def levels_held(thresholds: Iterable[Any], kept: Iterable[Any]) -> LevelsHeld:
    """Return what was asked for so."""
    return LevelsHeld([row.growth for row in thresholds], {row.fan_id: row for row in kept})


async def follow_growth(
    session: AsyncSession, brand_id: int, growth: Mapping[int, int], before: LevelsHeld | None = None
) -> None:
    """Bring the levels of a brand's fans up to the growth they have now; their accounts are locked and written.

    Mostly no level changes, and to see that takes no statement of those who were looked at `before`, under the same
    lock, and else one look. A ladder that the brand defines meanwhile is for `domain.levels.upkeep`, which waits for
    whoever was writing then, and for the accounts.
    """
    if not growth:
        return
    if before is None:
        before = levels_held(*(await look(session, *levels_among(brand_id, growth))).rows)
    await look_again(session, before.passed(growth), principal=GROWTH, cause=Cause.GROWTH)


@Compiled
def _select_thresholds(_: Among) -> Select[Any]:
    ladder = (levels.c.brand_id == bindparam("brand"), levels.c.archived_at.is_(None))
    return select(levels.c.growth).where(*ladder).order_by(levels.c.growth)


@Compiled
def _select_kept(among: Among) -> Select[Any]:
    """Select what is kept of fans, with where the level held begins; it may be archived."""
    held = fan_levels.outerjoin(levels, levels.c.id == fan_levels.c.level_id)
    columns = (fan_levels.c.fan_id, fan_levels.c.deducted, levels.c.growth)
    return select(*columns).select_from(held).where(among(fan_levels.c.fan_id, "fans"))


def _open() -> ColumnElement[bool]:
    return accounts.c.former.is_(False)


def _same() -> ColumnElement[bool]:
    return fan_levels.c.fan_id == accounts.c.fan_id


async def look_again(
    session: AsyncSession, fan_ids: Collection[int], *, principal: str, cause: Cause, at: datetime | None = None
) -> None:
    """Look at fans, whose accounts are locked, and write where they stand where that is not what is written."""
    if not fan_ids:
        return
    stood = await standings(session, fan_ids)
    ladders = await ladders_by_brand(session, {one.brand_id for one in stood})
    now = at or clock.now()
    after = {
        one.fan_id: stand(ladders[one.brand_id], one.standing, one.growth, now)
        for one in stood
        if one.brand_id in ladders
    }
    changed = [one for one in stood if after.get(one.fan_id, one.standing) != one.standing]
    await write(session, changed, after, ladders)
    await tell(session, [(one, after[one.fan_id]) for one in changed], ladders, principal=principal, cause=cause)


async def lock_accounts(session: AsyncSession, fan_ids: Collection[int]) -> None:
    """Keep the growth of fans as it is until the transaction ends.

    Whoever writes where a fan stands has locked their account before, and accounts in the order the ledger does: so
    none waits for another that waits for it.
    """
    mine = (bulk.among(session, accounts.c.fan_id, sorted(set(fan_ids))), _open())
    await session.execute(select(accounts.c.id).where(*mine).order_by(accounts.c.id).with_for_update(key_share=True))


async def standings(session: AsyncSession, fan_ids: Collection[int]) -> list[Stood]:
    """Return where fans who have an account stand, in the order of their ids."""
    kept = (fan_levels.c.level_id, fan_levels.c.since, fan_levels.c.valid_until, fan_levels.c.deducted)
    place = (accounts.c.group_id, accounts.c.brand_id, accounts.c.fan_id, accounts.c.growth)
    mine = bulk.among(session, accounts.c.fan_id, sorted(set(fan_ids)))
    statement: Select[Any] = select(*place, *kept).outerjoin_from(accounts, fan_levels, _same()).where(_open(), mine)
    return [
        Stood(group_id, brand_id, fan_id, growth, NOWHERE if held[-1] is None else Standing(*held))
        for group_id, brand_id, fan_id, growth, *held in await session.execute(statement.order_by(accounts.c.fan_id))
    ]


async def write(
    session: AsyncSession, stood: Iterable[Stood], after: Mapping[int, Standing], ladders: Mapping[int, Ladder]
) -> None:
    """Write where fans stand now, in one statement."""
    rows = [
        {"group_id": one.group_id, "brand_id": one.brand_id, "fan_id": one.fan_id}
        | asdict(after[one.fan_id])
        | {"rank": _rank(ladders[one.brand_id], after[one.fan_id])}
        for one in stood
    ]
    if rows:
        insertion = dialect_insert(session, fan_levels).values(rows)
        anew = {name: insertion.excluded[name] for name in (*_KEPT, "rank")}
        await session.execute(insertion.on_conflict_do_update(index_elements=["fan_id"], set_=anew))


def _rank(ladder: Ladder, standing: Standing) -> int | None:
    return None if standing.level_id is None else ladder.by_id[standing.level_id].rank


async def tell(
    session: AsyncSession,
    moved: Sequence[tuple[Stood, Standing]],
    ladders: Mapping[int, Ladder],
    *,
    principal: str,
    cause: Cause,
) -> None:
    """Put the changes of level on the timeline."""
    said = []
    for one, after in moved:
        ladder = ladders[one.brand_id]
        codes = {"from": ladder.code(one.standing.level_id), "to": ladder.code(after.level_id)}
        if codes["from"] != codes["to"]:
            place = (one.group_id, one.brand_id, one.fan_id)
            detail = {**codes, "cause": cause.value}
            said.append(changes.Change(*place, ChangeKind.LEVEL, ChangeAct.CHANGED, principal, detail=detail))
    await changes.record(session, said)
