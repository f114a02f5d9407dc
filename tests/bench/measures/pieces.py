"""What the pieces on the way of a request cost alone: translation, admission, the exact cache, the way to Postgres."""

from __future__ import annotations

import statistics

from tests.bench import admission, recalling, shipping, translations
from tests.bench.bench import Bench, spread


def measure_translations(bench: Bench) -> None:
    """CPU of the translations alone, in this process: a 100 kB agent's body, and one event of a long stream."""
    for name, request_ms, event_us in translations.measure(bench.options.runs):
        bench.add(f"translation {name}: a request of 100 kB", spread(request_ms, "ms"), "<= 0.3 ms")
        bench.add("    one event of its answer", spread(event_us, "us"), "<= 60 us")


def measure_admission(bench: Bench) -> None:
    """Admission and settlement alone, in a process of their own, without rules and with five budgets and ten limits."""
    bare, ruled = admission.measure(bench.folder / "admission", bench.options.runs)
    for index, (what, target) in enumerate(
        (
            ("admission: CPU of the gateway", "adds <= 200 us"),
            ("    in Redis", ""),
            ("settlement: CPU of the gateway", ""),
            ("    in Redis", ""),
        )
    ):
        without, with_rules = [one[index] for one in bare], [one[index] for one in ruled]
        added = statistics.median(with_rules) - statistics.median(without)
        bench.add(what, f"{spread(without, 'us')} -> {spread(with_rules, 'us')}, {added:+.1f} us", target)


def measure_answers(bench: Bench) -> None:
    """What the exact cache adds to a request alone, in a process of its own."""
    found = recalling.measure(bench.folder / "answers", bench.options.runs)
    rows = ("exact cache: a hit", "    streamed", "    a miss that is kept", "    a response, streamed")
    for index, what in enumerate(rows):
        target = "" if "miss" in what else "adds <= 300 us"
        bench.add(what, spread([one[index] for one in found], "us"), target)


def measure_shipping(bench: Bench) -> None:
    """Entries a second from the journal to Postgres, and how long anything else in the process waits meanwhile."""
    shipped = shipping.measure(bench.folder / "shipping", bench.options.runs)
    rate = [one.entries_per_s for one in shipped]
    bench.add(
        "entries shipped to Postgres",
        f"{statistics.median(rate):,.0f}/s ({min(rate):,.0f}-{max(rate):,.0f})",
        ">= 5,000/s",
    )
    bench.add("    CPU of the gateway for each", spread([one.cpu_us for one in shipped], "us"))
    longest, middle, most = zip(*(one.lag_ms for one in shipped), strict=True)
    bench.add("    what else runs waits, median", spread(middle, "ms"))
    bench.add("    ... 99 %", spread(most, "ms"))
    bench.add("    ... longest", spread(longest, "ms"))
