"""Files of other systems, into a brand."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from sqlalchemy import select

from domain.database import Database
from domain.scope import system_scope
from domain.tables import table_of
from domain.tenancy.models import Brand, Group
from domain.vault import Vault
from server.commands.settings import CommandError, read_settings, run
from server.imports import (
    ORDER_COLUMNS,
    SHARE_COLUMNS,
    ColumnSet,
    Layout,
    Report,
    import_orders,
    import_shares,
)
from server.progress import Bars
from server.runtime import database_of
from server.settings import Settings

app = typer.Typer(no_args_is_help=True)
console = Console()
SHOWN = 20

File = Annotated[Path, typer.Argument(help="The file.")]
BrandName = Annotated[str, typer.Option("--brand", help="The brand: its code, GROUP/BRAND where codes meet.")]
Delimiter = Annotated[str, typer.Option(help="whitespace, comma, tab, semicolon or pipe.")]
Source = Annotated[str, typer.Option(help="The system the file comes from: its records are known by it.")]
Header = Annotated[bool, typer.Option("--header/--no-header", help="Whether the first line names the columns.")]
DateFormat = Annotated[str | None, typer.Option(help="How dates are written, such as %Y%m%d; ISO without it.")]
Encoding = Annotated[str, typer.Option(help="How the file is encoded.")]
TimeZone = Annotated[str | None, typer.Option(help="The zone of times without one; the brand's without it.")]
Rejects = Annotated[Path | None, typer.Option(help="A file for every rejected line with its reason.")]
Importer = Callable[[Database, Vault, int, Path, Layout, Bars, Path | None], Awaitable[Report]]


def _columns(columns: ColumnSet) -> str:
    return f"The file's columns in order, of {', '.join(sorted(columns.known))}; _ skips one."


@app.command()
def orders(  # noqa: PLR0913 (each is an option of the command)
    file: File,
    brand: BrandName,
    columns: Annotated[str, typer.Option(help=_columns(ORDER_COLUMNS))],
    source: Source,
    delimiter: Delimiter = "comma",
    header: Header = False,
    date_format: DateFormat = None,
    encoding: Encoding = "utf-8",
    time_zone: TimeZone = None,
    rejects: Rejects = None,
) -> None:
    """Record orders. Safe to run again: one that is there changes only where the file says something else."""
    layout = Layout(columns, source, delimiter, header, encoding, date_format, time_zone)
    _import(import_orders, file, brand, layout, rejects)


@app.command()
def shares(  # noqa: PLR0913
    file: File,
    brand: BrandName,
    columns: Annotated[str, typer.Option(help=_columns(SHARE_COLUMNS))],
    source: Source,
    delimiter: Delimiter = "comma",
    header: Header = False,
    date_format: DateFormat = None,
    encoding: Encoding = "utf-8",
    time_zone: TimeZone = None,
    rejects: Rejects = None,
    seed: Annotated[str | None, typer.Option(help="What the file calls the seed of every cascade.")] = None,
    local_names: Annotated[bool, typer.Option("--local-names", help="Fans are numbered anew in each cascade.")] = False,
) -> None:
    """Grow cascades by shares. Safe to run again: a share that is there stays as it is."""
    layout = Layout(columns, source, delimiter, header, encoding, date_format, time_zone, seed, local_names)
    _import(import_shares, file, brand, layout, rejects)


def _import(work: Importer, file: Path, brand: str, layout: Layout, rejects: Path | None) -> None:
    report = run(_run(read_settings(for_people=True), work, file, brand, layout, rejects))
    counts = f"{report.created:,} created, {report.updated:,} updated, {report.unchanged:,} unchanged"
    console.print(f"{report.total:,} rows: {counts}, {report.rejected:,} rejected", highlight=False)
    for rejection in sorted(report.rejections)[:SHOWN]:
        console.print(f"line {rejection.line}: {rejection.reason}", highlight=False, markup=False)
    if report.rejected > SHOWN and rejects is None:
        console.print(f"… and {report.rejected - SHOWN:,} more; --rejects FILE keeps all of them", highlight=False)


async def _run(
    settings: Settings, work: Importer, file: Path, brand: str, layout: Layout, rejects: Path | None
) -> Report:
    async with database_of(settings) as (database, vault):
        brand_id = await _brand_id(database, brand)
        with Bars(console) as bars:
            return await work(database, vault, brand_id, file, layout, bars, rejects)


async def _brand_id(database: Database, name: str) -> int:
    """Find a brand by its code, or by its group's and its own. Raises CommandError where it is not one brand."""
    group, _, code = name.rpartition("/")
    brands, groups = table_of(Brand), table_of(Group)
    statement = select(brands.c.id).join(groups, groups.c.id == brands.c.group_id).where(brands.c.code == code)
    statement = statement.where(groups.c.code == group) if group else statement
    async with database.reading(system_scope("import")) as session:
        found = (await session.execute(statement)).scalars().all()
    if len(found) != 1:
        raise CommandError(
            f"there is no brand {name}" if not found else f"several groups have a brand {name}: say GROUP/{name}"
        )
    return int(found[0])
