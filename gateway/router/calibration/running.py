"""Asks for the answers that are not there yet: a few at once, each failed one once more, ending when it is no use."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeAlias

from gateway.router.calibration.journal import Answered, Journal
from gateway.router.calibration.lines import key_of

AT_ONCE = 4
_FAILED_SHARE_MAX = 0.1
_LIMITED_TRIES = 6  # of a call that only a limit keeps from being answered
_PAUSE_S, _PAUSE_S_MAX = 1.0, 60.0
_TOLD_AT_LEAST, _TOLD_EVERY = 10, 20  # calls, parts of the whole

Body: TypeAlias = Mapping[str, object]
Ask: TypeAlias = Callable[[Body], Answered]


class CallFailed(Exception):
    """No answer. ``is_final``: the same call would fail again; ``is_hopeless``: all others would, too.

    ``retry_after_s``: a limit is in the way, and for how long.
    """

    def __init__(
        self, reason: str, *, is_final: bool = False, is_hopeless: bool = False, retry_after_s: float | None = None
    ) -> None:
        super().__init__(reason)
        self.is_final, self.is_hopeless, self.retry_after_s = is_final, is_hopeless, retry_after_s


class Abandoned(Exception):
    """Too many calls failed; the message says why they did. What was answered is kept."""


def run(
    bodies: Sequence[Body],
    ask: Ask,
    journal: Journal,
    *,
    pause: Callable[[threading.Event, float], object] = threading.Event.wait,
    told: Callable[[int, int], None],
) -> dict[str, str]:
    """Answers into the journal; the reasons of those that failed, by key. Raises Abandoned.

    ``pause``: waits until the event or so many seconds. ``told``: hears now and then how many of how many are done.
    When it is interrupted no further call begins, and those under way are waited for and kept: they are paid for.
    """
    waiting = list({key_of(body): body for body in bodies if journal.get(body) is None}.values())
    failed: dict[str, str] = {}
    stopping = threading.Event()
    step = max(_TOLD_AT_LEAST, len(waiting) // _TOLD_EVERY)

    def answer(body: Body) -> None:
        if not stopping.is_set():
            journal.keep(_asked(body, ask, lambda seconds: pause(stopping, seconds)))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        under_way: dict[Future[None], Body] = {}
        begun = done = 0
        try:
            while begun < len(waiting) or under_way:
                while begun < len(waiting) and len(under_way) < AT_ONCE:
                    under_way[pool.submit(answer, waiting[begun])] = waiting[begun]
                    begun += 1
                finished, _ = wait(under_way, return_when=FIRST_COMPLETED)
                for future in finished:
                    _note(future, under_way.pop(future), failed, len(bodies))
                    done += 1
                    if done % step == 0:
                        told(done, len(waiting))
        finally:
            stopping.set()
    return failed


def _note(future: Future[None], body: Body, failed: dict[str, str], total: int) -> None:
    """Raises Abandoned."""
    try:
        future.result()
    except CallFailed as exc:
        failed[key_of(body)] = f"{body.get('model')}: {exc}"
        if exc.is_hopeless:
            raise Abandoned(str(exc)) from exc
        if len(failed) > _FAILED_SHARE_MAX * total:
            reasons = "; ".join(f"{count} x {why}" for why, count in Counter(failed.values()).most_common(5))
            raise Abandoned(f"more than a tenth of the calls failed: {reasons}") from exc


def _asked(body: Body, ask: Ask, pause: Callable[[float], object]) -> Answered:
    tries = 0
    while True:
        tries += 1
        try:
            return ask(body)
        except CallFailed as exc:
            most = 2 if exc.retry_after_s is None else _LIMITED_TRIES
            if exc.is_final or exc.is_hopeless or tries >= most:
                raise
            pause(min(exc.retry_after_s or _PAUSE_S, _PAUSE_S_MAX))
