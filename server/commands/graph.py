"""Care of the graph."""

from typing import Annotated

import typer
from rich.console import Console

from domain.outbox.delivery import retry_dead
from domain.scope import system_scope
from graph.rebuild import rebuild as rebuild_graph
from graph.verify import Difference
from graph.verify import verify as verify_graph
from server.commands.settings import CommandError, read_settings, run
from server.progress import Bars
from server.runtime import database_of, graph_of
from server.settings import Settings

app = typer.Typer(no_args_is_help=True)
console = Console()
OneBrand = Annotated[int | None, typer.Option("--brand", help="The number of one brand; all of them without it.")]


@app.command()
def rebuild(
    brand: OneBrand = None,
    wipe: Annotated[bool, typer.Option("--wipe", help="Empty each brand's graph first.")] = False,
) -> None:
    """Make the graph equal to the tables, beside traffic and as often as wanted."""
    run(_rebuild(read_settings(for_people=True), brand, wipe))
    console.print("The graph is equal to the tables.")


async def _rebuild(settings: Settings, brand: int | None, wipe: bool) -> None:
    async with database_of(settings) as (database, _), graph_of(settings) as graph:
        with Bars(console) as bars:
            await rebuild_graph(
                database,
                graph,
                brand_id=brand,
                wipe=wipe,
                progress=lambda done, total, what: bars.advance(what, done, total),
            )


@app.command()
def retry() -> None:
    """Try again what the projector has given up after ten tries."""
    count = run(_retry(read_settings(for_people=True)))
    console.print(f"{count:,} dead letters will be tried again.")


async def _retry(settings: Settings) -> int:
    async with database_of(settings) as (database, _), database.writing(system_scope("graph-retry")) as session:
        return await retry_dead(session, "graph")


@app.command()
def verify(brand: OneBrand = None) -> None:
    """Compare the graph with the tables; exit with 1 where they differ."""
    differences = run(_verify(read_settings(for_people=True), brand))
    for difference in differences:
        console.print(difference)
    if differences:
        raise CommandError("the graph differs from the tables; `scrm graph rebuild` mends it")
    console.print("The graph is equal to the tables.")


async def _verify(settings: Settings, brand: int | None) -> list[Difference]:
    async with database_of(settings) as (database, _), graph_of(settings) as graph:
        return await verify_graph(database, graph, brand_id=brand)
