"""Who was erased: the list, and erasing them again after a backup was restored."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.jobs.models import Job, JobKind, JobState
from domain.jobs.runner import Runner
from domain.privacy.erasing import Erased
from domain.privacy.handlers import handlers
from domain.privacy.models import Erasure
from domain.privacy.service import erase_again
from domain.scope import system_scope
from domain.tables import table_of
from server.commands.settings import CommandError, read_settings, run
from server.erasures import BadLine, ErasureFile, read, written
from server.runtime import database_of
from server.settings import Settings

app = typer.Typer(no_args_is_help=True)
console = Console()
ROWS_PER_READ = 1_000
PRINCIPAL = "command:erase-replay"
erasures, jobs = table_of(Erasure), table_of(Job)


@app.command()
def replay(
    files: Annotated[list[Path], typer.Argument(help="Lists of who was erased, of servers or of `scrm erase list`.")],
) -> None:
    """Erase those again whom a restored backup brought back. Run it before the restored database is used."""
    found = run(_replay(read_settings(for_people=True), files))
    console.print(f"{found:,} fans were back and are erased again.")


async def _replay(settings: Settings, files: list[Path]) -> int:
    async with database_of(settings) as (database, vault):
        erase = handlers(vault, ErasureFile(settings.erasure_file))[JobKind.ERASE_FAN]
        runner = Runner(database, {JobKind.ERASE_FAN: erase})
        found: set[int] = set()
        for erased in _lists(files):
            async with database.writing(system_scope("erase", group_id=erased.group_id)) as session:
                found.update(await erase_again(session, PRINCIPAL, erased))
        while await runner.run_once():
            pass
        async with database.reading(system_scope("erase")) as session:
            left = await _unfinished(session)
    if left:
        raise CommandError(f"{left:,} erasures wait or failed; the worker goes on with those that wait")
    return len(found)


def _lists(files: list[Path]) -> Iterator[Erased]:
    for file in files:
        try:
            with file.open("rb") as lines:
                yield from _said(file, lines)
        except OSError as error:
            raise CommandError(f"{file}: {error.strerror}") from error


def _said(file: Path, lines: Iterable[bytes]) -> Iterator[Erased]:
    """Yield the erasures of a file and say which lines are none. Raises CommandError for a file that holds none."""
    bad = good = 0
    for found in read(lines):
        if isinstance(found, BadLine):
            bad += 1
            console.print(f"[yellow]{file}: line {found.number} is no erasure, or a torn one, and was left out.")
        else:
            good += 1
            yield found
    if bad and not good:
        raise CommandError(f"{file}: there is no erasure in it")


async def _unfinished(session: AsyncSession) -> int:
    mine = (jobs.c.kind == JobKind.ERASE_FAN.value, jobs.c.state != JobState.DONE.value)
    return int((await session.execute(select(func.count()).where(*mine))).scalar_one())


@app.command(name="list")
def list_() -> None:
    """Print who was erased, one JSON object a line, as `scrm erase replay` reads it."""
    run(_list(read_settings(for_people=True)))


async def _list(settings: Settings) -> None:
    async with database_of(settings) as (database, _):
        after = 0
        while True:
            done = select(erasures).where(erasures.c.erased_at.is_not(None), erasures.c.job_id > after)
            async with database.reading(system_scope("erase")) as session:
                found = (await session.execute(done.order_by(erasures.c.job_id).limit(ROWS_PER_READ))).all()
            for row in found:
                erased = Erased(row.group_id, row.brand_id, row.fans, row.persons, row.erased_at)
                sys.stdout.write(written(erased).decode())
            if len(found) < ROWS_PER_READ:
                return
            after = found[-1].job_id
