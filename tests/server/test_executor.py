"""The switch: what runs the operations of both endpoints."""

from typing import Any, cast

import pytest

from schema.compiled import CompiledExecutor
from schema.lookahead import LookAhead
from server.app import create_app
from server.http.execution import execute_operation
from server.runtime import Runtime
from server.settings import Settings
from tests.world import World


def executors(world: World, settings: Settings, name: str) -> list[Any]:
    chosen = settings.model_copy(update={"executor": name})
    app = cast("Any", create_app(chosen, Runtime(chosen, world.services)))
    return [endpoint._pipeline._execute for endpoint in app.state.endpoints.values()]


async def test_the_reference_runs_alone(world: World, plain_settings: Settings) -> None:
    assert executors(world, plain_settings, "reference") == [execute_operation, execute_operation]


@pytest.mark.parametrize("name, looks_ahead", [("compiled", False), ("look_ahead", True)])
async def test_plans_run_with_the_look_ahead_or_without_it(
    world: World, plain_settings: Settings, name: str, looks_ahead: bool
) -> None:
    found = executors(world, plain_settings, name)

    assert [type(executor) for executor in found] == [CompiledExecutor, CompiledExecutor]
    assert [executor._reference for executor in found] == [execute_operation, execute_operation]
    owners = [getattr(executor._plan_root, "__self__", None) for executor in found]
    assert [isinstance(owner, LookAhead) for owner in owners] == [looks_ahead, looks_ahead]
    assert found[0]._operations is not found[1]._operations


def test_plans_with_the_look_ahead_are_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SCRM_EXECUTOR", raising=False)

    assert Settings(_env_file=None).executor == "look_ahead"
