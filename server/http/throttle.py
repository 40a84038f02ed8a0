"""A leaky bucket of cost points per caller, in this process."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from domain.errors import RateLimited


@dataclass(frozen=True, slots=True)
class Rate:
    """Points a caller may hold, and how many come back a second."""

    maximum: int = 40_000
    restore: int = 2_000


class Throttled(RateLimited):
    """A caller without enough points; `retry_after` is in whole seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"Too many points spent; try again in {retry_after} s.")
        self.retry_after = retry_after


class Throttle:
    """Buckets of the callers seen last; one forgotten is full again, so the bound must exceed the active callers."""

    def __init__(self, rate: Rate, callers: int = 100_000, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate = rate
        self._callers = callers
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def spend(self, key: str, points: int) -> None:
        """Take points; raise Throttled, and take none, when there are too few."""
        level, now = self._level(key)
        if points > level:
            self._put(key, level, now)
            raise Throttled(max(1, math.ceil((points - level) / self.rate.restore)))
        self._put(key, level - points, now)

    def refund(self, key: str, points: int) -> None:
        """Give back what the answer turned out not to need."""
        level, now = self._level(key)
        self._put(key, min(level + points, float(self.rate.maximum)), now)

    def available(self, key: str) -> int:
        """Return how many points are left."""
        return int(self._level(key)[0])

    def _level(self, key: str) -> tuple[float, float]:
        now = self._clock()
        bucket = self._buckets.get(key)
        if bucket is None:
            return float(self.rate.maximum), now
        level, then = bucket
        return min(level + (now - then) * self.rate.restore, float(self.rate.maximum)), now

    def _put(self, key: str, level: float, now: float) -> None:
        self._buckets[key] = (level, now)
        self._buckets.move_to_end(key)
        if len(self._buckets) > self._callers:
            self._buckets.popitem(last=False)
