"""What tests of sweeping share: a sweeper whose time passes when it looks."""

from __future__ import annotations

from gateway.jobs import SWEEP_INTERVAL_S, Sweeper


class Watch:
    """A sweeper whose time passes only when it looks."""

    def __init__(self, link, ledger, directory, instance="watcher"):
        self._now_s = 0.0
        self.sweeper = Sweeper(
            link, ledger, instance=instance, local_directory=directory, monotonic_s=lambda: self._now_s
        )

    async def look(self, times: int = 1) -> None:
        for _ in range(times):
            await self.sweeper.sweep()
            self._now_s += SWEEP_INTERVAL_S

    async def look_until_dead(self) -> None:
        await self.look(4)
