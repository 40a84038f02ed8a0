"""The worker's side of the chains: seals what is surely complete, again and again."""

from typing import Final

import structlog
from sqlalchemy.exc import IntegrityError

from domain.database import Database
from domain.points.ledger.sealing import Fence, fence, is_past, seal, waiting
from domain.scope import system_scope
from domain.vault import Vault

AT_ONCE, STEPS_A_TURN, SECONDS = 1_000, 50, 30
SCOPE: Final = system_scope("points")

log = structlog.get_logger(__name__)


class Sealer:
    """Seal transfers. Several may run at once, and one that is killed leaves nothing undone."""

    def __init__(self, database: Database, vault: Vault, *, at_once: int = AT_ONCE) -> None:
        self._database = database
        self._vault = vault
        self._at_once = at_once
        self._fence: Fence | None = None

    async def run_once(self) -> int:
        """Seal what lies below the fence that was set the last time, where it is past, and set another one."""
        sealed = 0
        if self._fence is not None:
            async with self._database.reading(SCOPE) as session:
                if not await is_past(session, self._fence):
                    return 0
            sealed, is_done = await self._seal(self._fence.upto)
            if not is_done:
                return sealed
        self._fence = await self._set_fence()
        return sealed

    async def _set_fence(self) -> Fence | None:
        async with self._database.reading(SCOPE) as session:
            # mostly nothing is new, and to see that must not cost SQLite its only writer
            if not await waiting(session):
                return None
        async with self._database.writing(SCOPE) as session:
            return await fence(session)

    async def _seal(self, upto: int) -> tuple[int, bool]:
        """Return how many were sealed, and whether that were all."""
        total = 0
        for _ in range(STEPS_A_TURN):
            try:
                async with self._database.writing(SCOPE, statement_seconds=SECONDS) as session:
                    some = await seal(session, self._vault, upto=upto, limit=self._at_once)
            except IntegrityError:
                log.info("sealed_by_another")
                return total, False
            total += some
            if some < self._at_once:
                return total, True
        return total, False
