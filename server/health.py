"""Is the process alive, is it ready, and what is degraded."""

import asyncio
from dataclasses import dataclass, field

from sqlalchemy import text
from starlette.requests import Request
from starlette.responses import JSONResponse

from domain.errors import DomainError
from domain.scope import system_scope
from migrations import head
from resolvers.context import Services

DATABASE_SECONDS = 0.5


@dataclass
class Health:
    """The state that readiness is judged by."""

    services: Services | None = None
    draining: bool = False
    revision: str = field(default_factory=head)

    async def livez(self, request: Request) -> JSONResponse:
        """Answer as long as the event loop does."""
        return JSONResponse({"status": "alive"})

    async def readyz(self, request: Request) -> JSONResponse:
        """Answer 200 where requests can be served. Without the graph the rest is served: ready, but degraded."""
        problems = ["draining"] if self.draining else []
        if self.services is None:
            return JSONResponse({"status": "starting"}, status_code=503)
        problems += await self._database_problems(self.services)
        degraded = not await self._graph_answers(self.services)
        status = "unready" if problems else "degraded" if degraded else "ready"
        body = {"status": status, "problems": problems, "graph": "down" if degraded else "up"}
        return JSONResponse(body, status_code=503 if problems else 200)

    async def _database_problems(self, services: Services) -> list[str]:
        try:
            async with asyncio.timeout(DATABASE_SECONDS):
                async with services.database.reading(system_scope("health")) as session:
                    found = (await session.execute(text("SELECT version_num FROM alembic_version"))).scalar()
        except (DomainError, Exception):  # noqa: BLE001 (whatever the driver raises, the answer is the same)
            return ["the database does not answer"]
        return [] if found == self.revision else [f"the database is at {found}, this code needs {self.revision}"]

    async def _graph_answers(self, services: Services) -> bool:
        try:
            await services.graph.verify()
        except DomainError:
            return False
        return True
