"""Whether a programme's chain is whole, and says what its transfers say now."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.database import at_one_moment
from domain.points.ledger.book import transfers
from domain.points.ledger.chain import START, link, said_by, transfers_of
from domain.points.ledger.sealing import seals
from domain.vault import GroupVault, Vault


class Fault(StrEnum):
    """What is wrong with a link of the chain.

    ALTERED: the transfer, an entry, a draw or a lot of it, or the link itself, is not what was sealed. GONE: the
    transfer is not there. MISSING: the link is not there. UNSEALED: a transfer was slipped in among sealed ones.
    """

    ALTERED = "ALTERED"
    GONE = "GONE"
    MISSING = "MISSING"
    UNSEALED = "UNSEALED"


@dataclass(frozen=True)
class ChainFault:
    """What is wrong with the link of a number, and of which transfer it is, where that is known."""

    number: int
    transfer_id: int | None
    what: Fault


@dataclass(frozen=True)
class Verified:
    """Some links in their order: how many, the last one, and what is wrong. `last` is None where there were none."""

    count: int
    last: int | None
    head: bytes | None
    faults: tuple[ChainFault, ...] = ()


async def verify_chain(
    session: AsyncSession, vault: Vault, brand_id: int, *, after: int = 0, limit: int = 1_000
) -> Verified:
    """Make the next links of a brand's chain again, those after the number. The session has read nothing yet.

    A link is made of the one that stands before it, so that one fault is told once.
    """
    await at_one_moment(session)
    mine = (seals.c.brand_id == brand_id, seals.c.number >= after)
    found = (await session.execute(select(seals).where(*mine).order_by(seals.c.number).limit(limit + 1))).all()
    before = START if not after else found[0].hash if found and found[0].number == after else None
    rows = [row for row in found if row.number > after][:limit]
    if not rows:
        return Verified(0, None, None)
    keys = await vault.of_group(session, rows[0].group_id)
    there = await transfers_of(session, {row.transfer_id for row in rows})
    said = await said_by(session, list(there.values()))
    faults = _faults(keys, rows, said, after=after, before=before)
    return Verified(len(rows), rows[-1].number, rows[-1].hash, tuple(faults))


def _faults(
    keys: GroupVault, rows: Sequence[Any], said: dict[int, str], *, after: int, before: bytes | None
) -> list[ChainFault]:
    found: list[ChainFault] = []
    expected = after + 1
    for row in rows:
        if row.number != expected:
            # nothing can be said of the link after a gap: what it was made of is not there
            found.append(ChainFault(expected, None, Fault.MISSING))
            before = None
        if row.transfer_id not in said:
            found.append(ChainFault(row.number, row.transfer_id, Fault.GONE))
        elif before is not None and link(keys, before, row.brand_id, row.number, said[row.transfer_id]) != row.hash:
            found.append(ChainFault(row.number, row.transfer_id, Fault.ALTERED))
        before, expected = row.hash, row.number + 1
    return found


async def slipped_in(session: AsyncSession, *, after: int, upto: int, limit: int = 20) -> list[Any]:
    """Return transfers of any brand with ids in this range that no link is of: all of them are to be sealed ones."""
    joined = transfers.outerjoin(seals, seals.c.transfer_id == transfers.c.id)
    unsealed = (transfers.c.id > after, transfers.c.id <= upto, seals.c.transfer_id.is_(None))
    found = select(transfers.c.id, transfers.c.brand_id).select_from(joined).where(*unsealed)
    return list(await session.execute(found.order_by(transfers.c.id).limit(limit)))
