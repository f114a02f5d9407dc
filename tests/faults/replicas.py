"""Several `obol serve` on one Postgres and one Valkey, which tests kill, pause, wipe and start again on their own.

    with Replicas(folder) as replicas:               # three gateways, one catalog, one scripted upstream
        house = House(replicas)                      # house.py: an organization of a test's own
        team = house.team()
        key = house.key(team, member=house.member(team))
        budget = house.budget({"team": team}, 10**9, window="month")  # in force on every replica when it returns
        async with clients() as session:             # replica_client.py
            answer = await ask(session, replicas.gateways[1].url, key, {"model": "any/x", ...})
        counted = house.books_are_right()            # waits until all is at rest, then compares everything

The fixture ``replicas`` (conftest.py) is one set for all proofs that leave every gateway and both stores running as
they found them. Stores belong to the test's process (`EmbeddedStores`), so no gateway's death takes one along:
``replicas.stores.kill("valkey", wipe=True)``, ``.restart("postgres")``, ``with .paused("valkey")``.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
import redis
from running_gateway import Gateway, UpstreamProcess, until

from gateway.stores.embedded import VALKEY, EmbeddedStores

INPUT_NUSD, OUTPUT_NUSD = 1000, 2000  # per token, at every deployment but `free`
#: Routes `falls-back-<n>` whose first deployment always fails: so many, because a breaker opens after five failures.
FALLING_BACK = 30
FAILURES = ("error-503", "drop", "error-500", "html-200", "empty-200")  # presets of the scripted upstream
CATALOG = """
providers:
  up: {kind: openai_compatible, base_url: "UPSTREAM", api_key: sk-upstream}
deployments:
  - {name: "any/*", provider: up, model: "*", price: {input: 1, output: 2}}
  - {name: free, provider: up, model: x, price: free}
  - {name: good, provider: up, model: good, price: {input: 1, output: 2}}
routes:
  one: {deployments: [good]}
  falls-back: {deployments: [any/error-503~first, good]}
  falls-back-twice: {deployments: [any/error-503~first, any/error-500~second, good]}
""" + "".join(
    f"  falls-back-{n}: {{deployments: [any/{FAILURES[n % len(FAILURES)]}~{n}, good]}}\n" for n in range(FALLING_BACK)
)


class Stores:
    """The Postgres and the Valkey of all replicas. Names of stores: ``postgres``, ``valkey``."""

    def __init__(self, folder: Path) -> None:
        self._running = EmbeddedStores.start(folder)
        self.settings = {"OBOL_DATABASE_URL": self._running.database_url, "OBOL_REDIS_URL": self._running.redis_url}
        self.redis = redis.Redis.from_url(self._running.redis_url)

    def kill(self, name: str, *, wipe: bool = False) -> None:
        """SIGKILL; returns when it is dead. ``wipe``: Valkey loses its disk too."""
        os.kill(self._running.pids()[name], signal.SIGKILL)
        until(lambda: name in self._running.ended(), f"{name} is dead")
        if wipe:
            assert name == VALKEY, "nobody promises anything without the ledger"
            shutil.rmtree(self._running.layout.valkey)

    def restart(self, name: str) -> None:
        """To be called from the main thread; returns when it answers."""
        self._running.restart(name)

    @contextmanager
    def paused(self, name: str) -> Iterator[None]:
        """It takes connections and does not answer."""
        root = psutil.Process(self._running.pids()[name])
        processes = [root, *root.children(recursive=True)]
        for process in processes:
            process.suspend()
        try:
            yield
        finally:
            for process in processes:
                process.resume()

    def stop(self) -> None:
        self.redis.close()
        self._running.stop()


class Replicas(AbstractContextManager["Replicas"]):
    """Gateways that share stores, catalog and upstream; every one ready when the block begins."""

    def __init__(
        self,
        folder: Path,
        catalog: str = CATALOG,
        *,
        count: int = 3,
        upstream: Path = Path(__file__).with_name("failing_upstream.py"),  # noqa: B008 - it is never changed
        settings_of: Sequence[Mapping[str, str]] = (),
        **settings: str,
    ) -> None:
        """``settings_of``: what one gateway has beside ``settings``, in order; UPSTREAM in the catalog is replaced."""
        self.upstream = UpstreamProcess(upstream)
        self.stores = Stores(folder / "stores")
        self.gateways: list[Gateway] = []
        for number in range(count):
            own = settings_of[number] if number < len(settings_of) else {}
            place = folder / f"gateway-{number}"
            place.mkdir()
            text = catalog.replace("UPSTREAM", self.upstream.base_url)
            self.gateways.append(Gateway(place, text, **{**self.stores.settings, **settings, **own}))

    def __enter__(self) -> Self:
        try:
            for gateway in self.gateways:
                gateway.spawn()
            for gateway in self.gateways:
                gateway.wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        for gateway in self.gateways:
            gateway.stop()
        self.stores.stop()
        self.upstream.stop()

    def admin(self, method: str, path: str, **options: Any) -> Any:
        """The answer of the first gateway; refusals raise."""
        response = self.gateways[0].admin(method, path, **options)
        assert response.is_success, response.text
        return response.json()
