"""The row of a fan who becomes another: what the other lacks of it, and how the row comes back."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from domain import clock
from domain.fans.models import Fan, Gender
from domain.fans.sums import recompute_spend
from domain.outbox import emit
from domain.outbox.telling import fan_changed, fan_gone
from domain.persons.holdings import among
from domain.persons.models import FanAlias
from domain.persons.moving import FanPair, Move, Undoing, pieces, renamed, rows_of
from domain.persons.written import read_row, read_value, write_row, write_value
from domain.tables import table_of

fans, aliases = table_of(Fan), table_of(FanAlias)

# what the one who stays lacks is taken from the other; what stands together is taken together
_FILLED = (
    *(("nickname",), ("avatar_url",), ("birthday",), ("province", "city", "district"), ("language",)),
    *(("phone_hash", "phone_cipher"), ("dealer_id", "store_id"), ("source_account_id", "source_scene")),
)
_EARLIEST, _LATEST = ("created_at", "followed_at"), ("last_followed_at", "unfollowed_at")
# always recomputed, or the row's own
_OWN = frozenset({"order_count", "spend", "last_order_at", "version", "updated_at"})


class FanRows:
    """Takes the gone fans' rows out, leaving an alias for each. Goes last, and comes back first."""

    what = "fans"
    tables = frozenset({"fans", "fan_aliases"})

    async def move(self, session: AsyncSession, pairs: Sequence[FanPair]) -> list[Move]:
        rows = {
            row.id: row for found in (await rows_of(session, fans, pairs, column="id")).rows.values() for row in found
        }
        gone = [pair.gone for pair in pairs]
        led = select(aliases.c.old_id, aliases.c.fan_id).where(among(session, aliases.c.fan_id, gone))
        olds = (await session.execute(led.order_by(aliases.c.old_id))).all()
        await renamed(session, aliases, "fan_id", pairs)
        await session.execute(delete(fans).where(among(session, fans.c.id, gone)))
        changes = {pair: merged(rows[pair.into], rows[pair.gone]) for pair in pairs}
        for pair, change in changes.items():
            anew = {**change, "version": rows[pair.into].version + 1, "updated_at": clock.now()}
            await session.execute(update(fans).where(fans.c.id == pair.into).values(anew))
        await session.execute(insert(aliases), [_alias(pair) for pair in pairs])
        await recompute_spend(session, [pair.into for pair in pairs])
        for pair in pairs:
            await _tell(session, pair, rows[pair.into].version + 1, gone=rows[pair.gone].version + 1)
        return [_move(pair, rows, changes[pair], [o.old_id for o in olds if o.fan_id == pair.gone]) for pair in pairs]

    async def restore(self, session: AsyncSession, undoing: Undoing) -> None:
        """Write the row again, and take back from the other what nobody changed since."""
        pair, (kept,) = undoing.pair, undoing.moves
        into: Any = (await session.execute(select(fans).where(fans.c.id == pair.into).with_for_update())).one()
        back = read_row(fans, kept["gone"])
        own: dict[str, Any] = {}
        for name, value in kept["set"].items():
            before, now = read_value(fans, name, kept["into"][name]), getattr(into, name)
            if write_value(now) == value:
                own[name] = before
            elif undoing.to_gone:
                own[name], back[name] = before, now
        back |= {"version": back["version"] + 2, "updated_at": clock.now()}
        await session.execute(delete(aliases).where(aliases.c.old_id == pair.gone))
        await session.execute(insert(fans), [back])
        for piece in pieces(kept["aliases"]):
            led = (aliases.c.fan_id == pair.into, among(session, aliases.c.old_id, piece))
            await session.execute(update(aliases).where(*led).values(fan_id=pair.gone))
        anew = {**own, "version": into.version + 1, "updated_at": clock.now()}
        await session.execute(update(fans).where(fans.c.id == pair.into).values(anew))
        told = (
            fan_changed(pair.group_id, pair.brand_id, fan, v)
            for fan, v in ((pair.into, into.version + 1), (pair.gone, back["version"]))
        )
        await emit(session, list(told))


def merged(into: Any, gone: Any) -> dict[str, Any]:
    """Return what changes of the one who stays."""
    change: dict[str, Any] = {}
    for names in _FILLED:
        if getattr(into, names[0]) is None and getattr(gone, names[0]) is not None:
            change |= {name: getattr(gone, name) for name in names}
    if into.gender == Gender.UNKNOWN:
        change["gender"] = gone.gender
    for names, choose in ((_EARLIEST, min), (_LATEST, max)):
        for name in names:
            known = [value for value in (getattr(into, name), getattr(gone, name)) if value is not None]
            change[name] = choose(known) if known else None
    change["subscribed"] = into.subscribed or gone.subscribed
    change["follow_count"] = into.follow_count + gone.follow_count
    return {name: value for name, value in change.items() if value != getattr(into, name)}


def _move(pair: FanPair, rows: Mapping[int, Any], change: Mapping[str, Any], olds: Sequence[int]) -> Move:
    into = rows[pair.into]
    return Move(
        pair,
        {
            "gone": write_row(rows[pair.gone], fans.c.keys()),
            "into": write_row(into, change),
            "set": {str(name): write_value(value) for name, value in change.items()},
            "aliases": list(olds),
        },
    )


def _alias(pair: FanPair) -> dict[str, int]:
    return {"old_id": pair.gone, "group_id": pair.group_id, "brand_id": pair.brand_id, "fan_id": pair.into}


async def _tell(session: AsyncSession, pair: FanPair, version: int, *, gone: int) -> None:
    await emit(
        session,
        [
            fan_changed(pair.group_id, pair.brand_id, pair.into, version),
            fan_gone(pair.group_id, pair.brand_id, pair.gone, gone),
        ],
    )


FANS = FanRows()
