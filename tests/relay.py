"""A network between a gateway and a store that a test can cut: connections hang, and nobody is told."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Self


class Relay:
    """Listens on a TCP port of this machine and forwards to a Unix socket, in a thread of its own.

    While it is cut it takes connections and bytes and passes nothing on, in either direction. After ``heal`` whoever
    connects is served; what was under way when it was cut, as of a sender that tries again ever more seldom, arrives
    with ``deliver``, whatever has happened since.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay")
        self._thread.start()
        self._open = asyncio.Event()  # whether bytes of connections that begin now pass
        self._open.set()
        self._held = self._open  # the same of connections from before the cut
        self._connections: dict[asyncio.Task[None], asyncio.Event] = {}
        self._server = self._run(self._listen())
        self.port: int = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """Nothing gets through any more."""
        self._loop.call_soon_threadsafe(self._cut)

    def heal(self) -> None:
        """Connections made since the cut work, and so do new ones."""
        self._loop.call_soon_threadsafe(self._open.set)

    def deliver(self) -> None:
        """What was held back arrives now."""
        self._loop.call_soon_threadsafe(self._held.set)

    @property
    def held(self) -> int:
        """Connections from before the cut that have not ended."""
        return list(self._connections.values()).count(self._held)

    def close(self) -> None:
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # In the thread.

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._connected, "127.0.0.1", 0)

    def _cut(self) -> None:
        self._held, self._open = self._open, asyncio.Event()
        self._held.clear()

    async def _end(self) -> None:
        self._server.close()
        tasks = list(self._connections)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        flows = self._connections[task] = self._open
        try:
            await flows.wait()
            there, to_there = await asyncio.open_unix_connection(str(self._target))
            async with asyncio.TaskGroup() as both:
                both.create_task(_pump(reader, to_there, flows))
                both.create_task(_pump(there, writer, flows))
        except (OSError, asyncio.CancelledError):
            pass  # nobody listens there, which is a closed port to those who connect; or we end
        finally:
            writer.close()
            del self._connections[task]


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, flows: asyncio.Event) -> None:
    """Until either side closes; the other is told."""
    try:
        while data := await reader.read(1 << 16):
            await flows.wait()
            writer.write(data)
            await writer.drain()
        await flows.wait()
    except OSError:
        pass  # reset: closed as well
    finally:
        writer.close()
