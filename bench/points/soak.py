"""Earning while checkpoints are made: each page that is touched first after one is written whole to the log."""

import asyncio
from typing import NamedTuple

import asyncpg

from bench.points.clients import Crowd, Send, crowd

PARTS = ("before", "after the 1st", "after the 2nd")


class Part(NamedTuple):
    """A third of the soak; a checkpoint was begun with it, but for the first."""

    name: str
    rate: float
    p99: float
    worst: float


async def soak(send: Send, admin_url: str, *, clients: int, fans: int, seconds: float) -> tuple[Crowd, list[Part]]:
    """Earn for so long, with a checkpoint after a third and after two."""

    async def checkpoints() -> None:
        connection = await asyncpg.connect(admin_url, command_timeout=300)
        try:
            for _ in PARTS[1:]:
                await asyncio.sleep(seconds / len(PARTS))
                await connection.execute("CHECKPOINT")
        finally:
            await connection.close()

    async with asyncio.TaskGroup() as group:
        group.create_task(checkpoints())
        earning = group.create_task(crowd(send, run="soak", clients=clients, fans=fans, seconds=seconds))
    return earning.result(), _parts(earning.result(), seconds / len(PARTS))


def _parts(found: Crowd, third: float) -> list[Part]:
    parts = []
    for place, name in enumerate(PARTS):
        since, until = place * third, (place + 1) * third
        worst = min(found.rate_of(second, second + 1) for second in range(int(since), max(int(since) + 1, int(until))))
        parts.append(Part(name, found.rate_of(since, until), found.p99(since, until), worst))
    return parts
