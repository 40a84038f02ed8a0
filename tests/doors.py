"""Requests that wait at an endpoint, brought by the way a connection would bring them."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from server.http import GraphQLEndpoint
from server.http.request import Message, Request
from server.http.response import Response


async def nothing() -> Message:
    """Stand for a client that stays."""
    await asyncio.Event().wait()
    return {}


@dataclass(eq=False)
class Door:
    """A request that waits at the endpoint."""

    endpoint: GraphQLEndpoint
    request: Request
    alone: bool = False
    answers: list[Response] = field(default_factory=list)
    is_answered: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @classmethod
    def of(cls, endpoint: GraphQLEndpoint, path: str, headers: dict[str, str], body: bytes) -> "Door":
        """Bring a POST whose body is whole, without knocking yet."""
        request = Request("POST", path, headers, client="127.0.0.1")
        request.body, request.received = body, True
        return cls(endpoint, request)

    def go_alone(self) -> None:
        """Be answered as if nobody else were there."""
        self.alone = True
        self.track(asyncio.create_task(self._go()))

    async def _go(self) -> None:
        self.finish(await self.endpoint.answer(self.request, nothing))

    def finish(self, response: Response) -> None:
        """Keep the answer, of which there must not be another."""
        assert not self.answers
        self.answers.append(response)
        self.is_answered.set()

    def track(self, task: "asyncio.Task[None]") -> None:
        """Keep the task."""
        self.tasks.add(task)

    async def response(self) -> Response:
        """Return the one answer."""
        async with asyncio.timeout(60):
            await self.is_answered.wait()
        (response,) = self.answers
        return response

    async def answered(self) -> dict[str, Any]:
        """Return what the one answer says."""
        found: dict[str, Any] = json.loads((await self.response()).body)
        return found


def knock(doors: Sequence[Door]) -> None:
    """Have all of them come in one turn of the loop."""
    for door in doors:
        assert door.endpoint.together is not None
        door.endpoint.together.add(door)
