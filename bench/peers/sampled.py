"""Our server, which notes every few milliseconds of CPU what it is at: python -m bench.peers.sampled FILE.

SIGUSR1 writes what was noted since the last time to the file. The clock stands still while the server waits.
"""

import json
import signal
import sys
from collections import Counter
from collections.abc import Coroutine, Generator
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any
from unittest.mock import patch

from asyncpg import protocol

from server.commands.serving import serve
from server.commands.settings import guarded

SECONDS = 0.002


class Sampler:
    """The stacks noted, each from the innermost frame outwards as `file:function`."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._seen: Counter[tuple[str, ...]] = Counter()

    def start(self) -> None:
        """Begin to look."""
        signal.signal(signal.SIGPROF, self._look)
        signal.signal(signal.SIGUSR1, self._write)
        signal.setitimer(signal.ITIMER_PROF, SECONDS, SECONDS)

    def _look(self, number: int, frame: FrameType | None) -> None:
        stack: list[str] = []
        while frame is not None:
            stack.append(f"{frame.f_code.co_filename}:{frame.f_code.co_name}")
            frame = frame.f_back
        self._seen[tuple(stack)] += 1

    def _write(self, number: int, frame: FrameType | None) -> None:
        seen, self._seen = self._seen, Counter()
        draft = self._file.with_suffix(".draft")
        draft.write_text(json.dumps([[count, *stack] for stack, count in seen.items()]))
        draft.rename(self._file)


class Protocol(protocol.Protocol):
    """asyncpg's protocol with a frame of Python around its C.

    Python handles a signal when C returns to it. The driver's C returns to the event loop's C, so that its time would
    be counted at whatever piece of Python runs next.
    """

    def data_received(self, data: object) -> None:
        """Read what PostgreSQL sent."""
        super().data_received(data)

    async def bind_execute(self, *given: Any, **named: Any) -> Any:
        """Send a prepared statement."""
        return await _Driven(super().bind_execute(*given, **named))

    async def query(self, query: Any, timeout: Any) -> Any:
        """Send a statement."""
        return await _Driven(super().query(query, timeout))


class _Driven:
    """A coroutine of C, driven from Python."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._coroutine = coroutine

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self._coroutine.__await__()
        step = partial(steps.send, None)
        while True:
            try:
                waited = step()
            except StopIteration as end:
                return end.value
            try:
                yield waited
                step = partial(steps.send, None)
            except BaseException as error:  # noqa: BLE001 (it is the coroutine's, which raises it again)
                step = partial(steps.throw, error)


def main() -> None:
    """Serve under the clock."""
    patch.object(protocol, "Protocol", Protocol).start()
    Sampler(Path(sys.argv[1])).start()
    with guarded():
        serve()


if __name__ == "__main__":
    main()
