"""What a test that hangs waits for. Threads are shown by faulthandler, which ends the run; tasks are shown before."""

import asyncio
import gc
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest

# well before `faulthandler_timeout`
SECONDS = 300.0


class Stuck:
    """A plugin: when a test takes too long, what each of its tasks waits for is said, once."""

    def __init__(self, say: Callable[[str], object], seconds: float = SECONDS) -> None:
        self._say = say
        self._seconds = seconds

    @classmethod
    def to_stderr(cls, config: pytest.Config) -> "Stuck":
        """Return one that says it past whatever captures what tests write."""
        capture = config.pluginmanager.getplugin("capturemanager")

        def say(told: str) -> None:
            with capture.global_and_fixture_disabled():
                print(told, file=sys.stderr, flush=True)  # noqa: T201 (a log would be captured)

        return cls(say)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Watch one test with what it is set up by and torn down by."""
        timer = threading.Timer(self._seconds, self._tell, [item.nodeid])
        timer.daemon = True
        timer.start()
        try:
            return (yield)
        finally:
            timer.cancel()

    def _tell(self, test: str) -> None:
        lines = [f"{test} has taken {self._seconds:.0f} s and waits for:", *(line for one in tasks() for line in one)]
        self._say("\n".join(lines))


def tasks() -> Iterator[list[str]]:
    """Yield for each task that is not done its name and where it stands, from outside to inside."""
    for found in gc.get_objects():
        if isinstance(found, asyncio.Task) and not found.done():
            yield [f"- {found.get_name()}", *(f"    {place}" for place in places(found.get_coro()))]


def places(coroutine: Any) -> Iterator[str]:
    """Yield the file, line and function of a coroutine that waits, and of what it waits for."""
    while coroutine is not None:
        kind = next((kind for kind in ("cr", "gi", "ag") if hasattr(coroutine, f"{kind}_frame")), None)
        if kind is None:
            yield repr(coroutine)
            return
        frame = getattr(coroutine, f"{kind}_frame")
        if frame is not None:
            yield f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_qualname}"
        coroutine = getattr(coroutine, "gi_yieldfrom" if kind == "gi" else f"{kind}_await")
