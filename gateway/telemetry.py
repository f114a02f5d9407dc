"""Entries and refusals as metrics and as structured log lines; neither holds a secret or a prompt."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from typing import TextIO

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from gateway.domain import NANO, CacheStatus, GuardVerdict, LedgerEntry, RepairStatus, Source
from gateway.domain.alert import Alert
from gateway.errors import GatewayError
from gateway.ids import rfc3339

_SERVER_ERROR = 500
_DEPLOYMENTS_MAX = 1000
_GATHER_S = 0.05
_LOOK_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1, 2.5, 10)
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class Metrics:
    """What Prometheus scrapes of one process. Labels are bounded by the catalog; never a key, user or prompt."""

    def __init__(self, registry: CollectorRegistry | None) -> None:
        by = ("deployment", "status")
        self.attempts = Counter("obol_attempts", "Upstream attempts", by, registry=registry)
        self.cost = Counter("obol_cost_usd", "Charged, in USD", ("deployment",), registry=registry)
        self.baseline = Counter(
            "obol_baseline_usd", "What the reference model would have cost", ("deployment",), registry=registry
        )
        self.tokens = Counter("obol_tokens", "Tokens by meter", ("deployment", "meter"), registry=registry)
        self.seconds = Histogram(
            "obol_attempt_seconds", "Duration", ("deployment",), buckets=_SECONDS, registry=registry
        )
        self.first = Histogram(
            "obol_first_token_seconds", "Time to first block", ("deployment",), buckets=_SECONDS, registry=registry
        )
        self.refusals = Counter("obol_refusals", "Requests refused, by kind of error", ("error",), registry=registry)
        self.alerts = Counter("obol_alerts", "Alerts, by kind", ("kind",), registry=registry)
        self.recalls = Counter(
            "obol_cache", "Requests to routes that give answers again", ("route", "status"), registry=registry
        )
        by_deflector = ("route", "deflector")
        self.deflected = Counter("obol_deflected", "Answers without a model", by_deflector, registry=registry)
        self.deflections_missed = Counter(
            "obol_deflection_misses",
            "Questions that were asked again after such an answer",
            by_deflector,
            registry=registry,
        )
        self.repairs = Counter(
            "obol_repairs", "Answers of routes that repair JSON", ("route", "outcome"), registry=registry
        )
        self.guards = Counter(
            "obol_guards", "Prompts and answers that guards looked at", ("kind", "where", "verdict"), registry=registry
        )
        self.guard_seconds = Histogram(
            "obol_guard_seconds", "Duration", ("kind", "where"), buckets=_LOOK_SECONDS, registry=registry
        )
        self.decisions_dropped = Counter(
            "obol_decisions_dropped", "Decisions of routes that were not written down", registry=registry
        )
        self.catalog = Gauge(
            "obol_catalog_info", "1 for the catalog in force", ("hash",), registry=registry, multiprocess_mode="liveall"
        )
        self.circuits = Gauge(
            "obol_circuit_open",
            "1 for a deployment that is left alone after failures",
            ("deployment",),
            registry=registry,
            multiprocess_mode="max",
        )
        self.shifted = Gauge(
            "obol_route_shifted",
            "1 for a route whose questions are unlike those that it was calibrated on",
            ("route",),
            registry=registry,
            multiprocess_mode="max",
        )
        self.unshipped = Gauge(
            "obol_charges_unshipped", "Charges not in Postgres yet", registry=registry, multiprocess_mode="livesum"
        )


class _PerDeployment:
    """The metric children of one deployment, looked up once: ``labels()`` on the path would cost more than the rest."""

    __slots__ = ("attempts", "baseline", "cost", "first", "input", "output", "seconds")

    def __init__(self, metrics: Metrics, deployment: str) -> None:
        self.attempts: dict[str, Counter] = {}
        self.cost = metrics.cost.labels(deployment)
        self.baseline = metrics.baseline.labels(deployment)
        self.input = metrics.tokens.labels(deployment, "input")
        self.output = metrics.tokens.labels(deployment, "output")
        self.seconds = metrics.seconds.labels(deployment)
        self.first = metrics.first.labels(deployment)


class RequestTelemetry:
    """Counts and logs what happened on the path (ports.Telemetry)."""

    def __init__(
        self,
        metrics: Metrics,
        write_line: Callable[[bytes], None],
        level: str,
        on_unpriced: Callable[[str, str], None] = lambda _organization_id, _model: None,
    ) -> None:
        self._metrics = metrics
        self._write_line = write_line
        self.unpriced = on_unpriced
        self._level = logging.getLevelNamesMapping()[level.upper()]
        self._by_deployment: dict[str, _PerDeployment] = {}

    def settled(self, entry: LedgerEntry) -> None:
        name = entry.deployment
        per = self._by_deployment.get(name)
        if per is None:
            if len(self._by_deployment) >= _DEPLOYMENTS_MAX:  # an open wildcard lets clients make up names
                name = "other"
            per = self._by_deployment.setdefault(name, _PerDeployment(self._metrics, name))
        if entry.source == Source.UPSTREAM:
            self._attempted(per, entry, name)
        if entry.cost_nusd:
            per.cost.inc(entry.cost_nusd / NANO)
        if entry.baseline_nusd:
            per.baseline.inc(entry.baseline_nusd / NANO)
        if self._level <= logging.INFO:
            self._write_line(_encode(_line_of(entry)))

    def _attempted(self, per: _PerDeployment, entry: LedgerEntry, name: str) -> None:
        attempts = per.attempts.get(entry.status)
        if attempts is None:
            attempts = per.attempts[entry.status] = self._metrics.attempts.labels(name, entry.status)
        attempts.inc()
        per.input.inc(entry.input_tokens)
        per.output.inc(entry.output_tokens)
        if entry.total_ms is not None:
            per.seconds.observe(entry.total_ms / 1000)
        if entry.first_token_ms is not None:
            per.first.observe(entry.first_token_ms / 1000)

    def recalled(self, route: str, status: CacheStatus) -> None:
        self._metrics.recalls.labels(route, status).inc()

    def deflected(self, route: str, deflector: str, *, is_repeated: bool) -> None:
        counter = self._metrics.deflections_missed if is_repeated else self._metrics.deflected
        counter.labels(route, deflector).inc()

    def repaired(self, route: str, status: RepairStatus) -> None:
        self._metrics.repairs.labels(route, status).inc()

    def guarded(self, kind: str, verdict: GuardVerdict) -> None:
        self._metrics.guards.labels(kind, verdict.where, verdict.verdict).inc()
        self._metrics.guard_seconds.labels(kind, verdict.where).observe(verdict.ms / 1000)

    def refused(self, request_id: str, error: GatewayError) -> None:
        # By class, which is bounded: codes come from upstreams too.
        self._metrics.refusals.labels(type(error).__name__).inc()
        level = logging.WARNING if error.status >= _SERVER_ERROR else logging.INFO
        if self._level <= level:
            line = {
                "level": logging.getLevelName(level).lower(),
                "event": "refused",
                "request_id": request_id,
                "status": error.status,
                "code": error.code,
                "message": error.message,
            }
            self._write_line(_encode(line))


class AlertLog:
    """Counts an alert and logs what its message says, when it is taken up for the first time."""

    def __init__(self, metrics: Metrics, write_line: Callable[[bytes], None], level: str) -> None:
        self._metrics = metrics
        self._write_line = write_line
        self._level = logging.getLevelNamesMapping()[level.upper()]

    def __call__(self, alert: Alert, data: Mapping[str, object]) -> None:
        self._metrics.alerts.labels(alert.kind).inc()
        if self._level <= logging.WARNING:
            line = {"level": "warning", "event": "alert", "time": rfc3339(alert.at_ms / 1000), "kind": alert.kind}
            self._write_line(_encode({**line, **data}))


_encode = msgspec.json.Encoder().encode


def _line_of(entry: LedgerEntry) -> dict[str, object]:
    return {
        "level": "info",
        "event": "attempt",
        "time": entry.created_at,
        "request_id": entry.request_id,
        "entry": entry.id,
        "attempt": entry.attempt,
        "team": entry.team_id,
        "key": entry.key_id,
        "route": entry.route,
        "deployment": entry.deployment,
        "source": entry.source,
        "status": entry.status,
        "basis": entry.basis,
        "input_tokens": entry.input_tokens,
        "output_tokens": entry.output_tokens,
        "cost_nusd": entry.cost_nusd,
        "total_ms": round(entry.total_ms, 1) if entry.total_ms is not None else None,
        "error_code": entry.error_code,
    }


class LineWriter:
    """Gathers log lines for a twentieth of a second: one write for many requests."""

    def __init__(self, stream: TextIO, call_later: Callable[[float, Callable[[], None]], object]) -> None:
        self._stream = stream
        self._call_later = call_later
        self._lines: list[bytes] = []

    def write(self, line: bytes) -> None:
        self._lines.append(line)
        if len(self._lines) == 1:
            self._call_later(_GATHER_S, self.flush)

    def flush(self) -> None:
        lines, self._lines = self._lines, []
        if lines:
            self._stream.write(b"\n".join(lines).decode() + "\n")
            self._stream.flush()


class JsonFormatter(logging.Formatter):
    """Other log records as one JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": rfc3339(record.created),
            "level": record.levelname.lower(),
            "event": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


def configure_logging(level: str, stream: TextIO = sys.stderr) -> None:
    """Send every logger's records to ``stream`` as JSON lines."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for chatty in ("uvicorn", "asyncio", "aiohttp"):  # starts and stops are the supervisor's to tell
        logging.getLogger(chatty).setLevel(logging.WARNING)
    logging.getLogger("uvicorn.error").addFilter(_is_no_cut_of_ours)


def _is_no_cut_of_ours(record: logging.LogRecord) -> bool:
    """An answer is left open on purpose where nothing else tells that it broke off; the path has logged why."""
    return record.msg != "ASGI callable returned without completing response."
