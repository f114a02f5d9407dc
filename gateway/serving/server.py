"""What a worker does: import the application, wait until the stores are up, serve on the inherited socket."""

from __future__ import annotations

import gc
import importlib
import json
import logging
import os
import socket
import sys

import uvicorn
from uvicorn.lifespan.on import LifespanOn, LifespanSendMessage

from gateway.catalog.pricelist import PriceListError
from gateway.catalog.text import CatalogError
from gateway.errors import GatewayError
from gateway.serving.http import BoundedHttp
from gateway.settings import Settings, WrongSetting, variable
from gateway.stores.redis_lasting import UnsafeRedis

EXIT_UNUSABLE = 78  # EX_CONFIG: trying again will not help; the reason has been printed
KEEP_ALIVE_S = 75
DRAIN_S = 30
# What an operator can mend, so that the message is enough; all else is a fault of ours and shows its traceback.
OPERATORS = (CatalogError, GatewayError, PriceListError, UnsafeRedis, WrongSetting, OSError, ValueError)

log = logging.getLogger("obol.worker")


class _Lifespan(LifespanOn):
    """uvicorn's own, except that a start that fails says why in one line instead of a traceback."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.logger = logging.getLogger("obol.lifespan")
        self.logger.setLevel(logging.CRITICAL)  # what failed is said below, once
        self.is_unusable = False

    async def main(self) -> None:
        try:
            scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
            await self.config.loaded_app(scope, self.receive, self.send)
        except OPERATORS as exc:
            self.error_occurred = self.is_unusable = True
            _tell(exc)
        except BaseException as exc:  # the loop's own end too: uvicorn waits for the events below
            self.error_occurred = True
            log.exception("the application failed", exc_info=exc)
        finally:
            self.startup_event.set()
            self.shutdown_event.set()

    async def send(self, message: LifespanSendMessage) -> None:
        if message["type"] == "lifespan.startup.failed" or message["type"] == "lifespan.shutdown.failed":
            message["message"] = ""  # Starlette puts a traceback there; the exception itself follows
        await super().send(message)


def serve(listening_fd: int, report_fd: int, factory: str) -> int:
    """Serve until SIGTERM; returns the exit status. ``report_fd`` (or -1) takes one JSON line for the banner."""
    module, _, name = factory.partition(":")
    try:
        settings = Settings.from_environment(os.environ)
        app = getattr(importlib.import_module(module), name)(settings)
    except OPERATORS as exc:
        _tell(exc)
        return EXIT_UNUSABLE
    if report_fd >= 0:
        _report(report_fd, app)
    if sys.stdin.readline() != "go\n":
        return 0  # the supervisor is gone or changed its mind
    # What stands now lives as long as the process: the collector need not walk it again.
    gc.collect()
    gc.freeze()
    # A request makes few cycles and hundreds of objects that die young by themselves: the default threshold of 700
    # has the collector walk them several times a request for nothing (measured: a tenth of all CPU).
    gc.set_threshold(10_000, 20, 100)
    gc.enable()
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=BoundedHttp,
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=DRAIN_S,
    )
    config.load()
    config.lifespan_class = _Lifespan
    server = uvicorn.Server(config)
    try:
        server.run(sockets=[socket.socket(fileno=listening_fd)])
    except SystemExit:  # uvicorn's way to end when the application did not start
        if isinstance(server.lifespan, _Lifespan) and server.lifespan.is_unusable:
            return EXIT_UNUSABLE
        raise
    return 0 if server.started else EXIT_UNUSABLE


def _report(descriptor: int, app: object) -> None:
    """Tell the supervisor what can be called, for its banner."""
    catalog = app.state.catalog()  # type: ignore[attr-defined]  # FastAPI's state is untyped
    names = [name for name, _ in catalog.names()]
    example = "auto" if "auto" in names or not names else names[0]
    with os.fdopen(descriptor, "w") as pipe:
        json.dump({"lines": catalog.describe(), "model": example, "is_simulated": catalog.uses_simulator}, pipe)


def _tell(exc: BaseException) -> None:
    setting = f"{variable('redis_url')}: " if isinstance(exc, UnsafeRedis) else ""
    sys.stderr.write(f"obol: {setting}{getattr(exc, 'message', None) or exc}\n")
