"""How long to wait before something that keeps ending is started again."""

from __future__ import annotations

from dataclasses import dataclass

BACKOFF_S_MAX = 5.0
STEADY_S = 10.0  # a child that lived this long begins again with the shortest backoff


@dataclass(slots=True)
class Backoff:
    """Of one child."""

    started_s: float
    failures: int = 0
    due_s: float | None = None  # when to start again, None while it runs

    def ended(self, now_s: float) -> None:
        """It ended; ``due_s`` is when it may be started again."""
        self.failures = 0 if now_s - self.started_s > STEADY_S else self.failures + 1
        self.due_s = now_s + min(BACKOFF_S_MAX, 0.1 * 2**self.failures)

    def started(self, now_s: float) -> None:
        """It runs."""
        self.started_s, self.due_s = now_s, None
