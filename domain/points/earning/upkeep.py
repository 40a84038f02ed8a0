"""Setting free what was earned and has waited for its day."""

from typing import Final

from domain.database import Database
from domain.points.earning.consumer import SCOPE, STATEMENT_SECONDS
from domain.points.ledger.service import release_due

AT_ONCE: Final = 500


async def release(database: Database) -> int:
    """Set free everything whose day has come, some hundred earns a transaction; return how many were.

    What belongs to an account that is being changed is left for the next time.
    """
    total = 0
    while True:
        async with database.writing(SCOPE, statement_seconds=STATEMENT_SECONDS) as session:
            released = await release_due(session, AT_ONCE)
        total += released
        if released < AT_ONCE:
            return total
