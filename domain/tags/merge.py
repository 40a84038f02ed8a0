"""Tags of fans who become one: a tag both carry counts and weighs for both."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import and_, delete, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.persons.moving import FanPair, Move, Undoing, rows_of
from domain.persons.written import read_row, write_row
from domain.tables import table_of
from domain.tags.models import FanTag

fan_tags = table_of(FanTag)
_SAID = tuple(column.name for column in fan_tags.c if column.name not in ("group_id", "brand_id", "fan_id"))


class FanTags:
    """Moves the tags fans carry. Their sums are split again by what each fan brought."""

    what = "fan_tags"
    tables = frozenset({"fan_tags"})

    async def move(self, session: AsyncSession, pairs: Sequence[FanPair]) -> list[Move]:
        carried = await rows_of(session, fan_tags, pairs)
        moves, united, replaced = [], [], []
        for pair in pairs:
            had = {row.tag_id: row for row in carried.of(pair.into)}
            brought = carried.of(pair.gone)
            if not brought:
                continue
            shared = [had[row.tag_id] for row in brought if row.tag_id in had]
            moves.append(Move(pair, {"tags": _written(brought), "had": _written(shared)}))
            united += [_united(row, had.get(row.tag_id)) | _place(pair, pair.into) for row in brought]
            replaced += [(pair.gone, row.tag_id) for row in brought] + [(pair.into, row.tag_id) for row in shared]
        await _replace(session, replaced, united)
        return moves

    async def restore(self, session: AsyncSession, undoing: Undoing) -> None:
        pair = undoing.pair
        brought = {tag["tag_id"]: tag for tag in undoing.listed("tags")}
        had = {tag["tag_id"]: tag for tag in undoing.listed("had")}
        statement = select(fan_tags).where(fan_tags.c.fan_id == pair.into).with_for_update()
        now = {row.tag_id: write_row(row, _SAID) for row in await session.execute(statement)}
        to_gone: list[dict[str, Any]] = []
        to_into: list[dict[str, Any]] = []
        for tag_id in sorted(brought.keys() | now.keys()):
            own, ours = _split(undoing, now.get(tag_id), brought.get(tag_id), had.get(tag_id))
            to_gone += [own] if own else []
            to_into += [ours] if ours else []
        rows = [read_row(fan_tags, tag) | _place(pair, pair.gone) for tag in to_gone]
        rows += [read_row(fan_tags, tag) | _place(pair, pair.into) for tag in to_into]
        await _replace(session, [(pair.into, tag_id) for tag_id in now], rows)


def _split(undoing: Undoing, now: Any, brought: Any, had: Any) -> tuple[Any, Any]:
    """Return a tag as the gone fan carries it again, and as the other does; None where one does not."""
    later = [tag for move in undoing.others for tag in move["tags"] if now and tag["tag_id"] == now["tag_id"]]
    if brought is None:
        # nobody brought it: it was the other's before, came with a later merge, or came since
        came_since = undoing.to_gone and not later and now["first_at"] >= undoing.since.isoformat()
        return (now, None) if came_since else (None, now)
    if now is None:
        # taken off since: that was done to the side that gets what came since
        return (None, had) if undoing.to_gone else (brought, None)
    own = [*([had] if had else []), *later]
    kept, since = _sum(own), _less(now, [brought, *own])
    if undoing.to_gone:
        return (_sum([brought, since]) if since else brought), kept
    return brought, (_sum([kept, since]) if kept and since else kept or since)


def _less(tag: Any, parts: Sequence[Any]) -> Any:
    """Return a tag without what parts of it count and weigh; None where nothing is left."""
    count = tag["count"] - sum(part["count"] for part in parts)
    weight = tag["weight"] - sum(part["weight"] for part in parts)
    return tag | {"count": count, "weight": max(weight, 0.0)} if count > 0 else None


def _sum(parts: Sequence[Any]) -> Any:
    if not parts:
        return None
    first, last = min(part["first_at"] for part in parts), max(part["last_at"] for part in parts)
    sums = {name: sum(part[name] for part in parts) for name in ("count", "weight")}
    return parts[0] | sums | {"first_at": first, "last_at": last}


def _united(brought: Any, had: Any) -> dict[str, Any]:
    said = {name: getattr(had or brought, name) for name in _SAID}
    if had is None:
        return said
    return said | {
        "count": had.count + brought.count,
        "weight": had.weight + brought.weight,
        "first_at": min(had.first_at, brought.first_at),
        "last_at": max(had.last_at, brought.last_at),
    }


def _written(rows: Sequence[Any]) -> list[dict[str, Any]]:
    return [write_row(row, _SAID) for row in rows]


def _place(pair: FanPair, fan_id: int) -> dict[str, int]:
    return {"group_id": pair.group_id, "brand_id": pair.brand_id, "fan_id": fan_id}


async def _replace(session: AsyncSession, gone: Sequence[tuple[int, int]], rows: Sequence[dict[str, Any]]) -> None:
    if gone:
        named = [and_(fan_tags.c.fan_id == fan_id, fan_tags.c.tag_id == tag_id) for fan_id, tag_id in gone]
        await session.execute(delete(fan_tags).where(or_(*named)))
    if rows:
        await session.execute(insert(fan_tags), list(rows))


TAGS = FanTags()
