"""`obol router calibrate`: a route's deployments on its user's own prompts, priced beforehand, through the gateway."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from gateway.commands import CommandFailed
from gateway.commands.calibration_report import plan_lines, summary_lines
from gateway.commands.gateway_client import Answer, GatewayClient, Refused
from gateway.domain import NANO
from gateway.router import artifact
from gateway.router.calibration import judging, outcomes, plan
from gateway.router.calibration.fitting import fit_route
from gateway.router.calibration.journal import Answered, Journal
from gateway.router.calibration.lines import Line, key_of, read_lines
from gateway.router.calibration.plan import Priced
from gateway.router.calibration.running import Abandoned, Body, CallFailed, run
from gateway.router.data import BadData
from gateway.router.training import PROMPTS_MIN, from_artifact
from gateway.settings import Settings

TAG, JUDGE_TAG = "calibration", "calibration, judge"
LEVELS = (0.05, 0.02, 0.0)  # economy, balanced, best
_DEFAULT_OUT = "router.obol"
_QUOTA = "insufficient_quota"
_FINAL = (400, 413, 422)
_HOPELESS = (401, 403, 404)
_LIMITED = 429


@dataclass(frozen=True, slots=True)
class _Route:
    """What is calibrated: the route's deployments by name, its target, and the judge."""

    name: str
    loss_max: float
    deployments: tuple[Priced, ...]
    judge: Priced | None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(one.name for one in self.deployments)


def calibrate(options: argparse.Namespace, settings: Settings) -> int:
    """Plan, ask, run, score, fit, write. Raises CommandFailed; what was answered is kept whatever becomes of it."""
    client = GatewayClient(settings, options.url, options.key)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    out = options.out or settings.router or settings.data_dir / _DEFAULT_OUT
    output_tokens = options.output_tokens or plan.OUTPUT_TOKENS
    folder = options.data or settings.data_dir / "calibration" / quote(options.route, safe="")
    try:
        lines = read_lines(options.prompts, has_judge=bool(options.judge), may_run_tests=options.run_tests)
        _check_count(len(lines.lines), options.prompts)
        base = base_router(settings.router, out)
        _check_writable(out)
        route = _route(client, options.route, options.judge)
        journal = Journal(folder)
        expenses = _expenses(route, lines.lines, journal, output_tokens)
        print("\n".join(plan_lines(route.name, len(lines.lines), len(lines.repeated), expenses, output_tokens)))
        if any(one.calls for one in expenses) and not options.yes and not _is_confirmed():
            raise CommandFailed("nothing was asked and nothing was spent (--yes goes on without asking)")
        spent = _run(client, route, lines.lines, journal)
        gathered = outcomes.gather(lines.lines, route.names, journal, route.judge.name if route.judge else None)
        _check_count(len(gathered.lines), folder, gathered.left_out)
        outcomes.write_folder(gathered, route.name, route.deployments, folder)
        targets = (route.loss_max, *(one for one in LEVELS if one != route.loss_max))
        fitted = fit_route(base, route.name, folder, targets, time.time())
        version = artifact.write(fitted.artifact, out)
    except (BadData, artifact.BadArtifact, Abandoned) as exc:
        raise CommandFailed(f"{exc}{_kept(exc, folder)}") from exc
    print("\n".join(summary_lines(gathered, fitted, spent, sum(one.nusd for one in expenses))))
    print(f"router {version}: {out}; answers and outcomes: {folder}")
    if settings.router is None or out.resolve() != settings.router.resolve():
        print(f"Set OBOL_ROUTER={out} for the gateway to use it.")
    return 0


def _kept(exc: Exception, folder: Path) -> str:
    return f" (what was answered is kept in {folder}: the same command goes on)" if isinstance(exc, Abandoned) else ""


def _check_count(count: int, where: Path, left_out: Mapping[str, int] | None = None) -> None:
    """Raises BadData where nothing can be learned of so few prompts."""
    if count < PROMPTS_MIN:
        why = "".join(f"; {number} left out: {reason}" for reason, number in (left_out or {}).items())
        raise BadData(f"{where}: {count} prompts, and fewer than {PROMPTS_MIN} teach nothing{why}")


def base_router(in_force: Path | None, out: Path) -> artifact.Artifact:
    """The router that the track is added to: the one in force, else the one that an earlier calibration began.

    Raises BadArtifact for one that cannot be read.
    """
    found = artifact.read(next((one for one in (in_force, out) if one is not None and one.exists()), artifact.DEFAULT))
    from_artifact(found)
    return found


def _check_writable(out: Path) -> None:
    if not out.parent.is_dir() or out.is_dir():
        raise CommandFailed(f"{out}: no file can be written there")


def _route(client: GatewayClient, name: str, judge: str | None) -> _Route:
    """Raises CommandFailed for a route that cannot be calibrated."""
    told = client.admin("GET", f"/admin/routes/{quote(name, safe='')}")
    deployments = tuple(sorted((_priced(one) for one in told["deployments"]), key=lambda one: one.name))
    if len(deployments) < 2:  # noqa: PLR2004 - one leaves no choice
        raise CommandFailed(
            f"the route {name} has {len(deployments)} deployments that can be called: nothing to choose"
        )
    asked = _priced(client.admin("GET", f"/admin/deployments/{quote(judge)}")) if judge else None
    return _Route(name, float(told["quality_loss_max"]), deployments, asked)


def _priced(told: Mapping[str, Any]) -> Priced:
    price, name = told["price"], str(told["name"])
    if told["mode"] != "chat":
        raise CommandFailed(f"{name} serves {told['mode']} requests, and prompts are chats")
    if price is None and not told["is_unpriced_allowed"]:
        raise CommandFailed(f"nobody knows the price of {name}: give it one in the catalog")
    rates = price or {"input": 0, "output": 0}
    return Priced(name, int(rates["input"]), int(rates["output"]), told["output_tokens_max"])


def _expenses(route: _Route, lines: Sequence[Line], journal: Journal, output_tokens: int) -> list[plan.Expense]:
    found = [
        plan.answers_expense(one, lines, output_tokens, lambda body: journal.get(body) is not None)
        for one in route.deployments
    ]
    if (judge := route.judge) is not None:
        judged = judging.to_be_judged(lines)

        def known(line: Line) -> int:
            return outcomes.verdicts_known(judge.name, line, route.names, journal)

        verdicts = plan.judge_expense(judge, judged, len(route.names), output_tokens, known)
        found.append(plan.Expense(f"{judge.name} as the judge", verdicts.calls, verdicts.paid, verdicts.nusd))
    return found


def _is_confirmed() -> bool:
    print("Ask all of that, and spend it? [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _run(client: GatewayClient, route: _Route, lines: Sequence[Line], journal: Journal) -> int:
    """Ask for all that is not there yet; returns what that cost in nano-USD. Raises Abandoned."""
    spent: list[int] = []

    def ask(body: Body) -> Answered:
        answered = _ask(client, body, TAG)
        spent.append(answered.cost_nusd)
        return answered

    def ask_judge(body: Body) -> Answered:
        answered = _ask(client, body, JUDGE_TAG)
        spent.append(answered.cost_nusd)
        return answered

    # One prompt after the other, so that an early end leaves whole prompts.
    failed = run([{**line.body, "model": name} for line in lines for name in route.names], ask, journal, told=_told)
    if (judge := route.judge) is not None:
        for _ in range(2):  # the second time about those without a verdict
            bodies = outcomes.verdict_bodies(judge.name, lines, route.names, journal)
            failed |= run(bodies, ask_judge, journal, told=_told)
    for reason in sorted(set(failed.values())):
        print(f"failed: {reason}", file=sys.stderr)
    return sum(spent)


def _told(done: int, total: int) -> None:
    print(f"{done:,} of {total:,} calls", file=sys.stderr, flush=True)


def _ask(client: GatewayClient, body: Body, tags: str) -> Answered:
    """One call of a deployment by its name. Raises CallFailed."""
    try:
        answer = client.ask(body, tags=tags)
    except Refused as exc:
        raise _call_failed(exc) from exc
    except CommandFailed as exc:
        raise CallFailed(str(exc)) from exc
    return _answered(body, answer)


def _call_failed(refused: Refused) -> CallFailed:
    status = refused.status
    if status in _HOPELESS or refused.code == _QUOTA:
        return CallFailed(str(refused), is_hopeless=True)
    if status != _LIMITED:
        return CallFailed(str(refused), is_final=status in _FINAL)
    try:
        retry_after_s = float(refused.headers.get("retry-after", "1"))
    except ValueError:
        retry_after_s = 1.0
    return CallFailed(str(refused), retry_after_s=retry_after_s)


def _answered(body: Body, answer: Answer) -> Answered:
    """What came back. Raises CallFailed for what is no answer with a cost."""
    try:
        cost_nusd = int(Decimal(answer.headers["x-obol-cost-usd"]) * NANO)
        content: Any = answer.content
        message, usage = content["choices"][0]["message"], content.get("usage") or {}
        return Answered(
            key=key_of(body),
            deployment=str(body["model"]),
            text=_text(message),
            cost_nusd=cost_nusd,
            input_tokens=int(usage.get("prompt_tokens") or 0),
            output_tokens=int(usage.get("completion_tokens") or 0),
            request_id=answer.headers.get("x-request-id", ""),
        )
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, InvalidOperation) as exc:
        raise CallFailed("the answer is no chat completion with its cost", is_final=True) from exc


def _text(message: Mapping[str, Any]) -> str:
    """What was said; of an answer of tool calls alone, these as JSON."""
    if said := message.get("content"):
        return str(said)
    calls = [one["function"] for one in message.get("tool_calls") or () if "function" in one]
    return msgspec.json.encode(calls).decode() if calls else ""
