"""What the worker does for points each minute: what waited for its day comes free, and what has expired goes."""

from typing import Final

from domain.database import Database
from domain.points.ledger.service import expire_due, release_due
from domain.scope import system_scope

AT_ONCE, SECONDS = 500, 30
SCOPE: Final = system_scope("points")


async def tend(database: Database) -> tuple[int, int]:
    """Release and expire all that is due, a few hundred a transaction; return how many earnings and accounts."""
    done = []
    for step in (release_due, expire_due):
        total = 0
        while True:
            async with database.writing(SCOPE, statement_seconds=SECONDS) as session:
                some = await step(session, AT_ONCE)
            total += some
            if some < AT_ONCE:
                break
        done.append(total)
    return done[0], done[1]
