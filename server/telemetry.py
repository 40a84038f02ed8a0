"""Structured logs without personal data."""

import asyncio
import logging
import sys
import traceback
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import orjson
import structlog

from domain import clock

# whatever slips into an event under one of these names is not written
_PRIVATE = frozenset(
    {"authorization", "email", "nickname", "openid", "params", "password", "phone", "secret", "token", "unionid"}
)


def _without_personal_data(logger: Any, method: str, event: dict[str, Any]) -> dict[str, Any]:
    return {name: "…" if name.lower() in _PRIVATE else value for name, value in event.items()}


# what these say is about the code; what other errors say may quote a value, and values are what people are called
_SAYS_NO_VALUE = (AttributeError, ImportError, NameError, NotImplementedError, RecursionError, TypeError)


def places(exc_info: Any) -> str:
    """Render an exception for the log: of each in its chain the kind, the text where it quotes no value, the frames."""
    lines: list[str] = []
    error: BaseException | None = exc_info[1]
    while error is not None:
        says = f": {error}" if isinstance(error, _SAYS_NO_VALUE) else ""
        lines.append(f"{type(error).__module__}.{type(error).__qualname__}{says}")
        frames = traceback.extract_tb(error.__traceback__)
        lines += [f"  {frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n".join(lines)


def configure_logging(*, level: str, as_json: bool) -> None:
    """Send the logs of every library through one renderer: JSON lines on stderr, or coloured text for people."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(places) if as_json else structlog.processors.format_exc_info,
        _without_personal_data,
    ]
    renderer = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    processors = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=processors))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # the driver logs statements with their parameters below this, and parameters hold what people are called
    for name in ("sqlalchemy", "aiosqlite", "neo4j", "asyncio", "casbin"):
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level]))
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers[:] = []
        logging.getLogger(name).propagate = name != "uvicorn.access"


class RequestLines:
    """Writes one JSON line for each request, those of a hundredth of a second together.

    What is written for every request does not go through all of logging: it would cost as much as the smallest answer.
    """

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._waiting: list[bytes] = []

    def __call__(self, *, event: str, endpoint: str, caller: str, operation: str, **facts: Any) -> None:
        """Write a line soon."""
        if not self._waiting:
            asyncio.get_running_loop().call_later(_SOON, self.flush)
        facts["timestamp"] = clock.now()
        begun = _begun(event, endpoint, caller, operation)
        self._waiting.append(begun + orjson.dumps(facts, option=_LINE)[1:])

    def flush(self) -> None:
        """Write what waits: at the end, nobody else would."""
        lines, self._waiting = self._waiting, []
        if lines:
            self._write(b"".join(lines))


@lru_cache(maxsize=1_000)
def _begun(event: str, endpoint: str, caller: str, operation: str) -> bytes:
    """Begin a line with what most requests say alike."""
    said = {"logger": "graphql", "event": event, "endpoint": endpoint, "caller": caller, "operation": operation}
    return orjson.dumps({**said, "level": "info"})[:-1] + b","


def to_stderr(lines: bytes) -> None:
    """Write bytes where the logs go, at once."""
    sys.stderr.buffer.write(lines)
    sys.stderr.buffer.flush()


_SOON = 0.01  # seconds
_LINE = orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z
