"""What windows of a route's questions have said of a shift so far. How they are compared: ``routing/shift.py``."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from gateway.domain.guarantee import Shift

#: Questions (or judged answers) of a window: of fewer nothing is said, of more the newest are looked at.
WINDOW_MIN, WINDOW_MAX = 100, 1000
#: The chance of an alarm in a window where nothing has changed. Windows do not overlap.
FALSE_ALARM = 0.001
#: A shift is over with the first window that is at least so probable where nothing has changed.
OVER = 0.05


class Finding(msgspec.Struct, frozen=True):
    """What windows up to ``after`` said: shifted since, and why, or not."""

    after: datetime
    since: datetime | None = None
    reason: str | None = None

    def next(self, probability: float, reason: str, first: datetime, last: datetime) -> Finding:
        """After one more window, from ``first`` to ``last``. Between alarm and end it stays as it was."""
        if probability <= FALSE_ALARM:
            return Finding(last, self.since or first, reason)
        if probability > OVER:
            return Finding(last)
        return Finding(last, self.since, self.reason)


class Seen(msgspec.Struct, frozen=True):
    """What is known of one route: by its questions, and by what clients say of their answers."""

    questions: Finding
    answers: Finding
    n: int = 0
    share_unfamiliar: float = 0.0

    def shift(self) -> Shift:
        found = [one for one in (self.questions, self.answers) if one.since is not None]
        since = min((one.since for one in found if one.since is not None), default=None)
        return Shift(
            bool(found),
            None if since is None else since.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            self.n,
            round(self.share_unfamiliar, 4),
            "; ".join(one.reason or "" for one in found) or None,
        )
