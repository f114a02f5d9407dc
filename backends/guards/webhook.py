"""A guard that is somebody else's service: a signed HTTP call with a deadline, tries again, and a circuit breaker."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace

import aiohttp
import msgspec

from backends.guards.hooks import Hooks
from backends.guards.looking import version_of
from backends.guards.verdicts import answered
from backends.upstream_errors import wanted_pause_s
from gateway.domain import Finding, GuardRule, WebhookSettings
from gateway.errors import GuardFailed
from gateway.guard_ports import Asking, Guard
from gateway.signing import key_of, signed_headers
from policies.breaker import ErrorFacts

VERSION = 1
ANSWER_BYTES_MAX = 1_000_000
#: Ours comes first: a hook that is too slow is known for it, where a client that left says nothing of the hook.
_SHARE_OF_TIMEOUT = 0.95
_PAUSE_S = 0.05  # before the first repetition; twice as long before each next one
_LARGE_BYTES = 256 * 1024  # what takes long enough to encode and sign that others should not wait for it
_TOO_MANY_REQUESTS = 429


class Unanswered(GuardFailed):
    """A try brought no answer. ``is_down``: the hook is not there, or not well."""

    def __init__(self, why: str, *, is_down: bool, can_retry: bool, retry_after_s: float | None = None) -> None:
        super().__init__(why)
        self.is_down = is_down
        self.can_retry = can_retry
        self.retry_after_s = retry_after_s


class WebhookGuard:
    """One hook."""

    def __init__(self, rule: GuardRule, settings: WebhookSettings, hooks: Hooks) -> None:
        """Raises ValueError for a secret that is none."""
        self.version = version_of(VERSION, replace(settings, secret=""))
        self._name = rule.name
        self._deadline_s = rule.timeout_s * _SHARE_OF_TIMEOUT
        self._url = settings.url
        self._key = key_of(settings.secret)
        self._retries = settings.retries
        self._hooks = hooks

    async def look(self, texts: Sequence[str], asking: Asking) -> Finding:
        """What the hook says. Raises GuardFailed, at once where its last looks failed."""
        hooks, url = self._hooks, self._url
        if hooks.health.why_unavailable(url, hooks.monotonic_s()) is not None:
            raise GuardFailed("it is left alone for some seconds: its last looks failed, or it asked for that")
        hooks.health.started(url, hooks.monotonic_s())
        try:
            async with asyncio.timeout(self._deadline_s):
                answer = await self._asked(await _encoded(self._message(texts, asking)))
        except TimeoutError as exc:
            hooks.health.failed(url, hooks.monotonic_s(), ErrorFacts(blames_deployment=True))
            raise GuardFailed(f"no answer within {self._deadline_s:g} s") from exc
        except Unanswered as exc:
            self._learn(exc)
            raise
        hooks.health.succeeded(url, hooks.monotonic_s())
        return answered(answer, texts)

    def _learn(self, failure: Unanswered) -> None:
        health, now_s = self._hooks.health, self._hooks.monotonic_s()
        if failure.is_down or failure.retry_after_s is not None:
            health.failed(self._url, now_s, ErrorFacts(failure.is_down, failure.retry_after_s))
        else:
            health.succeeded(self._url, now_s)  # it answers, whatever it says

    def _message(self, texts: Sequence[str], asking: Asking) -> Mapping[str, object]:
        asker = asking.asker
        return {
            "guard": self._name,
            "where": asker.where.value,
            "request_id": asker.request_id,
            "organization_id": asker.organization_id,
            "team_id": asker.team_id,
            "key_id": asker.key_id,
            "model": asker.model,
            "end_user": asker.end_user,
            "texts": texts,
        }

    async def _asked(self, body: bytes) -> bytes:
        """Its answer to one of the tries, which are one message to it. Raises Unanswered."""
        message_id = f"look_{os.urandom(16).hex()}"
        ends_s = self._hooks.monotonic_s() + self._deadline_s
        pause_s = _PAUSE_S
        for tries_left in range(self._retries, -1, -1):
            try:
                return await self._sent(message_id, body)
            except Unanswered as exc:
                wait_s = max(pause_s, exc.retry_after_s or 0.0)
                if not exc.can_retry or not tries_left or self._hooks.monotonic_s() + wait_s >= ends_s:
                    raise
            await self._hooks.sleep(wait_s)
            pause_s *= 2
        raise AssertionError("the last try returns or raises")

    async def _sent(self, message_id: str, body: bytes) -> bytes:
        """One try, signed with its own time. Raises Unanswered."""
        headers = {
            "content-type": "application/json",
            "accept": "application/json",
            "accept-encoding": "identity",
            "user-agent": "obol",
            **await _signed(self._key, message_id, int(self._hooks.unix_s()), body),
        }
        data = body if len(body) < _LARGE_BYTES else io.BytesIO(body)
        try:
            # A redirect would take what somebody said to where nobody said that it may go.
            async with self._hooks.session().post(
                self._url, data=data, headers=headers, allow_redirects=False
            ) as response:
                _check_status(response)
                return await _body(response)
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            raise Unanswered(f"no answer ({type(exc).__name__})", is_down=True, can_retry=True) from exc


def build(rule: GuardRule, hooks: Hooks) -> Guard:
    """Raises ValueError for a secret that is none."""
    if not isinstance(rule.settings, WebhookSettings):
        raise TypeError(rule.kind)
    return WebhookGuard(rule, rule.settings, hooks)


def _check_status(response: aiohttp.ClientResponse) -> None:
    status = response.status
    if 200 <= status < 300:  # noqa: PLR2004 - HTTP's own class
        return
    is_down = status >= 500  # noqa: PLR2004 - the same
    is_full = status == _TOO_MANY_REQUESTS
    pause_s = wanted_pause_s(response.headers) if is_down or is_full else None
    raise Unanswered(f"HTTP {status}", is_down=is_down, can_retry=is_down or is_full, retry_after_s=pause_s)


async def _body(response: aiohttp.ClientResponse) -> bytes:
    blocks, size = [], 0
    async for block in response.content.iter_any():
        size += len(block)
        if size > ANSWER_BYTES_MAX:
            raise Unanswered("its answer is longer than 1 MB", is_down=False, can_retry=False)
        blocks.append(block)
    return b"".join(blocks)


async def _encoded(message: Mapping[str, object]) -> bytes:
    texts = message["texts"]
    size = sum(map(len, texts)) if isinstance(texts, Sequence) else 0
    return _json(message) if size < _LARGE_BYTES else await asyncio.to_thread(_json, message)


def _json(message: Mapping[str, object]) -> bytes:
    try:
        return msgspec.json.encode(message)
    except UnicodeEncodeError:  # half of a pair of surrogates, which no JSON of UTF-8 can hold; the offsets stay
        texts = message["texts"]
        whole = [one.encode(errors="replace").decode() for one in texts] if isinstance(texts, Sequence) else []
        return msgspec.json.encode({**message, "texts": whole})


async def _signed(key: bytes, message_id: str, unix_s: int, body: bytes) -> Mapping[str, str]:
    if len(body) < _LARGE_BYTES:
        return signed_headers(key, message_id, unix_s, body)
    return await asyncio.to_thread(signed_headers, key, message_id, unix_s, body)
