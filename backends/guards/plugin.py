"""Guards that are Python code of their operator's: entry points of the group ``obol.guards``.

An entry point is a factory: called with its settings it gives an object with ``version`` (a text) and
``look(texts, asking)``, a coroutine function or a plain one. A plain one runs in a thread, so that it may wait and
compute as long as its deadline; a coroutine function runs in the event loop and must not.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from typing import Any

import msgspec

from backends.guards.looking import version_of
from backends.guards.verdicts import given
from gateway.domain import Finding, GuardRule, PluginSettings
from gateway.errors import GuardFailed
from gateway.guard_ports import Asking, Guard

GROUP = "obol.guards"
#: Looks of one guard in threads at a time. One that never ends keeps its thread: no deadline can end code.
THREADS_MAX = 16
VERSION = 1
_VERSION_CHARS_MAX = 64


def build(rule: GuardRule) -> Guard:
    """The guard of an entry point. Raises ValueError where it cannot be had, whatever somebody's code raises."""
    settings = rule.settings
    if not isinstance(settings, PluginSettings):
        raise TypeError(rule.kind)
    found = next(iter(entry_points(group=GROUP, name=settings.entry_point)), None)
    if found is None:
        raise ValueError(f"no entry point '{settings.entry_point}' of {GROUP} is installed")
    try:
        made = found.load()(msgspec.json.decode(settings.settings))
        return PluginGuard(made, settings)
    except (Exception, SystemExit) as exc:
        raise ValueError(f"the plugin '{settings.entry_point}' cannot be loaded: {exc!r}") from exc


class PluginGuard:
    """A Guard around somebody's object."""

    def __init__(self, made: Any, settings: PluginSettings) -> None:
        """Raises TypeError for an object that is no guard."""
        if not isinstance(getattr(made, "version", None), str) or not callable(getattr(made, "look", None)):
            raise TypeError("a plugin has a version, which is a text, and can look")
        self.version = f"{made.version[:_VERSION_CHARS_MAX]}-{version_of(VERSION, settings)}"
        self._look: Callable[[Sequence[str], Asking], Any] = made.look
        self._is_async = inspect.iscoroutinefunction(made.look)
        self._threads = asyncio.Semaphore(THREADS_MAX)

    async def look(self, texts: Sequence[str], asking: Asking) -> Finding:
        """Raises GuardFailed, and whatever the plugin raises."""
        try:
            if self._is_async:
                said = await self._look(texts, asking)
            else:
                said = await self._in_thread(texts, asking)
        except SystemExit as exc:
            raise GuardFailed("it wants to end the process") from exc
        return given(said, texts)

    async def _in_thread(self, texts: Sequence[str], asking: Asking) -> object:
        """In a thread of its own, which keeps nobody from leaving and no other work of ours from its turn."""
        await self._threads.acquire()
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[object] = loop.create_future()

        def tell(said: object, error: BaseException | None) -> None:
            self._threads.release()
            if ended.done():  # its deadline is over
                return
            if error is None:
                ended.set_result(said)
            else:
                ended.set_exception(error)

        def run() -> None:
            said: object = None
            error: BaseException | None = None
            try:
                said = self._look(texts, asking)
            except StopIteration as exc:  # no future takes one
                error = RuntimeError(str(exc))
            except BaseException as exc:  # noqa: BLE001 - a thread has nobody else to tell
                error = exc
            if not loop.is_closed():
                loop.call_soon_threadsafe(tell, said, error)

        try:
            threading.Thread(target=run, name="obol-guard", daemon=True).start()
        except BaseException:  # the system has no more threads for us
            self._threads.release()
            raise
        return await ended
