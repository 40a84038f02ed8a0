"""A toy schema behind the real endpoint: what the gate and the edges do does not depend on the business."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import strawberry

from domain.errors import BadInput, Forbidden, NotFound, Unauthenticated
from server.http import Caller, GraphQLEndpoint, Options, Request

PHONE = "13800138000"


@dataclass(frozen=True)
class Context:
    """Who asks, and which resolvers ran."""

    caller: str
    ran: list[str] = field(default_factory=list)


Info = strawberry.Info[Context, None]


@strawberry.type
class Fan:
    id: strawberry.ID
    name: str = "Lin"

    @strawberry.field
    def friends(self) -> "Fan":
        return Fan(id=strawberry.ID("2"))

    @strawberry.field
    def fans(self, first: int | None = None, last: int | None = None) -> "FanConnection":
        return connection(first or last or 0)


@strawberry.type
class FanEdge:
    node: Fan
    cursor: str


@strawberry.type
class FanConnection:
    edges: list[FanEdge]
    nodes: list[Fan]
    total_count: int


def connection(size: int) -> FanConnection:
    fans = [Fan(id=strawberry.ID(str(number))) for number in range(size)]
    return FanConnection(edges=[FanEdge(node=fan, cursor=str(fan.id)) for fan in fans], nodes=fans, total_count=size)


@strawberry.input
class FanFilter:
    name: str | None = None
    tags: list[str] | None = None
    age: int | None = None
    all_of: "list[FanFilter] | None" = None


@strawberry.type
class Query:
    @strawberry.field
    def hello(self, info: Info, name: str = "you") -> str:
        info.context.ran.append("hello")
        return f"Hello {name}"

    @strawberry.field
    def me(self) -> Fan:
        return Fan(id=strawberry.ID("1"))

    @strawberry.field
    def secret(self) -> str | None:
        raise Unauthenticated

    @strawberry.field
    def fans(self, first: int | None = None, last: int | None = None) -> FanConnection:
        return connection(first or last or 0)

    @strawberry.field
    def nodes(self, info: Info, ids: list[strawberry.ID]) -> list[Fan]:
        info.context.ran.append("nodes")
        return [Fan(id=id_) for id_ in ids]

    @strawberry.field
    def search(self, info: Info, where: FanFilter) -> int:
        info.context.ran.append("search")
        return len(where.tags or [])

    @strawberry.field
    def missing(self) -> Fan | None:
        raise NotFound

    @strawberry.field
    def boom(self) -> str | None:
        raise RuntimeError("password=hunter2 in /site-packages/x.py")

    @strawberry.field
    def overflow(self) -> int | None:
        return 10**12

    @strawberry.field
    async def slow(self, info: Info, seconds: float = 5.0) -> str | None:
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            info.context.ran.append("cancelled")
            raise
        return "done"


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def append(self, info: Info, word: str) -> list[str]:
        await asyncio.sleep(0.01 if word == "first" else 0)
        if word == "bad":
            raise BadInput("This word is refused.", field=("word",))
        info.context.ran.append(word)
        return list(info.context.ran)


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def ticks(self, info: Info, count: int = 1, seconds: float = 0.0) -> AsyncGenerator[int, None]:
        try:
            for number in range(count):
                await asyncio.sleep(seconds)
                yield number
        finally:
            info.context.ran.append("closed")

    @strawberry.subscription
    async def fans_seen(self, info: Info) -> AsyncGenerator[Fan, None]:
        return News(info.context)  # type: ignore[return-value]

    @strawberry.subscription
    async def broken(self) -> AsyncGenerator[int, None]:
        for number in (1, 0):
            if not number:
                yield number
            raise RuntimeError("password=hunter2")


class News:
    """A feed of fans, each told to those alone who are allowed to hear it at that moment."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def admit(self, context: Context, rows: Sequence[Fan]) -> Sequence[Fan]:
        if "revoked" in context.ran:
            raise Forbidden
        return [row for row in rows if row.name != "hidden"]

    async def __aiter__(self) -> AsyncIterator[Sequence[Fan]]:
        for number in range(3):
            yield [Fan(id=strawberry.ID(str(number))), Fan(id=strawberry.ID("x"), name="hidden")]
        await asyncio.sleep(60)

    async def aclose(self) -> None:
        self._context.ran.append("closed")


schema = strawberry.Schema(Query, Mutation, Subscription)
core = schema._schema


class Toy:
    """An endpoint on the toy schema, the resolvers that ran, and what was logged."""

    def __init__(self, **options: Any) -> None:
        self.ran: list[str] = []
        self.events: list[dict[str, Any]] = []
        self.app = GraphQLEndpoint(
            schema,
            make_context=self._context,
            describe_caller=self._caller,
            options=Options(**options),
            log=self,
        )

    def info(self, event: str, **values: Any) -> None:
        """Say nothing of what went well."""

    def error(self, event: str, **values: Any) -> None:
        self.events.append({"event": event, **values})

    async def _context(self, request: Request) -> Context:
        token = request.headers.get("authorization", "Bearer staff").removeprefix("Bearer ")
        if token == "expired" or token in self.ran:
            raise Unauthenticated
        if token == "crash":
            raise RuntimeError("could not reach db at /secret/path")
        return Context(token, self.ran)

    @staticmethod
    def _caller(context: Context, _request: Request) -> Caller:
        service = context.caller == "service"
        return Caller(
            context.caller, max_page=1000 if service else None, introspection=context.caller == "schema-reader"
        )

    def client(self) -> httpx.AsyncClient:
        """Open a client on the endpoint, in process."""
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://scrm.test")

    async def ask(
        self, query: str, variables: dict[str, Any] | None = None, *, caller: str = "staff", **more: Any
    ) -> httpx.Response:
        """Post one operation."""
        headers = {"authorization": f"Bearer {caller}", **more.pop("headers", {})}
        async with self.client() as client:
            return await client.post("/graphql", json={"query": query, "variables": variables, **more}, headers=headers)


conformance = Toy(introspection=True, get_queries=True).app


def fragment_bomb(count: int, body: str = "...F{next} ...F{next}") -> str:
    """Write a document whose fragments double at each of `count` steps."""
    fragments = [f"fragment F{step} on Fan {{ {body.format(next=step + 1)} }}" for step in range(count)]
    return " ".join(["{ me { ...F0 } }", *fragments, f"fragment F{count} on Fan {{ id }}"])
