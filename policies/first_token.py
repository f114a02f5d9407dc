"""How long deployments have lately taken to their first token: the 95th percentile of a sliding window.

The window is bounded by time, so that what was slow is soon forgotten and may be tried again, and by count, so that a
busy deployment costs no more than a quiet one. It is kept in order besides: the percentile is a look at one place, a
new observation a binary search. The percentile is the nearest rank: the smallest observation that 95 % do not exceed.
All times are in seconds on one clock of the caller's choice that never runs backwards.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque

WINDOW_S = 600.0
OBSERVATIONS_MAX = 200
#: Fewer say nothing: one request a minute is enough.
MIN_OBSERVATIONS = 10
_PERCENT = 95


class Window:
    """The observations of one deployment."""

    __slots__ = ("_by_age", "_by_size")

    def __init__(self) -> None:
        self._by_age: deque[tuple[float, float]] = deque()
        self._by_size: list[float] = []

    def __len__(self) -> int:
        return len(self._by_size)

    def add(self, observed_s: float, now_s: float) -> None:
        """Take one observation in, and let go of the oldest where there are too many."""
        self.expire(now_s)
        if len(self._by_age) == OBSERVATIONS_MAX:
            self._forget_oldest()
        self._by_age.append((now_s, observed_s))
        insort(self._by_size, observed_s)

    def expire(self, now_s: float) -> None:
        """Let go of what is older than the window."""
        while self._by_age and self._by_age[0][0] <= now_s - WINDOW_S:
            self._forget_oldest()

    def p95_s(self) -> float | None:
        """The percentile, ``None`` for too few observations."""
        count = len(self._by_size)
        if count < MIN_OBSERVATIONS:
            return None
        return self._by_size[-(-count * _PERCENT // 100) - 1]

    def _forget_oldest(self) -> None:
        _, observed_s = self._by_age.popleft()
        del self._by_size[bisect_left(self._by_size, observed_s)]


class FirstTokenBoard:
    """The windows of all deployments of routes, by name. One board per process, like the circuits."""

    def __init__(self) -> None:
        self._windows: dict[str, Window] = {}

    def observed(self, name: str, first_token_s: float, now_s: float) -> None:
        """The deployment has begun a stream."""
        window = self._windows.get(name)
        if window is None:
            window = self._windows[name] = Window()
        window.add(first_token_s, now_s)

    def p95_s(self, name: str, now_s: float) -> float | None:
        """The percentile of what was seen lately, ``None`` where that is too little."""
        window = self._windows.get(name)
        if window is None:
            return None
        window.expire(now_s)
        if not window:
            del self._windows[name]
        return window.p95_s()
