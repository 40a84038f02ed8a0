"""Clients that earn at once through the product's own services, each waiting for its answer before it goes on."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

Send = Callable[[int, str], Awaitable[object]]
REPLAYED = 50  # one in so many sends its client's last key again


@dataclass
class Crowd:
    """What came of the clients' requests: when each was answered and how long it took, and the last key of each."""

    started: float = 0.0
    ended: float = 0.0
    answers: list[tuple[float, float]] = field(default_factory=list)
    keys: dict[int, int] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        return len(self.answers) / (self.ended - self.started)

    @property
    def made(self) -> int:
        """How many different keys were acknowledged."""
        return sum(self.keys.values())

    def p99(self, since: float = 0.0, until: float = float("inf")) -> float:
        """Return the 99th percentile of the milliseconds an answer took, of those that came in a part of the run."""
        took = sorted(took for at, took in self.answers if since <= at - self.started < until)
        return took[int(len(took) * 0.99)] * 1000 if took else float("nan")

    def rate_of(self, since: float, until: float) -> float:
        """Return how many answers a second came in a part of the run."""
        return sum(since <= at - self.started < until for at, _ in self.answers) / (until - since)


async def crowd(send: Send, *, run: str, clients: int, fans: int, seconds: float) -> Crowd:
    """Send from so many clients for so long; an answer that is a failure ends the run."""
    found = Crowd(time.perf_counter())
    until = found.started + seconds

    async def client(number: int) -> None:
        drawn, last, fan = random.Random(f"{run}{number}"), 0, 0
        while time.perf_counter() < until:
            if last == 0 or drawn.randrange(REPLAYED):
                last, fan = last + 1, drawn.randint(1, fans)
            before = time.perf_counter()
            await send(fan, f"{run}-{number}-{last}")
            found.answers.append((time.perf_counter(), time.perf_counter() - before))
            found.keys[number] = last

    async with asyncio.TaskGroup() as group:
        for number in range(clients):
            group.create_task(client(number))
    found.ended = time.perf_counter()
    return found
