"""The application: two GraphQL endpoints, one for events and health, over what the process holds open."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import strawberry
from starlette.applications import Starlette
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from authz.authenticate import Audience, Authenticator
from authz.viewer import Anonymous, ServiceViewer
from resolvers.context import Context, Services
from schema import fan_schema, staff_schema
from schema.gate import Limits
from server import collector
from server.downloads import DOWNLOAD_PATH, REPORT_PATH, Downloads
from server.events import EventsEndpoint
from server.health import Health
from server.http import GraphQLEndpoint, Options
from server.http.pipeline import Caller
from server.http.request import Request
from server.http.sockets import SocketOptions
from server.http.throttle import Rate
from server.http.waiting import Known
from server.runtime import Runtime
from server.settings import Settings
from server.telemetry import RequestLines, to_stderr
from server.worker import work

STAFF_PAGE, SERVICE_PAGE = 100, 1000
INTROSPECT = "schema:introspect"


class _Callers:
    """Turns a request into a context, with the authentication of one endpoint."""

    def __init__(self, audience: Audience, services: Services) -> None:
        self._audience = audience
        self._services = services
        self._authenticator = Authenticator(services.database, services.tokens, services.templates)

    async def context(self, request: Request) -> Context:
        """Say who asks and what they may reach. Raises Unauthenticated."""
        viewer, scope = await self._authenticator.authenticate(
            request.headers.get("authorization"), self._audience, anonymous_allowed=self._audience == "fan"
        )
        size = SERVICE_PAGE if isinstance(viewer, ServiceViewer) else STAFF_PAGE
        return Context(viewer, scope, self._services, max_page=size)

    def remembered(self, request: Request) -> Known | None:
        """Say who asks if nothing changed since they were looked up, and what tells whether it did."""
        found = self._authenticator.remembered(request.headers.get("authorization"), self._audience)
        if found is None:
            return None
        return Known(Context(found.viewer, found.scope, self._services, max_page=SERVICE_PAGE), found.standing)

    @property
    def room(self) -> int:
        """Return how many statements may be one caller's now: none where they cannot tell who asks."""
        direct = self._services.database.direct
        return 0 if direct is None else direct.room

    def forget(self, request: Request) -> None:
        """Have the caller looked up the next time."""
        self._authenticator.forget(request.headers.get("authorization"))

    def describe(self, context: Context, request: Request) -> Caller:
        """Name the bucket a request spends from, and the limits of its caller."""
        viewer = context.viewer
        if isinstance(viewer, Anonymous):
            key, name = f"address:{request.client}", "anonymous"
        else:
            key, name = viewer.principal, None
        return Caller(key, max_page=context.max_page, introspection=context.scope.can(INTROSPECT), log_name=name)


def _alike(request: Request) -> str | None:
    """Say what alone decides whose a request is, where it says who that is."""
    return request.headers.get("authorization")


class Application(Starlette):
    """Starlette, with the way to the GraphQL endpoints cut short: its layers cost more than the smallest query does."""

    def __init__(self, endpoints: Mapping[str, ASGIApp], **more: Any) -> None:
        super().__init__(**more)
        self._endpoints = endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = self._endpoints.get(scope["path"]) if scope["type"] != "lifespan" else None
        await (super().__call__ if endpoint is None else endpoint)(scope, receive, send)


def create_app(settings: Settings, runtime: Runtime) -> Starlette:
    """Build the application on what the process holds open; the worker runs between its start and its end."""
    services = runtime.services
    health = Health(services)
    lines = RequestLines(to_stderr) if settings.log_json else None

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with _working(services, enabled=settings.worker):
            collector.tune()
            yield
        if lines is not None:
            lines.flush()

    staff, fans = _Callers("staff", services), _Callers("fan", services)
    endpoints = {
        "/graphql": _endpoint("staff", staff_schema(), staff, settings, lines),
        "/fan/graphql": _endpoint("fan", fan_schema(), fans, settings, lines),
        "/events": EventsEndpoint(
            {"staff": staff.context, "fan": fans.context},
            rate=Rate(settings.bucket_size, settings.bucket_restore),
            request_timeout=settings.request_seconds,
            log_requests=settings.log_requests,
        ),
    }
    app = Application(
        endpoints,
        routes=[
            Route("/livez", health.livez),
            Route("/readyz", health.readyz),
            Route(DOWNLOAD_PATH, Downloads(services).download, methods=["GET"]),
            Route(REPORT_PATH, Downloads(services).report, methods=["GET"]),
            # for the path a proxy has put before these
            *(Route(path, endpoint) for path, endpoint in endpoints.items()),
            *(WebSocketRoute(path, endpoint) for path, endpoint in endpoints.items()),
        ],
        lifespan=lifespan,
    )
    app.state.health = health
    app.state.endpoints = {
        path.encode(): endpoint for path, endpoint in endpoints.items() if isinstance(endpoint, GraphQLEndpoint)
    }
    return app


def _endpoint(
    name: str, schema: strawberry.Schema, callers: _Callers, settings: Settings, lines: RequestLines | None
) -> Any:
    options = Options(
        limits=Limits(cost=settings.max_cost),
        rate=Rate(settings.bucket_size, settings.bucket_restore),
        introspection=settings.allows_introspection,
        graphiql=settings.shows_graphiql,
        get_queries=settings.get_queries,
        request_timeout=settings.request_seconds,
        executor=settings.executor,
        name=name,
        log_requests=settings.log_requests and logging.getLogger().isEnabledFor(logging.INFO),
        sockets=SocketOptions(origins=settings.allowed_origins, connections=settings.socket_limit),
        request_lines=lines,
    )
    return GraphQLEndpoint(
        schema,
        make_context=callers.context,
        describe_caller=callers.describe,
        alike=_alike,
        memory=callers,
        options=options,
    )


@asynccontextmanager
async def _working(services: Services, *, enabled: bool) -> AsyncIterator[None]:
    stop = asyncio.Event()
    running = asyncio.create_task(work(services, stop)) if enabled else None
    try:
        yield
    finally:
        stop.set()
        if running is not None:
            await running
