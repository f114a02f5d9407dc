"""How often the gates of a route's cascade have lately accepted a deployment's answers, in this process.

The window is bounded by time, so that one that is passed over because its answers were not accepted is soon asked
again, and by count. All times are in seconds on one clock of the caller's choice that never runs backwards.
"""

from __future__ import annotations

from collections import deque

WINDOW_S = 600.0
OBSERVATIONS_MAX = 200
#: Fewer say nothing: what is predicted of the deployment stands in.
MIN_OBSERVATIONS = 20


class AcceptanceBoard:
    """What the gates said, by route and deployment. One board per process, like the circuits."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], deque[tuple[float, bool]]] = {}

    def observed(self, route: str, deployment: str, now_s: float, *, is_accepted: bool) -> None:
        """The gates have judged an answer."""
        seen = self._seen.setdefault((route, deployment), deque(maxlen=OBSERVATIONS_MAX))
        seen.append((now_s, is_accepted))

    def share(self, route: str, deployment: str, now_s: float) -> float | None:
        """The share that was accepted, ``None`` for too few observations."""
        seen = self._seen.get((route, deployment))
        if seen is None:
            return None
        while seen and seen[0][0] <= now_s - WINDOW_S:
            seen.popleft()
        if not seen:
            del self._seen[route, deployment]
            return None
        return sum(is_accepted for _, is_accepted in seen) / len(seen) if len(seen) >= MIN_OBSERVATIONS else None
