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
        self._maximum = float(rate.maximum)
        self._callers = callers
        self._clock = clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def spend(self, key: str, points: int) -> None:
        """Take points; raise Throttled, and take none, when there are too few."""
        bucket = self._filled(key)
        if points > bucket.level:
            raise Throttled(max(1, math.ceil((points - bucket.level) / self.rate.restore)))
        bucket.level -= points

    def refund(self, key: str, points: int) -> int:
        """Give back what the answer turned out not to need, and return how many points are left."""
        bucket = self._filled(key)
        bucket.level = min(bucket.level + points, self._maximum)
        return int(bucket.level)

    def available(self, key: str) -> int:
        """Return how many points are left."""
        return self.rate.maximum if key not in self._buckets else int(self._filled(key).level)

    def _filled(self, key: str) -> "_Bucket":
        """Return a caller's bucket with what came back until now."""
        now, found = self._clock(), self._buckets.get(key)
        if found is not None:
            self._buckets.move_to_end(key)
            found.level = min(found.level + (now - found.then) * self.rate.restore, self._maximum)
            found.then = now
            return found
        made = self._buckets[key] = _Bucket(self._maximum, now)
        if len(self._buckets) > self._callers:
            self._buckets.popitem(last=False)
        return made


@dataclass(slots=True)
class _Bucket:
    level: float
    then: float
