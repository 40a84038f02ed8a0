"""Whether what was acknowledged is there, once, and every balance is the sum of its entries."""

import asyncpg
from sqlalchemy import text

from bench.points.data import SCOPE
from domain.database import Database

_COUNTS = "SELECT count(*) FROM point_transfers WHERE kind = :kind"
_SUMS = (
    "SELECT (SELECT sum({column}) FROM point_accounts), (SELECT sum(amount) FROM point_entries WHERE kind = '{kind}')"
)
_SIDES = {"SPENDABLE": "spendable", "GROWTH": "growth", "REDEEMED": "spent"}
# every account beside its own entries and lots
_WRONG = """
SELECT count(*) FROM point_accounts
LEFT JOIN (
    SELECT account_id, sum(CASE WHEN entry.kind = 'SPENDABLE' THEN amount END) AS points,
        sum(CASE WHEN entry.kind = 'GROWTH' THEN amount END) AS growth
    FROM point_transfers JOIN point_entries AS entry ON transfer_id = point_transfers.id GROUP BY account_id
) AS told ON told.account_id = point_accounts.id
LEFT JOIN (SELECT account_id, sum(remaining) AS points FROM point_lots GROUP BY account_id) AS held
    ON held.account_id = point_accounts.id
WHERE spendable <> coalesce(told.points, 0) OR spendable <> coalesce(held.points, 0)
    OR point_accounts.growth <> coalesce(told.growth, 0)
"""
_UNEVEN = """SELECT count(*) FROM (
    SELECT transfer_id FROM point_entries GROUP BY transfer_id, kind LIKE 'GROWTH%' HAVING sum(amount) <> 0
) AS uneven"""


async def transfers(database: Database, kind: str = "EARN") -> int:
    """Return how many transfers of a kind there are."""
    async with database.reading(SCOPE, statement_seconds=300) as session:
        return int((await session.execute(text(_COUNTS), {"kind": kind})).scalar_one())


async def faults(database: Database) -> list[str]:
    """Say what is wrong with the books; nothing, if they are right."""
    found = []
    async with database.reading(SCOPE, statement_seconds=300) as session:
        for kind, column in _SIDES.items():
            stands, told = (await session.execute(text(_SUMS.format(column=column, kind=kind)))).one()
            if (stands or 0) != (told or 0):
                found.append(f"{column} adds up to {stands}, its entries to {told}")
        for what, statement in (("accounts are not their entries and lots", _WRONG), ("transfers are uneven", _UNEVEN)):
            count = (await session.execute(text(statement))).scalar_one()
            if count:
                found.append(f"{count} {what}")
    return found


async def tidy(admin_url: str) -> None:
    """Do what autovacuum does in production, and end with a checkpoint, so that none falls into a measurement."""
    connection = await asyncpg.connect(admin_url, command_timeout=300)
    try:
        await connection.execute("VACUUM (ANALYZE)")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()
