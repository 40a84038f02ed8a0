"""Answer at once while the graph engine is known to be down."""

import time

from graph.errors import GraphUnavailable

OPEN_SECONDS = 2.0


class Breaker:
    """Refuse calls for a while after a failure, then let one call through to try again."""

    def __init__(self) -> None:
        self._open_until = 0.0
        self._tripped = False
        self._last_success = 0.0

    def admit(self) -> float:
        """Return the time of admission; raise GraphUnavailable while the engine is known to be down."""
        now = time.monotonic()
        if now < self._open_until:
            raise GraphUnavailable
        if self._tripped:
            # This call is the trial; the others keep being refused until it has reported.
            self._open_until = now + OPEN_SECONDS
        return now

    def succeed(self) -> None:
        """Report an answer from the engine."""
        self._tripped = False
        self._open_until = 0.0
        self._last_success = time.monotonic()

    def fail(self) -> None:
        """Report that the engine cannot be reached."""
        self._tripped = True
        self._open_until = time.monotonic() + OPEN_SECONDS

    def fail_unless_alive_since(self, admitted: float) -> None:
        """Report a timeout: a slow query must not darken an engine that answered others meanwhile."""
        if self._last_success < admitted:
            self.fail()
