"""Commands that work on the database itself: `obol migrate` and `obol keys`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from redis.asyncio import Redis

from gateway.commands import CommandFailed
from gateway.commands.text_table import table
from gateway.domain import Actor, Role
from gateway.errors import GatewayError
from gateway.serving import database_failures
from gateway.settings import Settings
from gateway.stores import database, migrate
from gateway.stores.embedded import EmbeddedStores, StoresFailed, layout
from gateway.stores.key_announcer import announce_nothing, redis_announcer
from gateway.stores.keys import Key, KeyStore
from gateway.stores.probe import NotAnswering, Refused, postgres_rows, valkey_answer
from gateway.stores.tenants import DEFAULT_TEAM, Team, TenantStore

_COLUMNS = ("id", "begins with", "team", "name", "state", "models")
_COMMAND_LINE = Actor(id="cli", name="command line", role=Role.OWNER)


@dataclass(frozen=True, slots=True)
class NewKeyWish:
    """What `obol keys create` was asked for; ``team`` is an id or a name, empty: the default team."""

    name: str
    team: str
    models: Sequence[str] | None = None
    expires_at: datetime | None = None
    member: str | None = None
    allowed_ips: Sequence[str] | None = None


def moment(text: str) -> datetime:
    """An ISO 8601 date or time; without a zone it is UTC. Raises ValueError."""
    value = datetime.fromisoformat(text)
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def migrate_database(settings: Settings) -> str:
    """Bring the database to this code's schema. Raises CommandFailed."""
    with reachable(settings, may_create=True) as ready, as_command_failures(ready.database_url):
        migrate.upgrade(ready.database_url)
    return f"the database is at {migrate.head()}"


def create_key(settings: Settings, wish: NewKeyWish) -> str:
    """The new secret, shown this once. Raises CommandFailed."""

    async def create(tenants: TenantStore, keys: KeyStore) -> str:
        team = await (_team(tenants, wish.team) if wish.team else _default_team(tenants))
        made = await keys.create_key(
            _COMMAND_LINE,
            team.id,
            wish.name,
            member_id=wish.member,
            expires_at=wish.expires_at,
            models=wish.models,
            allowed_ips=wish.allowed_ips,
        )
        return f"{made.secret}\n{made.key.id} of team {team.name}; the secret is not shown again"

    return _with_keys(settings, create)


async def _team(tenants: TenantStore, wanted: str) -> Team:
    """The one team of that id or name. Raises CommandFailed: which one spends is never guessed."""
    matching = await tenants.teams_called(wanted)
    if not matching:
        raise CommandFailed(f"there is no team {wanted!r}: make it with `obol teams create`")
    if len(matching) > 1:
        ids = ", ".join(team.id for team in matching)
        raise CommandFailed(f"{len(matching)} teams are called {wanted!r}, say by its id which: {ids}")
    return matching[0]


async def _default_team(tenants: TenantStore) -> Team:
    """Raises CommandFailed when it was deleted: another one is not charged unasked."""
    team = await tenants.ensure_default_team(_COMMAND_LINE)
    if team.id != DEFAULT_TEAM and team.name != "default":
        raise CommandFailed("the default team was deleted: say with --team which one owns the key")
    return team


def list_keys(settings: Settings) -> str:
    """Every key as an aligned line. Raises CommandFailed."""

    async def collect(tenants: TenantStore, keys: KeyStore) -> str:
        names = await tenants.team_names()
        rows: list[Sequence[str]] = []
        cursor: str | None = None
        while True:
            page, cursor = await keys.page(limit=1000, cursor=cursor)
            rows += [_row(key, names.get(key.team, key.team)) for key in page]
            if cursor is None:
                return "\n".join(table(_COLUMNS, rows, left=len(_COLUMNS), cell_width_max=None))

    return _with_keys(settings, collect)


def revoke_key(settings: Settings, key_id: str) -> str:
    """Revoke a key on every replica at once. Raises CommandFailed."""

    async def revoke(_tenants: TenantStore, keys: KeyStore) -> str:
        key = await keys.revoke_key(_COMMAND_LINE, key_id)
        return f"{key.id} ({key.name}) is revoked"

    return _with_keys(settings, revoke)


def _row(key: Key, team: str) -> Sequence[str]:
    state = "live"
    if key.revoked_at:
        state = f"revoked {key.revoked_at:%Y-%m-%d %H:%M:%S}"
    elif key.expires_at:
        state = f"{'expires' if key.expires_at > datetime.now(UTC) else 'expired'} {key.expires_at:%Y-%m-%d %H:%M:%S}"
    models = "all" if key.models is None else ", ".join(key.models)
    return key.id, key.prefix, team, key.name, state, models


def _with_keys(settings: Settings, work: Callable[[TenantStore, KeyStore], Awaitable[str]]) -> str:
    async def run(ready: Settings) -> str:
        engine = database.connect(ready.database_url)
        redis = Redis.from_url(ready.redis_url) if ready.redis_url else None
        try:
            announce = redis_announcer(redis) if redis else announce_nothing
            return await work(TenantStore(engine, announce), KeyStore(engine, announce))
        finally:
            await engine.dispose()
            if redis is not None:
                await redis.aclose()

    with reachable(settings) as ready, as_command_failures(ready.database_url):
        return asyncio.run(run(ready))


@contextlib.contextmanager
def reachable(settings: Settings, *, may_create: bool = False, needs_redis: bool = False) -> Iterator[Settings]:
    """Settings whose servers answer: those named, else the running embedded ones, else ours for as long as we need.

    Without ``needs_redis`` a Redis that does not run is left alone, and its address is empty. Raises CommandFailed.
    """
    places = layout(settings.data_dir)
    if settings.database_url:
        yield replace(settings, redis_url=settings.redis_url or _running_valkey(settings))
        return
    try:
        postgres_rows(places.run, "SELECT 1")
    except (NotAnswering, Refused):
        if not may_create and not places.postgres.exists():
            raise CommandFailed(f"no gateway has served from {places.data_dir} yet: start `obol serve`") from None
        starts_valkey = needs_redis and not settings.redis_url
        with as_command_failures(places.database_url):
            stores = EmbeddedStores.start(settings.data_dir, postgres=True, valkey=starts_valkey)
        try:
            with as_command_failures(stores.database_url):
                migrate.upgrade(stores.database_url)
            redis_url = stores.redis_url if starts_valkey else settings.redis_url
            yield replace(settings, database_url=stores.database_url, redis_url=redis_url)
        finally:
            stores.stop()
        return
    yield replace(settings, database_url=places.database_url, redis_url=settings.redis_url or _running_valkey(settings))


def _running_valkey(settings: Settings) -> str:
    places = layout(settings.data_dir)
    try:
        valkey_answer(places.valkey_socket, "PING")
    except (NotAnswering, Refused):
        return ""
    return places.redis_url


@contextlib.contextmanager
def as_command_failures(database_url: str) -> Iterator[None]:
    """What the stores refuse, as the command's own failure."""
    try:
        yield
    except GatewayError as exc:
        raise CommandFailed(database_failures.reason(exc, database_url)) from exc
    except (StoresFailed, OSError, ValueError) as exc:
        raise CommandFailed(str(exc)) from exc
