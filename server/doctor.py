"""The examination of a deployment: each part that can be wrong, tried for real."""

import asyncio
import shutil
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncSession

import migrations
from authz.jwks import key_source
from authz.templates import PolicyUnavailable, Templates
from domain.database import Database
from domain.errors import DomainError
from domain.scope import system_scope
from domain.vault import Vault, VaultError
from domain.walls import policies
from graph.errors import GraphDirectoryInUse, GraphEngineError
from server.runtime import graph_of
from server.settings import Settings, SettingsError

FREE_BYTES = 1024**3
# an engine that has only just started takes its time for the first answer
GRAPH_SECONDS = 15.0
KNOWN = (DomainError, GraphEngineError, OSError, PolicyUnavailable, SettingsError, VaultError)


@dataclass(frozen=True)
class Finding:
    """What was looked at and what was found; a minor one leaves the deployment usable."""

    what: str
    says: str
    fine: bool = True
    minor: bool = False


Check = Callable[[Settings], Awaitable[list[Finding]]]


async def examine(settings: Settings) -> list[Finding]:
    """Look at everything, one thing after another, and report each."""
    checks: list[tuple[str, Check]] = [
        ("python", _python),
        ("settings", _settings),
        ("disk", _disk),
        ("policy", _policy),
        ("database", _database),
        ("graph", _graph),
    ]
    findings: list[Finding] = []
    for what, check in checks:
        try:
            findings += await check(settings)
        except KNOWN as error:
            findings.append(Finding(what, str(error) or type(error).__name__, fine=False))
        except Exception as error:  # noqa: BLE001 (whatever a part raises, it is the part that is wrong)
            # the text of what nobody foresaw may hold a password out of a URL
            findings.append(Finding(what, f"it cannot be examined: {type(error).__name__}", fine=False))
    return findings


async def _python(settings: Settings) -> list[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    return [Finding("python", version, fine=sys.version_info >= (3, 11))]


async def _settings(settings: Settings) -> list[Finding]:
    problems = settings.production_problems()
    found = [Finding("settings", problem, fine=False, minor=settings.is_development) for problem in problems]
    if settings.staff_jwks_url:
        await asyncio.to_thread(key_source(settings.staff_jwks_url, None))
    return [*found, Finding("environment", settings.environment.value)]


async def _disk(settings: Settings) -> list[Finding]:
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(settings.data_dir).free
    return [Finding("disk", f"{free / FREE_BYTES:.1f} GiB free at {settings.data_dir}", fine=free > FREE_BYTES)]


async def _policy(settings: Settings) -> list[Finding]:
    templates = Templates()
    templates.check()
    return [Finding("policy", f"{len(templates.roles())} built-in roles")]


async def _database(settings: Settings) -> list[Finding]:
    database = Database(settings.database, pool_size=1)
    try:
        async with database.reading(system_scope("doctor")) as session:
            connection = await session.connection()
            found = [_revision(await connection.run_sync(_revision_of))]
            if not found[0].fine:
                return found
            if database.dialect == "postgresql":
                found += [await _role(session), await _walls(session)]
            return [*found, await _master_key(session, Vault(settings.key_material))]
    finally:
        await database.dispose()


def _revision_of(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _revision(at: str | None) -> Finding:
    wanted = migrations.head()
    if at is None:
        return Finding("database", "it has no tables; run `scrm migrate`", fine=False)
    return Finding(
        "database", f"at {at}" if at == wanted else f"at {at}, needs {wanted}: run `scrm migrate`", fine=at == wanted
    )


async def _role(session: AsyncSession) -> Finding:
    query = "SELECT rolname, rolsuper OR rolbypassrls AS unbound FROM pg_roles WHERE rolname = current_user"
    row = (await session.execute(text(query))).one()
    says = f"{row.rolname} is not held by row-level security" if row.unbound else f"{row.rolname} is held by the walls"
    return Finding("database role", says, fine=not row.unbound)


async def _walls(session: AsyncSession) -> Finding:
    query = "SELECT relname FROM pg_class WHERE relrowsecurity AND relforcerowsecurity"
    standing = set((await session.execute(text(query))).scalars())
    missing = sorted(set(policies()) - standing)
    return Finding("row-level security", f"missing on {', '.join(missing)}" if missing else "on", fine=not missing)


async def _master_key(session: AsyncSession, vault: Vault) -> Finding:
    group_id = (await session.execute(text("SELECT min(group_id) FROM group_keys"))).scalar()
    if group_id is None:
        return Finding("master key", "there is no group yet to try it on")
    try:
        await vault.of_group(session, int(group_id))
    except VaultError as error:
        return Finding("master key", str(error), fine=False)
    return Finding("master key", "it opens the data keys")


async def _graph(settings: Settings) -> list[Finding]:
    try:
        async with graph_of(settings) as graph:
            await graph.read("RETURN 1 AS one", timeout=GRAPH_SECONDS)
    except GraphDirectoryInUse as held:
        return [Finding("graph", f"not tried: {held}", fine=False, minor=True)]
    return [Finding("graph", "Neo4j answers" if settings.graph_uri else "the embedded engine starts and answers")]
