"""The time of Redis without asking it: the clock by which the ledger and the windows of budgets go on every replica."""

from __future__ import annotations

import time
from collections.abc import Callable

_ROUND_TRIP_S_MAX = 0.05  # the time of Redis is known to half of this
_STALE_S = 60.0  # after which a worse reading is better than none


class RedisClock:
    """Counts on from the last reading by this machine's monotonic clock; before any reading, its own time of day."""

    def __init__(
        self, *, monotonic_s: Callable[[], float] = time.monotonic, unix_s: Callable[[], float] = time.time
    ) -> None:
        self._monotonic_s = monotonic_s
        self._unix_s = unix_s
        self._offset_s: float | None = None
        self._read_at_s = 0.0

    def unix_s(self) -> float:
        """Seconds since 1970."""
        return self._unix_s() if self._offset_s is None else self._monotonic_s() + self._offset_s

    def unix_ms(self) -> int:
        """Milliseconds since 1970."""
        return int(self.unix_s() * 1000)

    def now_s(self) -> float:
        """The monotonic clock, for the ``asked_at_s`` of a reading."""
        return self._monotonic_s()

    def read(self, redis_us: int, asked_at_s: float) -> None:
        """Redis said that it is ``redis_us`` (microseconds since 1970), having been asked at ``asked_at_s``."""
        now_s = self._monotonic_s()
        if now_s - asked_at_s > _ROUND_TRIP_S_MAX and self._offset_s is not None and now_s - self._read_at_s < _STALE_S:
            return
        self._offset_s = redis_us / 1_000_000 - (asked_at_s + now_s) / 2
        self._read_at_s = now_s
