"""A projector that is killed again and again, then one that may finish. Run as a process of its own, by test_kill.py.

It forks, because a fork starts in milliseconds what an interpreter needs a second for.
"""

import asyncio
import os
import random
import signal
import sys
import time

from domain.database import Database
from domain.outbox import upkeep
from domain.scope import system_scope
from graph.driver import Graph
from graph.projector import Projector

KILLS = 10


async def relay(database_url: str, graph_address: list[str]) -> None:
    """Deliver in small batches under short leases until nothing is pending."""
    uri, user, password, name = graph_address
    database, graph = Database(database_url), Graph.connect(uri, (user, password), name)
    projector = Projector(database, graph, batch=5, lease_seconds=0.3)
    while await _pending(database):
        await projector.run_once()
    await graph.close()
    await database.dispose()


async def _pending(database: Database) -> int:
    scope = system_scope("test")
    async with database.reading(scope) as session:
        return (await upkeep.lag(session, scope, "graph")).pending


def main(database_url: str, *graph_address: str) -> None:
    """Print how many of the kills hit a projector at work."""
    rng, hits = random.Random(5), 0
    for number in range(KILLS + 1):
        child = os.fork()
        if child == 0:
            asyncio.run(relay(database_url, list(graph_address)))
            os._exit(0)
        if number < KILLS:
            time.sleep(rng.uniform(0.15, 0.6))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        hits += os.WIFSIGNALED(status)
    sys.stdout.write(f"{hits}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
