"""What a request costs the gateway: in each dialect, under budgets and limits, and where a route decides."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

import msgspec

from tests.bench import processes, routing
from tests.bench.bench import SETTLE_S, Bench, spread
from tests.bench.dialects import CHAT, DIALECTS
from tests.bench.measures.streams import STREAMS, stream_us
from tests.bench.money import BUDGETS, ROWS, Money


def measure_cpu(bench: Bench) -> None:
    """CPU milliseconds per request, next to what the upstream and a bare pass-through need."""
    for connections in (1, 32):
        for name, server, target in (
            ("gateway", bench.gateway, "<= 0.6 ms"),
            ("bare pass-through", bench.passthrough, ""),
            ("nginx itself", bench.nginx, ""),
        ):
            own, stores = [], []
            bench_load = bench.load(server, kind="closed", connections=connections, requests=bench.options.requests)
            processes.drive(msgspec.structs.replace(bench_load, requests=bench.options.warm_up))
            for _ in range(bench.options.runs):
                before = server.cpu()
                result = processes.drive(bench_load)
                time.sleep(SETTLE_S)
                used = server.cpu().since(before)
                own.append(used.own_s * 1000 / result.requests)
                stores.append(used.stores_s * 1000 / result.requests)
            bench.add(f"CPU per request, {connections:2} connections: {name}", spread(own, "ms"), target)
            if server is bench.gateway:
                bench.add("    its embedded Postgres and Valkey", spread(stores, "ms"))


def measure_dialects(bench: Bench) -> None:
    """The verbatim dialects beside chat, run by run in turns: the same question, the same answer, the same chunks."""
    whole: dict[str, list[float]] = {name: [] for name in DIALECTS}
    chunks: dict[str, list[float]] = {name: [] for name in DIALECTS}
    for _ in range(bench.options.runs):
        for name in DIALECTS:
            load = bench.load(bench.gateway, name, kind="closed", connections=32, requests=bench.options.requests)
            processes.drive(msgspec.structs.replace(load, requests=bench.options.warm_up))
            before = bench.gateway.cpu()
            result = processes.drive(load)
            time.sleep(SETTLE_S)
            whole[name].append(bench.gateway.cpu().since(before).own_s * 1000 / result.requests)
            load = bench.load(bench.gateway, name, kind="streams", connections=STREAMS, requests=STREAMS)
            chunks[name].append(stream_us(bench.gateway, load)[0])
    for name in DIALECTS:
        target = "" if name == CHAT else "<= chat"
        ratio = statistics.median(a / b for a, b in zip(whole[name], whole[CHAT], strict=True))
        bench.add(f"CPU per request, 32 connections: {name}", f"{spread(whole[name], 'ms')}, {ratio:.2f} x", target)
        ratio = statistics.median(a / b for a, b in zip(chunks[name], chunks[CHAT], strict=True))
        bench.add(f"    per chunk, 32 streams: {name}", f"{spread(chunks[name], 'us')}, {ratio:.2f} x", target)


def measure_money(bench: Bench) -> None:
    """CPU per request without a budget, with five budgets and ten limits, and then with many and a full ledger."""
    money = Money(bench.gateway.data_dir)
    load = bench.load(bench.gateway, kind="closed", connections=32, requests=bench.options.requests)
    medians: list[float] = []
    for what, prepare, target in (
        ("no budgets, no limits", None, ""),
        ("five budgets and ten limits", money.add_rules, "<= 0.8 ms"),
        (f"the same among {BUDGETS:,} budgets", money.add_many_budgets, "the same"),
        (f"the same, and {ROWS:,} ledger rows", money.add_rows, "the same"),
    ):
        if prepare is not None:
            prepare()
        processes.drive(msgspec.structs.replace(load, requests=bench.options.warm_up))
        own, stores, scripts, script_us = [], [], [], []
        for _ in range(bench.options.runs):
            before, redis_before = bench.gateway.cpu(), money.redis_use()
            result = processes.drive(load)
            time.sleep(SETTLE_S)
            used, redis = bench.gateway.cpu().since(before), money.redis_use()
            own.append(used.own_s * 1000 / result.requests)
            stores.append(used.stores_s * 1000 / result.requests)
            scripts.append((redis.scripts - redis_before.scripts) / result.requests)
            script_us.append((redis.script_us - redis_before.script_us) / result.requests)
        medians.append(statistics.median(own))
        more = f", {medians[-1] - medians[0]:+.3f} ms" if prepare else ""
        bench.add(f"CPU per request, 32 connections: {what}", spread(own, "ms") + more, target)
        bench.add("    its embedded Postgres and Valkey", spread(stores, "ms"))
        bench.add("    round trips to Redis, and the time that it spends in them", _trips(scripts, script_us), "2")


def _trips(scripts: Sequence[float], script_us: Sequence[float]) -> str:
    return f"{statistics.median(scripts):.2f}, {spread(script_us, 'us')}"


def measure_routing(bench: Bench) -> None:
    """CPU per request of what decides, run by run in turns: a route's order against a router's forecast of four."""
    asked = {
        "ordered-four": routing.question("ordered-four", 500),
        "cheapest-four, 500 bytes": routing.question("cheapest-four", 500),
        "cheapest-four, 2 kB": routing.question("cheapest-four", 2000),
        "cheapest-four, third turn of a conversation": routing.conversation("cheapest-four", 500),
    }
    taken: dict[str, list[float]] = {name: [] for name in asked}
    for _ in range(bench.options.runs):
        for name, body in asked.items():
            load = bench.load(bench.gateway, kind="closed", connections=32, requests=bench.options.requests)
            load = msgspec.structs.replace(load, body=body)
            processes.drive(msgspec.structs.replace(load, requests=bench.options.warm_up))
            before = bench.gateway.cpu()
            result = processes.drive(load)
            time.sleep(SETTLE_S)
            taken[name].append(bench.gateway.cpu().since(before).own_s * 1000 / result.requests)
    first = taken["ordered-four"]
    for name, values in taken.items():
        added = statistics.median(one - other for one, other in zip(values, first, strict=True))
        bench.add(f"CPU per request, 32 connections: {name}", f"{spread(values, 'ms')}, {added:+.3f} ms")
