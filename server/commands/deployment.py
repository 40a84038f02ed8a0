"""Care of a deployment: migrations, tokens for development, and a check that says what is wrong."""

from datetime import timedelta
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from alembic.util import CommandError as AlembicError
from asyncpg import PostgresError
from rich.console import Console
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

import migrations
from authz.tokens import Tokens
from domain.fans.queries import fans_by_id
from domain.scope import system_scope
from server import sdl as printed
from server.commands.settings import CommandError, read_settings, run
from server.doctor import examine
from server.runtime import database_of
from server.settings import Settings
from server.settings_pages import env_example, settings_page

console = Console()


def migrate(
    revision: Annotated[str, typer.Argument(help="The revision to go up to.")] = "head",
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether the migrations make what the models say.")
    ] = False,
) -> None:
    """Bring the database to a revision, as the role that owns its tables."""
    if check:
        _check_migrations()
        return
    settings = read_settings(for_people=True)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    try:
        _migrate(settings, revision)
    except (AlembicError, OSError, PostgresError, SQLAlchemyError) as error:
        raise CommandError(f"the database was not migrated: {' '.join(str(error).split())}") from error
    console.print(f"The database is at {migrations.current(settings.owner_database)}.")


def _migrate(settings: Settings, revision: str) -> None:
    migrations.upgrade(settings.owner_database, revision)
    role = make_url(settings.database).username
    if settings.migration_url and role and role != make_url(settings.owner_database).username:
        migrations.allow(settings.owner_database, role)


def _check_migrations() -> None:
    with TemporaryDirectory() as folder:
        url = f"sqlite+aiosqlite:///{folder}/scratch.db"
        migrations.upgrade(url)
        differences = migrations.differences(url)
        migrations.downgrade(url, "base")
    if differences:
        raise CommandError(f"the migrations lack {differences}")


def token(
    staff: Annotated[str | None, typer.Option(help="The subject of a staff member, such as hq@demo.")] = None,
    fan: Annotated[int | None, typer.Option(help="The number of a fan.")] = None,
    hours: Annotated[float, typer.Option(help="How long it lives.")] = 12,
) -> None:
    """Print an access token for development."""
    settings = read_settings(for_people=True)
    if not settings.is_development:
        raise CommandError("tokens are minted by hand in development only")
    if (staff is None) == (fan is None):
        raise CommandError("give either --staff or --fan")
    tokens, lifetime = Tokens(settings.tokens), timedelta(hours=hours)
    print(tokens.mint_staff(staff, lifetime) if staff else run(_fan_token(settings, tokens, fan or 0, lifetime)))  # noqa: T201


async def _fan_token(settings: Settings, tokens: Tokens, fan_id: int, lifetime: timedelta) -> str:
    scope = system_scope("token")
    async with database_of(settings) as (database, _), database.reading(scope) as session:
        fan = (await fans_by_id(session, scope, [fan_id])).get(fan_id)
    if fan is None:
        raise CommandError(f"there is no fan {fan_id}")
    return tokens.mint_fan(fan.id, fan.brand_id, fan.group_id, lifetime)


def doctor() -> None:
    """Check the deployment and say what is wrong; exit with 1 where something is."""
    findings = run(examine(read_settings(for_people=True)))
    for finding in findings:
        mark = "[green]ok[/]" if finding.fine else "[yellow]note[/]" if finding.minor else "[red]wrong[/]"
        console.print(f"{mark:>5}  {finding.what}: {finding.says}", highlight=False)
    if any(not finding.fine and not finding.minor for finding in findings):
        raise CommandError("this deployment needs attention")


def sdl(
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether what is printed is the code's and breaks nobody unsaid.")
    ] = False,
    release: Annotated[bool, typer.Option("--release", help="Also keep them as the release clients rely on.")] = False,
) -> None:
    """Print both schemas into schema/*.graphql."""
    if not check:
        printed.write(printed.PRINTED)
        if release:
            printed.write(printed.RELEASED)
        return
    if stale := printed.stale():
        raise CommandError(f"{', '.join(stale)} is not what the code says: run `make sdl`")
    if unsaid := printed.unannounced_changes():
        raise CommandError(f"the changelog does not name under Breaking: {' '.join(unsaid)}")


def settings(
    as_env: Annotated[bool, typer.Option("--env", help="As .env.example.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="As docs/settings.md.")] = False,
) -> None:
    """Print every setting with its default and what it is for."""
    if as_env == markdown:
        raise CommandError("give either --markdown or --env")
    print(env_example() if as_env else settings_page(), end="")  # noqa: T201
