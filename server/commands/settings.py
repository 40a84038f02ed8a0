"""What every command does first: read the settings, and turn an expected failure into one clear line."""

import asyncio
import sys
from collections.abc import Coroutine, Iterator
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
        lines = [f"{'.'.join(map(str, e['loc'])) or 'settings'}: {e['msg']}" for e in error.errors()]
        raise SettingsError("; ".join(lines)) from error
    level = "WARNING" if for_people and settings.log_level == "INFO" else settings.log_level
    configure_logging(level=level, as_json=settings.log_json and not for_people)
    return settings


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run asynchronous work on the fast event loop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


@contextmanager
def guarded() -> Iterator[None]:
    """Say an expected failure in one line and exit with 1; Ctrl-C exits with 130."""
    try:
        yield
    except (CommandError, DomainError, GraphEngineError, SettingsError, VaultError) as error:
        print(f"scrm: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
