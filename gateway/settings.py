"""Settings: what the environment says, checked once, before anything heavy is imported.

Environment holds addresses and secrets only; what can be called is the catalog's, who may call it the database's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from urllib.parse import urlsplit

from gateway.networks import parse_network
from gateway.signing import key_of

LOG_LEVELS = ("debug", "info", "warning", "error")
DATABASE_SCHEMES = ("postgresql", "postgres", "postgresql+asyncpg")
REDIS_SCHEMES = ("redis", "rediss", "unix", "redis+cluster", "rediss+cluster")
WITHOUT_REDIS = ("refuse", "allow")
ORPHANED_CHARGES = ("seen", "hold")
YES, NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off", "")
WORKERS_MAX = 512
DECISIONS_DAYS_MAX = 3650
PRICE_USD_MAX = 1000
QUESTIONS_MAX = 10_000_000
MEMORY_MIB_MAX = 1024 * 1024


class WrongSetting(Exception):
    """A setting cannot be used; the message is one line that names it and says what would be right."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of one `obol serve`; the same names as flags. URLs left empty mean the embedded servers."""

    catalog: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    data_dir: Path = Path(".obol")
    database_url: str = field(default="", repr=False)
    redis_url: str = field(default="", repr=False)
    cache_redis_url: str = field(default="", repr=False)
    admin_key: str = field(default="", repr=False)
    log_level: str = "info"
    cors_origins: tuple[str, ...] = ()
    content_logging: bool = False
    budgets_without_redis: str = "refuse"  # what becomes of budgeted calls while Redis is away
    orphaned_charge: str = "seen"  # what a call is charged whose process died: what was seen of it, or its hold
    body_bytes_max: int = 32 * 1024 * 1024
    alert_webhook_url: str = field(default="", repr=False)  # the address itself may hold a secret
    alert_webhook_secret: str = field(default="", repr=False)
    alert_spend_multiple: float = 3.0  # of the same hours a week before; more is told
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    decisions_days: int = 90  # how long decisions of routes are kept; 0: none are
    cpu_usd_per_hour: float = 0.04  # what one processor costs: routers take its time
    similar_questions_max: int = 50_000  # of an organization; what ends first makes room
    similar_memory_mib: int = 512  # what the embedder may take for all of them, beside the encoder
    similar_within_ms: int = 30  # a look that takes longer found nothing
    router: Path | None = None  # the trained router of cheapest_adequate; None: the one that ships

    @classmethod
    def from_environment(cls, env: Mapping[str, str], overrides: Mapping[str, str | None] | None = None) -> Settings:
        """Read OBOL_* of ``env``; ``overrides`` (field name -> text, ``None`` means not given) win.

        Raises WrongSetting.
        """
        texts: dict[str, str] = {}
        for one in fields(cls):
            override = (overrides or {}).get(one.name)
            text = env.get(variable(one.name), "") if override is None else override
            if text.strip():
                texts[one.name] = text.strip()
        database_url = texts.get("database_url", "")
        webhook_url, webhook_secret = _webhook(texts)
        return cls(
            catalog=Path(texts["catalog"]).expanduser() if "catalog" in texts else None,
            host=texts.get("host", "127.0.0.1"),
            port=_integer("port", texts, 8080, least=0, most=65535),
            workers=_integer("workers", texts, 1, least=1, most=WORKERS_MAX),
            data_dir=Path(texts.get("data_dir", ".obol")).expanduser(),
            database_url=_database_url(database_url) if database_url else "",
            redis_url=_redis_url("redis_url", texts),
            cache_redis_url=_redis_url("cache_redis_url", texts),
            admin_key=_admin_key(texts.get("admin_key", "")),
            log_level=_one_of("log_level", texts, "info", LOG_LEVELS),
            cors_origins=_origins(texts.get("cors_origins", "")),
            content_logging=_boolean("content_logging", texts),
            budgets_without_redis=_one_of("budgets_without_redis", texts, "refuse", WITHOUT_REDIS),
            orphaned_charge=_one_of("orphaned_charge", texts, "seen", ORPHANED_CHARGES),
            body_bytes_max=_integer("body_bytes_max", texts, 32 * 1024 * 1024, least=1024, most=2**31),
            alert_webhook_url=webhook_url,
            alert_webhook_secret=webhook_secret,
            alert_spend_multiple=_multiple("alert_spend_multiple", texts, 3.0),
            trusted_proxies=_networks("trusted_proxies", texts),
            decisions_days=_integer("decisions_days", texts, 90, least=0, most=DECISIONS_DAYS_MAX),
            cpu_usd_per_hour=_price("cpu_usd_per_hour", texts, 0.04),
            similar_questions_max=_integer("similar_questions_max", texts, 50_000, least=1, most=QUESTIONS_MAX),
            similar_memory_mib=_integer("similar_memory_mib", texts, 512, least=16, most=MEMORY_MIB_MAX),
            similar_within_ms=_integer("similar_within_ms", texts, 30, least=1, most=60_000),
            router=Path(texts["router"]).expanduser() if "router" in texts else None,
        )

    @property
    def encoder_dir(self) -> Path:
        """Where the graph of the sentence encoder is kept: one for the embedder and for commands."""
        return self.data_dir / "encoder"

    def to_environment(self) -> dict[str, str]:
        """The OBOL_* variables that make the same settings in another process."""
        texts = {
            "catalog": "" if self.catalog is None else str(self.catalog),
            "router": "" if self.router is None else str(self.router),
            "cors_origins": ",".join(self.cors_origins),
            "trusted_proxies": ",".join(map(str, self.trusted_proxies)),
            "content_logging": "1" if self.content_logging else "0",
        }
        return {variable(one.name): texts.get(one.name, str(getattr(self, one.name))) for one in fields(self)}


def variable(name: str) -> str:
    """The environment variable of a field."""
    return "OBOL_LOG_CONTENT" if name == "content_logging" else f"OBOL_{name.upper()}"


def _integer(name: str, texts: Mapping[str, str], default: int, *, least: int, most: int) -> int:
    if name not in texts:
        return default
    text = texts[name]
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise WrongSetting(f"{variable(name)} must be a whole number from {least} to {most}, not {text!r}")
    return int(text)


def _one_of(name: str, texts: Mapping[str, str], default: str, allowed: tuple[str, ...]) -> str:
    value = texts.get(name, default).lower()
    if value not in allowed:
        raise WrongSetting(f"{variable(name)} must be one of {', '.join(allowed)}, not {value!r}")
    return value


def _boolean(name: str, texts: Mapping[str, str]) -> bool:
    value = texts.get(name, "").lower()
    if value not in YES + NO:
        raise WrongSetting(f"{variable(name)} must be 1 or 0, not {value!r}")
    return value in YES


def _admin_key(key: str) -> str:
    if not key.isascii() or not key.isprintable() or " " in key:
        raise WrongSetting("OBOL_ADMIN_KEY must be printable ASCII characters without spaces")
    return key


def _origins(text: str) -> tuple[str, ...]:
    origins = tuple(part.strip() for part in text.split(",") if part.strip())
    for origin in origins:
        if origin != "*" and not _is_origin(origin):
            raise WrongSetting(
                f"OBOL_CORS_ORIGINS must be * or origins such as https://app.example.com, not {origin!r}"
            )
    return origins


def _multiple(name: str, texts: Mapping[str, str], default: float) -> float:
    try:
        value = float(texts.get(name, default))
    except ValueError:
        value = math.nan
    if not 1 <= value < math.inf:  # false for what is no number too
        raise WrongSetting(f"{variable(name)} must be a number from 1 on, not {texts[name]!r}")
    return value


def _price(name: str, texts: Mapping[str, str], default: float) -> float:
    try:
        value = float(texts.get(name, default))
    except ValueError:
        value = math.nan
    if not 0 <= value <= PRICE_USD_MAX:  # false for what is no number too
        raise WrongSetting(f"{variable(name)} must be dollars from 0 to {PRICE_USD_MAX}, not {texts[name]!r}")
    return value


def _webhook(texts: Mapping[str, str]) -> tuple[str, str]:
    """Where alerts go and what they are signed with. No message repeats either."""
    url, secret = texts.get("alert_webhook_url", ""), texts.get("alert_webhook_secret", "")
    try:
        key_of(secret)
    except ValueError as exc:
        raise WrongSetting(f"OBOL_ALERT_WEBHOOK_SECRET cannot be used: {exc}") from exc
    try:
        parts = urlsplit(url)
        _ = parts.port  # reading it checks it
    except ValueError as exc:
        raise WrongSetting(f"OBOL_ALERT_WEBHOOK_URL is not a URL: {exc}") from exc
    if url and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise WrongSetting("OBOL_ALERT_WEBHOOK_URL must be an address such as https://alerts.example.com/obol")
    if url and not secret:
        raise WrongSetting("OBOL_ALERT_WEBHOOK_URL needs OBOL_ALERT_WEBHOOK_SECRET, which signs what is sent there")
    return url, secret


def _networks(name: str, texts: Mapping[str, str]) -> tuple[IPv4Network | IPv6Network, ...]:
    try:
        return tuple(parse_network(part.strip()) for part in texts.get(name, "").split(",") if part.strip())
    except ValueError as exc:
        raise WrongSetting(f"{variable(name)} must be networks such as 10.0.0.0/8, separated by commas: {exc}") from exc


def _is_origin(text: str) -> bool:
    """Scheme, host and perhaps a port, just as a browser sends them: no path, not even a slash."""
    scheme, mark, host = text.partition("://")
    try:
        parts = urlsplit(text)
        _ = parts.port  # reading it checks it
    except ValueError:
        return False
    return bool(mark and scheme and parts.hostname) and parts.netloc == host and "@" not in host


def _redis_url(name: str, texts: Mapping[str, str]) -> str:
    url = texts.get(name, "")
    scheme = url.partition("://")[0]
    if url and (scheme not in REDIS_SCHEMES or len(url) <= len(scheme) + 3):
        raise WrongSetting(f"{variable(name)} must start with redis://, rediss:// or unix:// and name a server")
    try:
        _check_address(url, scheme)
    except ValueError as exc:
        raise WrongSetting(f"{variable(name)} is not a URL: {exc}") from exc
    return url


def _check_address(url: str, scheme: str) -> None:
    """Raises ValueError for hosts and ports that are none; several may stand there, separated by commas."""
    netloc = urlsplit(url).netloc
    if scheme == "unix":
        return
    for host in netloc.rpartition("@")[2].split(","):
        _ = urlsplit(f"//{host}").port  # reading it checks it


def _database_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        _check_address(url, parts.scheme)
    except ValueError as exc:
        raise WrongSetting(f"OBOL_DATABASE_URL is not a URL: {exc}") from exc
    if parts.scheme not in DATABASE_SCHEMES:
        raise WrongSetting("OBOL_DATABASE_URL must start with postgresql://")
    if not parts.path.strip("/"):
        raise WrongSetting("OBOL_DATABASE_URL must name a database: postgresql://user:password@host/database")
    return url
