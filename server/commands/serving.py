"""Serving: the server, the worker alone, and the demo."""

import asyncio
import signal
from contextlib import suppress
from typing import Annotated

import typer
from rich.console import Console
from starlette.applications import Starlette

import migrations
from domain.outbox.upkeep import lag
from domain.scope import system_scope
from graph.projector import Projector
from resolvers.context import Services
from server.app import create_app
from server.commands.settings import CommandError, read_settings, run
from server.demo import DemoResult, is_loaded, load
from server.progress import Bars
from server.runtime import runtime_of
from server.settings import Settings
from server.stopping import StoppableServer
from server.worker import work

console = Console()


def serve() -> None:
    """Serve /graphql, /fan/graphql, /livez and /readyz until told to stop."""
    run(_serve(read_settings()))


async def _serve(settings: Settings) -> None:
    async with runtime_of(settings) as runtime:
        await _answer(settings, create_app(settings, runtime))


async def _answer(settings: Settings, app: Starlette) -> None:
    server = StoppableServer(settings, app)
    with suppress(SystemExit):  # uvicorn's way out where it cannot listen
        await server.serve()
    if not server.started:
        raise CommandError("the server did not start; the log says why")


def worker() -> None:
    """Carry changes to the graph until told to stop; run it where servers have SCRM_WORKER off."""
    settings = read_settings()
    run(_work(settings))


async def _work(settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with runtime_of(settings) as runtime:
        await work(runtime.services, stop)


def demo(
    scale: Annotated[float, typer.Option(hidden=True, min=0.001, max=1, help="The part of the 20,000 fans.")] = 1.0,
) -> None:
    """Migrate, load the demo group where it is not there yet, print tokens and serve."""
    settings = read_settings(for_people=True)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    migrations.upgrade(settings.owner_database)
    run(_demo(settings, scale))


async def _demo(settings: Settings, scale: float) -> None:
    async with runtime_of(settings) as runtime:
        services = runtime.services
        if not await is_loaded(services.database):
            console.print(f"Loading the demo group: 3 brands, 12 dealers, {20_000 * scale:,.0f} fans.")
        with Bars(console) as bars:
            result = await load(services.database, services.vault, bars, scale=scale)
            await _project(services, bars)
        _show(settings, services, result)
        await _answer(settings, create_app(settings, runtime))
    console.print("Stopped. The data is kept; `make demo` continues with it.")


async def _project(services: Services, bars: Bars) -> None:
    """Carry what is pending to the graph before anybody asks it."""
    scope = system_scope("demo")
    async with services.database.reading(scope) as session:
        left = (await lag(session, scope, "graph")).pending
    projector, done = Projector(services.database, services.graph), 0
    while left:
        sent = await projector.run_once()
        if not sent:
            break
        done += sent
        async with services.database.reading(scope) as session:
            left = (await lag(session, scope, "graph")).pending
        bars.advance("graph", done, done + left)


def _show(settings: Settings, services: Services, result: DemoResult) -> None:
    """Print who can ask, where, and the line to paste into GraphiQL's headers."""
    base, tokens = f"http://{settings.host}:{settings.port}", services.tokens
    staff, fans = f"{base}/graphql", f"{base}/fan/graphql"
    fan = tokens.mint_fan(result.fan.fan_id, result.fan.brand_id, result.fan.group_id)
    callers = [(who, staff, tokens.mint_staff(subject)) for who, subject in result.staff.items()]
    for who, where, token in [*callers, ("a fan", fans, fan)]:
        console.print(f"\n[bold]{who}[/] at {where}", highlight=False)
        console.print(f'{{"Authorization": "Bearer {token}"}}', soft_wrap=True, highlight=False, markup=False)
    console.print(f"\nGraphiQL: {staff} for staff, {fans} for a fan; paste a line above as headers.", highlight=False)
    console.print("Ctrl-C stops everything.")
