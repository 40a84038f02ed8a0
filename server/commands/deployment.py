"""Care of a deployment: migrations, tokens for development, and a check that says what is wrong."""

from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console
from sqlalchemy.engine import make_url

import migrations
import schema
from authz.tokens import Tokens
from domain.fans.queries import fans_by_id
from domain.scope import system_scope
from schema import fan_schema, staff_schema
from server.commands.settings import CommandError, read_settings, run
from server.doctor import examine
from server.runtime import database_of
from server.settings import Settings

console = Console()
PRINTED = Path(schema.__file__).parent
SCHEMAS = {"staff": staff_schema, "fan": fan_schema}


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
    migrations.upgrade(settings.owner_database, revision)
    role = make_url(settings.database).username
    if settings.migration_url and role and role != make_url(settings.owner_database).username:
        migrations.allow(settings.owner_database, role)
    console.print(f"The database is at {migrations.current(settings.owner_database)}.")


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
        bool, typer.Option("--check", help="Only say whether the printed schemas are the code's.")
    ] = False,
) -> None:
    """Print both schemas into schema/*.graphql."""
    for name, build in SCHEMAS.items():
        path, text = PRINTED / f"{name}.graphql", build().as_str() + "\n"
        if not check:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            raise CommandError(f"{path.name} is not what the code says: run `make sdl`, and name what breaks clients")
