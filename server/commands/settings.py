"""What every command does first: read the settings, and turn an expected failure into one clear line."""

import asyncio
import signal
import sys
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import uvloop
from pydantic import ValidationError

from domain.errors import DomainError
from domain.vault import VaultError
from graph.errors import GraphEngineError
from server.settings import Settings, SettingsError
from server.telemetry import configure_logging

T = TypeVar("T")


class CommandError(Exception):
    """The command cannot be carried out; the message says why."""


def read_settings(*, for_people: bool = False) -> Settings:
    """Read the settings and configure logging by them. Raises SettingsError naming each setting that is wrong."""
    try:
        settings = Settings()
    except ValidationError as error:
        raise SettingsError("; ".join(_problem(found) for found in error.errors())) from error
    level = "WARNING" if for_people and settings.log_level == "INFO" else settings.log_level
    configure_logging(level=level, as_json=settings.log_json and not for_people)
    return settings


def _problem(found: Mapping[str, Any]) -> str:
    """Say what is wrong under the name the setting has in the environment, and never with its value."""
    says = str(found["msg"]).removeprefix("Value error, ")
    return f"SCRM_{str(found['loc'][0]).upper()}: {says}" if found["loc"] else says


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run asynchronous work on the fast event loop. SIGTERM ends it in order, as Ctrl-C does."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_stoppable(work))
    finally:
        signal.signal(signal.SIGTERM, before)


async def _stoppable(work: Coroutine[Any, Any, T]) -> T:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    signal.signal(signal.SIGTERM, lambda number, frame: loop.call_soon_threadsafe(task.cancel))
    return await work


@contextmanager
def guarded() -> Iterator[None]:
    """Say an expected failure in one line and exit with 1; Ctrl-C exits with 130, SIGTERM with 143."""
    try:
        yield
    except (CommandError, DomainError, GraphEngineError, SettingsError, VaultError) as error:
        print(f"scrm: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except asyncio.CancelledError:
        sys.exit(128 + signal.SIGTERM)
