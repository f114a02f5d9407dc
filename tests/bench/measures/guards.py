"""What it costs to look at texts before and after a model."""

from __future__ import annotations

from itertools import islice

from tests.bench import guarding
from tests.bench.bench import Bench

SLOWEST_SHOWN = 6


def measure_guards(bench: Bench) -> None:
    """The guards that ask nobody, in this process."""
    for guard, taken in guarding.measure_prompts().items():
        target = "<= 1 ms, 99 %: <= 3 ms" if guard == "all" else ""
        bench.add(f"guards, 2 kB, CPU: {guard}", f"{taken.median_ms:.2f} ms, 99 %: {taken.p99_ms:.2f} ms", target)
    for shape, spent_ms in islice(guarding.measure_hostile().items(), SLOWEST_SHOWN):
        bench.add(f"guards, 1 MB of {shape}, CPU", f"{spent_ms:.0f} ms", "<= 150 ms")
