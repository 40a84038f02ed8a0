"""The doctor tries each part of a deployment for real, and names the one that is wrong."""

import base64
import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy.engine import make_url

from domain.database import Database
from domain.scope import system_scope
from server.doctor import Finding, examine
from server.settings import Settings
from tests.conftest import CLUSTER, GraphServer
from tests.server.deployed import Deployment
from tests.services import postgres
from tests.world import NOWHERE, World, master_key_text

OTHER_KEY = base64.b64encode(b"another master key of 32 bytes!!").decode()


@pytest.fixture
def good(database_url: str, graph_server: GraphServer, tmp_path: Path) -> dict[str, Any]:
    """Return the settings of a deployment on world W in which nothing is wrong."""
    user, password = graph_server.auth
    named = {"graph_uri": graph_server.uri, "graph_user": user, "graph_database": graph_server.database}
    keys = {"master_key": SecretStr(master_key_text()), "graph_password": SecretStr(password)}
    return {"data_dir": tmp_path, "database_url": database_url, **named, **keys}


async def wrong_with(settings: dict[str, Any]) -> dict[str, str]:
    """Return what is wrong, by what was looked at."""
    findings = await examine(Settings(_env_file=None, **settings))
    return {finding.what: finding.says for finding in findings if not finding.fine and not finding.minor}


async def test_nothing_is_wrong_with_a_good_deployment(good: dict[str, Any], world: World) -> None:
    findings = await examine(Settings(_env_file=None, **good))

    assert [finding for finding in findings if not finding.fine and not finding.minor] == []
    assert Finding("master key", "it opens the data keys") in findings
    assert {"python", "disk", "policy", "database", "graph"} <= {finding.what for finding in findings}


async def test_it_finds_another_master_key(good: dict[str, Any], world: World) -> None:
    found = await wrong_with(good | {"master_key": SecretStr(OTHER_KEY)})

    assert found == {"master key": "personal data cannot be opened with this master key"}


async def test_it_finds_a_master_key_that_is_none(good: dict[str, Any], world: World) -> None:
    assert "SCRM_MASTER_KEY" in (await wrong_with(good | {"master_key": SecretStr("x")}))["database"]


async def test_it_finds_a_database_without_tables(good: dict[str, Any], tmp_path: Path) -> None:
    found = await wrong_with(good | {"database_url": f"sqlite:///{tmp_path / 'empty.db'}"})

    assert found == {"database": "it has no tables; run `scrm migrate`"}


async def test_it_finds_a_database_that_was_not_migrated_to_the_end(
    good: dict[str, Any], owner_database: Database
) -> None:
    async with owner_database.writing(system_scope("test")) as session:
        await (await session.connection()).exec_driver_sql("UPDATE alembic_version SET version_num = '0000'")

    found = await wrong_with(good)

    assert list(found) == ["database"]
    assert found["database"].startswith("at 0000, needs ")


@pytest.mark.parametrize("url", ["sqlite:////nowhere/at/all.db", "postgresql://scrm:hunter2@127.0.0.1:9/scrm"])
async def test_it_finds_a_database_that_is_not_there_and_tells_no_password(good: dict[str, Any], url: str) -> None:
    found = await wrong_with(good | {"database_url": url})

    assert list(found) == ["database"]
    assert "hunter2" not in found["database"]


async def test_it_finds_a_graph_that_is_not_there_or_refuses_the_password(good: dict[str, Any]) -> None:
    gone = await wrong_with(good | {"graph_uri": NOWHERE})
    denied = await wrong_with(good | {"graph_password": SecretStr("wrong")})

    assert list(gone) == list(denied) == ["graph"]


@pytest.mark.postgresql
async def test_it_finds_a_role_that_no_wall_holds(good: dict[str, Any], world: World) -> None:
    admin = make_url(os.environ[CLUSTER]).set(database=make_url(good["database_url"]).database)

    found = await wrong_with(good | {"database_url": admin.render_as_string(hide_password=False)})

    assert found == {"database role": f"{postgres.ADMIN} is not held by row-level security"}


@pytest.mark.postgresql
async def test_it_finds_a_wall_that_was_taken_down(good: dict[str, Any], world: World) -> None:
    name = make_url(good["database_url"]).database
    assert name is not None
    owner = Database(postgres.Cluster(os.environ[CLUSTER]).owner_url(name))
    async with owner.writing(system_scope("test")) as session:
        await (await session.connection()).exec_driver_sql("ALTER TABLE fans NO FORCE ROW LEVEL SECURITY")
    await owner.dispose()

    assert await wrong_with(good) == {"row-level security": "missing on fans"}


@pytest.mark.slow
async def test_the_command_ends_with_0_where_all_is_well_and_else_names_what_is_wrong(
    deployment: Deployment, world: World
) -> None:
    well = await deployment.scrm("doctor")
    ill = await deployment.having(SCRM_MASTER_KEY=OTHER_KEY).scrm("doctor")

    assert (well.code, well.err) == (0, "")
    assert "wrong" not in well.out
    assert (ill.code, ill.err) == (1, "scrm: this deployment needs attention\n")
    assert [line for line in ill.out.splitlines() if line.startswith("wrong")] == [
        "wrong  master key: personal data cannot be opened with this master key"
    ]
