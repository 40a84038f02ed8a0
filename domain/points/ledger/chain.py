"""The chain of a programme's transfers (积分账本链): each link is a keyed hash over the one before and all it says.

The key is the group's and not in the database in the clear: who can only write there cannot make a link.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson
from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.bulk import among
from domain.points.ledger.accounts import lots
from domain.points.ledger.book import draws, entries, transfers
from domain.reads import grouped
from domain.vault import GroupVault

SPACE: Final = "point_seals.hash"
START: Final = bytes(32)
_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
# what of a lot may change is how much is left of it, and that the draws say
_SAID: Mapping[Table, tuple[str, ...]] = {
    transfers: (
        *("id", "group_id", "brand_id", "account_id", "kind", "source", "points", "growth", "balance"),
        *("growth_balance", "reason", "actor", "rule_id", "reference", "request_key", "reverses_id"),
        *("occurred_at", "available_at", "recorded_at"),
    ),
    entries: ("kind", "amount"),
    draws: ("lot_id", "points"),
    lots: ("id", "account_id", "granted", "granted_at", "expires_at", "from_lot_id"),
}


def link(keys: GroupVault, before: bytes, brand_id: int, number: int, said: str) -> bytes:
    """Return the link of a transfer that says `said`, as the chain's `number`th, after the link `before`."""
    return keys.find_hash(f"{before.hex()}:{brand_id}:{number}:{said}", SPACE)


async def said_by(session: AsyncSession, rows: Sequence[Any]) -> dict[int, str]:
    """Write down all that these rows of transfers say, with their entries, draws and lots. Three statements."""
    ids = sorted(row.id for row in rows)
    parts = [await _parts(session, table, key, ids) for table, key in ((entries, "kind"), (draws, "lot_id"))]
    parts.append(await _parts(session, lots, "id", ids))
    return {
        row.id: orjson.dumps([_plain(transfers, row), *(part.get(row.id, []) for part in parts)]).decode()
        for row in rows
    }


async def transfers_of(session: AsyncSession, ids: Iterable[int]) -> dict[int, Any]:
    """Return the transfers that are there of these."""
    wanted = select(transfers).where(among(session, transfers.c.id, sorted(ids)))
    return {row.id: row for row in await session.execute(wanted)}


async def _parts(session: AsyncSession, table: Table, order: str, ids: Sequence[int]) -> dict[int, list[Any]]:
    wanted = select(table).where(among(session, table.c.transfer_id, ids))
    found = grouped(await session.execute(wanted), lambda row: int(row.transfer_id))
    return {
        # in an order of ours: that of a database depends on its collation
        transfer_id: [_plain(table, row) for row in sorted(rows, key=lambda row: getattr(row, order))]
        for transfer_id, rows in found.items()
    }


def _plain(table: Table, row: Any) -> list[Any]:
    values = (getattr(row, name) for name in _SAID[table])
    return [(value - _EPOCH) // _MICROSECOND if isinstance(value, datetime) else value for value in values]
