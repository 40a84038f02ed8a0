"""Is the process alive, is it ready, and what is degraded."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import text
from starlette.requests import Request
from starlette.responses import JSONResponse

from domain.scope import system_scope
from migrations import head
from resolvers.context import Services

DATABASE_SECONDS = 0.5
# a little more than the graph takes to find out by itself, which makes it refuse the next callers at once
GRAPH_SECONDS = 1.2

T = TypeVar("T")


@dataclass
class Health:
    """The state that readiness is judged by."""

    services: Services
    draining: bool = False
    revision: str = field(default_factory=head)

    async def livez(self, request: Request) -> JSONResponse:
        """Answer as long as the event loop does."""
        return JSONResponse({"status": "alive"})

    async def readyz(self, request: Request) -> JSONResponse:
        """Answer 200 where requests can be served. Without the graph the rest is served: ready, but degraded."""
        checks = self._database_problems(self.services), self._graph_answers(self.services)
        found, graph_up = await asyncio.gather(*checks)
        problems = ["draining"] * self.draining + found
        status = "unready" if problems else "ready" if graph_up else "degraded"
        body = {"status": status, "problems": problems, "graph": "up" if graph_up else "down"}
        return JSONResponse(body, status_code=503 if problems else 200)

    async def _database_problems(self, services: Services) -> list[str]:
        try:
            found = await _within(DATABASE_SECONDS, _revision(services))
        except Exception:  # noqa: BLE001 (whatever the driver raises, the answer is the same)
            return ["the database does not answer"]
        return [] if found == self.revision else [f"the database is at {found}, this code needs {self.revision}"]

    async def _graph_answers(self, services: Services) -> bool:
        try:
            await _within(GRAPH_SECONDS, services.graph.verify())
        except Exception:  # noqa: BLE001 (a wrong password or name is down, too)
            return False
        return True


async def _revision(services: Services) -> str | None:
    async with services.database.reading(system_scope("health")) as session:
        found: str | None = (await session.execute(text("SELECT version_num FROM alembic_version"))).scalar()
        return found


async def _within(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """Wait so long and no longer. Raises TimeoutError; what was begun is given up without waiting for its end."""
    running = asyncio.create_task(work)
    done, _ = await asyncio.wait({running}, timeout=seconds)
    if not done:
        running.cancel()
        raise TimeoutError
    return running.result()
