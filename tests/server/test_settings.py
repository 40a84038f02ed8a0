"""Settings: where they come from, what production refuses, and how a mistake is told."""

import base64
import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from server.settings import Settings, SettingsError
from tests.server.deployed import Deployment
from tests.world import master_key_text

PRODUCTION: dict[str, Any] = {
    "environment": "production",
    "master_key": master_key_text(),
    "signing_secret": "s" * 32,
    "staff_jwks_url": "https://login.example.com/keys",
    "database_url": "postgresql://scrm:secret@db/scrm",
}


@pytest.fixture(autouse=True)
def own_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let nothing of the machine's settings in."""
    for name in [name for name in os.environ if name.startswith("SCRM_") and "TEST" not in name]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_production_takes_settings_that_are_whole() -> None:
    settings = Settings(**PRODUCTION)

    assert settings.production_problems() == []
    assert settings.database == "postgresql+asyncpg://scrm:secret@db/scrm"
    assert not settings.allows_development_login
    assert not settings.shows_graphiql
    assert not settings.allows_introspection


@pytest.mark.parametrize(
    "name,value",
    [
        ("master_key", ""),
        ("signing_secret", ""),
        ("signing_secret", "s" * 31),
        ("staff_jwks_url", ""),
        ("staff_jwks_url", "http://login.example.com/keys"),
        ("development_login", True),
        ("database_url", ""),
        ("database_url", "sqlite:///scrm.db"),
    ],
)
def test_production_refuses_what_would_be_a_hole_and_names_it(name: str, value: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(**PRODUCTION | {name: value})

    (problem,) = refused.value.errors()
    assert f"SCRM_{name.upper()}" in problem["msg"]
    assert problem["msg"].count("SCRM_") == 1


def test_the_environment_wins_over_the_file_in_the_working_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("SCRM_PORT=9001\nSCRM_HOST=0.0.0.0\nUNKNOWN=1\n")
    monkeypatch.setenv("SCRM_PORT", "9002")

    settings = Settings()

    assert (settings.host, settings.port) == ("0.0.0.0", 9002)  # noqa: S104


def test_a_development_deployment_makes_its_own_secrets_once_for_its_owner_alone(tmp_path: Path) -> None:
    first, second = (Settings(data_dir=tmp_path / "data") for _ in range(2))

    assert first.key_material == second.key_material
    assert first.tokens.hs256_secret == second.tokens.hs256_secret
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "data").iterdir()} == {0o600}


@pytest.mark.parametrize("key", ["not base64!", base64.b64encode(b"short").decode()])
def test_a_master_key_that_is_none_is_named(key: str) -> None:
    settings = Settings(master_key=key)

    with pytest.raises(SettingsError, match="SCRM_MASTER_KEY"):
        _ = settings.key_material


async def test_a_command_tells_every_mistake_in_one_line_without_a_value(deployment: Deployment) -> None:
    wrong = deployment.having(
        SCRM_PORT="99999",
        SCRM_LOG_LEVEL="LOUD",
        SCRM_DATABASE_URL="postgresql:/scrm:hunter2@db",
        SCRM_GRAPH_HEAP="much",
        SCRM_DEVELOPMENT_LOGIN="perhaps",
    )

    served, examined = await wrong.each(["serve"], ["doctor"])

    for finished in (served, examined):
        assert finished.code == 1
        assert finished.out == ""
        assert finished.err.startswith("scrm: SCRM_")
        assert finished.err.count("\n") == 1
        for name in ("PORT", "LOG_LEVEL", "DATABASE_URL", "GRAPH_HEAP", "DEVELOPMENT_LOGIN"):
            assert f"SCRM_{name}: " in finished.err
        assert "hunter2" not in finished.err


async def test_no_command_starts_in_production_with_the_settings_of_development(deployment: Deployment) -> None:
    wrong = deployment.having(
        SCRM_ENVIRONMENT="production", SCRM_MASTER_KEY="", SCRM_SIGNING_SECRET="weak", SCRM_DATABASE_URL="sqlite:///x"
    )

    commands = ["serve"], ["worker"], ["demo"], ["doctor"], ["token", "--staff", "HQ1"]
    for finished in await wrong.each(*commands):
        assert finished.code == 1
        assert finished.err.count("\n") == 1
        for name in ("MASTER_KEY", "SIGNING_SECRET", "STAFF_JWKS_URL", "DATABASE_URL"):
            assert f"SCRM_{name} " in finished.err
