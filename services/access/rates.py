"""How many calls a principal may make: a token bucket each."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from wordspot.services.access.principals import Principal
from wordspot.services.errors import Overloaded

MAX_PRINCIPALS = 10_000  # of which the rate is remembered
BURST_S = 10.0  # of calls that may be made at once


class CallRates:
    """Counts the calls of principals.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # calls left, when counted

    def take(self, principal: Principal) -> None:
        """Counts a call. Raises Overloaded, with the delay until the next is allowed."""
        if not principal.calls_per_minute:
            return
        rate = principal.calls_per_minute / 60
        most = max(1.0, rate * BURST_S)
        now = self._clock()
        with self._lock:
            left, counted = self._buckets.pop(principal.id, (most, now))
            left = min(most, left + (now - counted) * rate)
            allowed = left >= 1
            self._buckets[principal.id] = (left - allowed, now)
            if len(self._buckets) > MAX_PRINCIPALS:
                self._buckets.popitem(last=False)
        if not allowed:
            raise Overloaded(
                f"{principal.id} may make {principal.calls_per_minute:,} calls a minute", (1 - left) / rate
            )
