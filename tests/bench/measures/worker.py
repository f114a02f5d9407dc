"""How the gateway does as a whole: how soon it answers, at which rate, and what it keeps."""

from __future__ import annotations

import statistics
import time

from tests.bench import processes
from tests.bench.bench import SETTLE_S, Bench, spread
from tests.bench.client import Result
from tests.bench.processes import Gateway, Server


def measure_start(bench: Bench) -> None:
    """Seconds from the command to the first answer, in an empty folder and in the same one again."""
    bench.add("first start to first answer", f"{bench.starts_s[0]:.2f} s", "< 4 s")
    bench.add("restart to first answer", f"{bench.starts_s[1]:.2f} s", "< 2 s")


def measure_latency(bench: Bench) -> None:
    """Latency at half of the highest rate, through the gateway less direct to the upstream, random arrivals."""
    closed = bench.load(bench.gateway, kind="closed", connections=32, requests=bench.options.requests)
    rates = [_rate(processes.drive(closed)) for _ in range(3)]
    rate = statistics.median(rates)
    bench.add("highest rate, 32 connections", f"{rate:.0f} requests/s")
    added: dict[int, list[float]] = {50: [], 99: []}
    for _ in range(bench.options.runs):
        through = _at_rate(bench, bench.gateway, rate / 2)
        direct = _at_rate(bench, bench.nginx, rate / 2)
        for percent, values in added.items():
            values.append(_percentile(through, percent) - _percentile(direct, percent))
    bench.add(f"added latency at {rate / 2:.0f} requests/s, p50", spread(added[50], "ms"), "<= 1 ms")
    bench.add(f"added latency at {rate / 2:.0f} requests/s, p99", spread(added[99], "ms"), "<= 5 ms")


def _at_rate(bench: Bench, server: Server, rate: float) -> Result:
    return processes.drive(bench.load(server, kind="open", connections=32, requests=int(rate * 4), rate=rate))


def _rate(result: Result) -> float:
    return result.requests / result.seconds


def _percentile(result: Result, percent: int) -> float:
    return statistics.quantiles(result.latencies_ms, n=100)[percent - 1]


def measure_memory(bench: Bench) -> None:
    """Memory of a fresh worker, then after many requests: flat means that nothing is kept."""
    bench.gateway.stop()
    fresh = Gateway(bench.folder, bench.nginx.port, bench.upstream.port)
    try:
        fresh.await_answer()
        fresh.move_stores()
        bench.gateway = fresh
        done = 1
        total = bench.options.memory_requests
        for mark in sorted({1, min(10_000, total), min(50_000, total), min(100_000, total), total}):
            if mark > done:
                processes.drive(bench.load(fresh, kind="closed", connections=32, requests=mark - done))
                done = mark
            time.sleep(SETTLE_S)
            info = fresh.worker().memory_full_info()
            value = f"{info.pss / 1e6:.1f} MB (RSS {info.rss / 1e6:.1f})"
            bench.add(f"memory of the worker (PSS) after {mark:,} requests", value, "<= 130 MB, flat")
    finally:
        fresh.stop()
