"""Shares of fans who become one: in each cascade they stand once, and it stays a tree."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import case, delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from domain.fans.models import Fan
from domain.outbox import emit
from domain.outbox.telling import share_gone, share_recorded
from domain.persons.holdings import among
from domain.persons.moving import FanPair, Move, Undoing, pieces, turned
from domain.persons.written import read_row, write_row
from domain.shares.models import Cascade, Share
from domain.tables import table_of

cascades, shares, fans = table_of(Cascade), table_of(Share), table_of(Fan)
_SAID = tuple(column.name for column in shares.c)
_ENDS = ("from_fan_id", "to_fan_id")


@dataclass
class _Standing:
    """How the fans of a pair stand in cascades: the share that reached each, by cascade, and what they seeded."""

    into: dict[int, Any] = field(default_factory=dict)
    gone: dict[int, Any] = field(default_factory=dict)
    seeded: set[int] = field(default_factory=set)
    both: set[int] = field(default_factory=set)


class Shares:
    """Moves shares, and drops the one of two ways into a cascade that is not the first."""

    what = "shares"
    tables = frozenset({"shares", "cascades"})

    async def move(self, session: AsyncSession, pairs: Sequence[FanPair]) -> list[Move]:
        reached = await _reached(session, pairs)
        seeds = await _seeds(session, pairs)
        standing = {pair: _standing(pair, reached, seeds) for pair in pairs}
        above = await _above(session, pairs, {c for s in standing.values() for c in s.both})
        dropped = {row.id: (pair, row) for pair in pairs for row in _not_kept(pair, standing[pair], above)}
        moved = await self._rename(session, pairs, dropped.keys())
        seeded = [cascade for pair in pairs for cascade in sorted(standing[pair].seeded)]
        await _reseed(session, pairs, seeded)
        await _shrink(session, [row.cascade_id for _, row in dropped.values()])
        await _tell(session, sorted(set(moved)))
        # a seed is reached by nobody: no other share takes the place of the one that went
        left = [(pair, row) for pair, row in dropped.values() if row.cascade_id in standing[pair].seeded]
        await emit(session, [share_gone(pair.group_id, pair.brand_id, row.cascade_id, pair.into) for pair, row in left])
        return [move for pair in pairs for move in _moves(pair, standing[pair], dropped, moved)]

    async def _rename(
        self, session: AsyncSession, pairs: Sequence[FanPair], dropped: Collection[int]
    ) -> dict[int, dict[str, int]]:
        """Take the dropped shares out and name the fans who stay in the others; return whom the moved ones named."""
        for piece in pieces(sorted(dropped)):
            await session.execute(delete(shares).where(among(session, shares.c.id, piece)))
        gone = [pair.gone for pair in pairs]
        named = or_(*(among(session, shares.c[end], gone) for end in _ENDS))
        rows = (await session.execute(select(shares.c.id, *(shares.c[end] for end in _ENDS)).where(named))).all()
        for piece in pieces([row.id for row in rows]):
            names = {end: turned(shares.c[end], pairs) for end in _ENDS}
            await session.execute(update(shares).where(among(session, shares.c.id, piece)).values(names))
        return {row.id: {end: getattr(row, end) for end in _ENDS} for row in rows}

    async def restore(self, session: AsyncSession, undoing: Undoing) -> None:
        pair = undoing.pair
        changed: set[int] = set()
        for end in _ENDS:
            changed |= await _name(session, undoing.listed(end), end, pair.into, pair.gone)
        back = await _bring_back(session, undoing.listed("dropped"))
        await _shrink(session, [row["cascade_id"] for row in back], by=-1)
        seeded = undoing.listed("seeded")
        mine = (among(session, cascades.c.id, seeded), cascades.c.seed_fan_id == pair.into)
        await session.execute(update(cascades).where(*mine).values(seed_fan_id=pair.gone))
        changed |= {row["id"] for row in back} | await _part(session, undoing)
        await _tell(session, sorted(changed))
        await _tell_left(session, undoing)


async def _reached(session: AsyncSession, pairs: Sequence[FanPair]) -> dict[tuple[int, int], Any]:
    ends = sorted({fan for pair in pairs for fan in (pair.into, pair.gone)})
    statement = select(shares).where(among(session, shares.c.to_fan_id, ends)).order_by(shares.c.id).with_for_update()
    return {(row.to_fan_id, row.cascade_id): row for row in await session.execute(statement)}


async def _seeds(session: AsyncSession, pairs: Sequence[FanPair]) -> set[tuple[int, int]]:
    """Return who seeded which cascades, having locked those and the ones that may shrink."""
    ends = sorted({fan for pair in pairs for fan in (pair.into, pair.gone)})
    columns = (cascades.c.seed_fan_id, cascades.c.id)
    in_them = select(shares.c.cascade_id).where(among(session, shares.c.to_fan_id, ends))
    touched = or_(among(session, cascades.c.seed_fan_id, ends), cascades.c.id.in_(in_them))
    statement = select(*columns).where(touched).order_by(cascades.c.id).with_for_update(key_share=True)
    return {(row.seed_fan_id, row.id) for row in await session.execute(statement) if row.seed_fan_id in set(ends)}


def _standing(pair: FanPair, reached: dict[tuple[int, int], Any], seeds: set[tuple[int, int]]) -> _Standing:
    found = _Standing()
    for (fan, cascade), row in reached.items():
        if fan == pair.into:
            found.into[cascade] = row
        elif fan == pair.gone:
            found.gone[cascade] = row
    for fan, cascade in seeds:
        if fan == pair.into:
            found.into[cascade] = None
        elif fan == pair.gone:
            found.gone[cascade] = None
            found.seeded.add(cascade)
    found.both = found.into.keys() & found.gone.keys()
    return found


async def _above(session: AsyncSession, pairs: Sequence[FanPair], both: Collection[int]) -> set[tuple[int, int, int]]:
    """Return (cascade, fan, who stands above them) for the pairs' fans, where both fans of a pair are in a cascade."""
    if not both:
        return set()
    ends = sorted({fan for pair in pairs for fan in (pair.into, pair.gone)})
    start = select(shares.c.cascade_id, shares.c.to_fan_id.label("fan_id"), shares.c.from_fan_id.label("above"))
    within = (among(session, shares.c.cascade_id, sorted(both)), among(session, shares.c.to_fan_id, ends))
    climb = start.where(*within).cte("climb", recursive=True)
    higher = select(climb.c.cascade_id, climb.c.fan_id, shares.c.from_fan_id).join(
        shares, (shares.c.cascade_id == climb.c.cascade_id) & (shares.c.to_fan_id == climb.c.above)
    )
    whole = climb.union(higher)
    statement = select(whole).where(among(session, whole.c.above, ends))
    return {(row.cascade_id, row.fan_id, row.above) for row in await session.execute(statement)}


def _not_kept(pair: FanPair, standing: _Standing, above: Collection[tuple[int, int, int]]) -> Iterable[Any]:
    """Yield, for each cascade that holds both, the share that goes: never the one the other hangs from."""
    for cascade in sorted(standing.both):
        into, gone = standing.into[cascade], standing.gone[cascade]
        if into is None or (gone is not None and (cascade, pair.gone, pair.into) in above):
            yield gone
        elif gone is None or (cascade, pair.into, pair.gone) in above:
            yield into
        else:
            yield max(into, gone, key=lambda row: (row.shared_at, row.id))


async def _reseed(session: AsyncSession, pairs: Sequence[FanPair], seeded: Sequence[int]) -> None:
    for piece in pieces(seeded):
        named = {"seed_fan_id": turned(cascades.c.seed_fan_id, pairs)}
        await session.execute(update(cascades).where(among(session, cascades.c.id, piece)).values(named))


async def _shrink(session: AsyncSession, left: Sequence[int], *, by: int = 1) -> None:
    """Make cascades smaller by one for each time they stand in the list."""
    if left:
        sizes = {cascade: times * by for cascade, times in Counter(left).items()}
        less = cascades.c.size - case(sizes, value=cascades.c.id)
        await session.execute(update(cascades).where(among(session, cascades.c.id, list(sizes))).values(size=less))


def _moves(
    pair: FanPair, standing: _Standing, dropped: dict[int, tuple[FanPair, Any]], moved: dict[int, dict[str, int]]
) -> list[Move]:
    lists: dict[str, list[int]] = {
        end: sorted(share for share, named in moved.items() if named[end] == pair.gone) for end in _ENDS
    }
    lists["seeded"] = sorted(standing.seeded)
    moves = [Move(pair, {name: piece}) for name, ids in lists.items() for piece in pieces(ids)]
    rows = [write_row(row, _SAID) for owner, row in dropped.values() if owner == pair]
    return moves + [Move(pair, {"dropped": rows[start : start + 200]}) for start in range(0, len(rows), 200)]


async def _name(session: AsyncSession, ids: Sequence[int], end: str, now: int, then: int) -> set[int]:
    changed: set[int] = set()
    for piece in pieces(ids):
        mine = (shares.c[end] == now, among(session, shares.c.id, piece))
        found = await session.execute(update(shares).where(*mine).values({end: then}).returning(shares.c.id))
        changed |= set(found.scalars())
    return changed


async def _bring_back(session: AsyncSession, written: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Write dropped shares again, but of a fan the cascade has by now or who is not there any more."""
    rows = [read_row(shares, row) for row in written]
    if not rows:
        return []
    ends = sorted({row[end] for row in rows for end in _ENDS})
    there = set((await session.execute(select(fans.c.id).where(among(session, fans.c.id, ends)))).scalars())
    held = select(shares.c.cascade_id, shares.c.to_fan_id).where(among(session, shares.c.to_fan_id, ends))
    known = {(row[0], row[1]) for row in await session.execute(held)}
    back = [
        row
        for row in rows
        if (row["cascade_id"], row["to_fan_id"]) not in known and {row[end] for end in _ENDS} <= there
    ]
    if back:
        await session.execute(insert(shares), back)
    return back


async def _part(session: AsyncSession, undoing: Undoing) -> set[int]:
    """Give the shares that came since to the side they belong to, and return those that changed.

    Who is in a cascade goes on sharing it: what came since goes to the stated side where that side is in the cascade.
    """
    pair = undoing.pair
    rows = await _came(session, undoing)
    changed: set[int] = set()
    if undoing.to_gone:
        members = await _members(session, pair, {row.cascade_id for row in rows})
        reached = [r.id for r in rows if r.to_fan_id == pair.into and (r.cascade_id, pair.gone) not in members]
        changed |= await _name(session, reached, "to_fan_id", pair.into, pair.gone)
        await _give_seeds(session, undoing)
    passed_on = [row for row in rows if row.from_fan_id == pair.into]
    members = await _members(session, pair, {row.cascade_id for row in passed_on})
    to_gone = [row.id for row in passed_on if _goes(undoing, row.cascade_id, members)]
    return changed | await _name(session, to_gone, "from_fan_id", pair.into, pair.gone)


async def _came(session: AsyncSession, undoing: Undoing) -> list[Any]:
    """Return the shares that came since the merge, but those between the two.

    Where clocks disagree one of before may look as if it came since: what the record names it has put back already.
    """
    pair = undoing.pair
    came = select(shares).where(
        or_(*(shares.c[end] == pair.into for end in _ENDS)), shares.c.created_at >= undoing.since
    )
    known = {share for end in _ENDS for share in (*undoing.of_others(end), *undoing.listed(end))}
    known |= {row["id"] for row in undoing.listed("dropped")}
    between = {pair.into, pair.gone}
    rows = (await session.execute(came)).all()
    return [row for row in rows if row.id not in known and {row.from_fan_id, row.to_fan_id} != between]


async def _give_seeds(session: AsyncSession, undoing: Undoing) -> None:
    """Give cascades that began since the merge to the fan who comes back."""
    pair = undoing.pair
    began = (cascades.c.seed_fan_id == pair.into, cascades.c.created_at >= undoing.since)
    others = cascades.c.id.not_in(sorted(undoing.of_others("seeded")))
    await session.execute(update(cascades).where(*began, others).values(seed_fan_id=pair.gone))


def _goes(undoing: Undoing, cascade: int, members: set[tuple[int, int]]) -> bool:
    gone, into = ((cascade, fan) in members for fan in (undoing.pair.gone, undoing.pair.into))
    return gone and (undoing.to_gone or not into)


async def _members(session: AsyncSession, pair: FanPair, named: Collection[int]) -> set[tuple[int, int]]:
    """Return (cascade, fan) for the pair's fans in the cascades."""
    both, wanted = (pair.into, pair.gone), sorted(named)
    reached = select(shares.c.cascade_id, shares.c.to_fan_id).where(
        among(session, shares.c.cascade_id, wanted), shares.c.to_fan_id.in_(both)
    )
    seeded = select(cascades.c.id, cascades.c.seed_fan_id).where(
        among(session, cascades.c.id, wanted), cascades.c.seed_fan_id.in_(both)
    )
    return {(row[0], row[1]) for row in await session.execute(reached.union_all(seeded))}


async def _tell(session: AsyncSession, ids: Sequence[int]) -> None:
    for piece in pieces(ids):
        found = await session.execute(select(shares).where(among(session, shares.c.id, piece)))
        await emit(session, [share_recorded(row) for row in found.mappings()])


async def _tell_left(session: AsyncSession, undoing: Undoing) -> None:
    """Tell the graph of cascades that reach the one who stays no more."""
    pair = undoing.pair
    was = select(shares.c.cascade_id).where(shares.c.to_fan_id == pair.gone)
    now = select(shares.c.cascade_id).where(shares.c.to_fan_id == pair.into)
    left = (await session.execute(was.except_(now))).scalars()
    await emit(session, [share_gone(pair.group_id, pair.brand_id, cascade, pair.into) for cascade in left])


SHARES = Shares()
