"""What an operator is told of a database that cannot be used: where it was looked for, and why it did not serve."""

from __future__ import annotations

from urllib.parse import urlsplit

from gateway.errors import GatewayError, StoreUnavailable
from gateway.stores.database import sqlstate

_CREDENTIALS = "28"  # SQLSTATE class: its messages name the user


def reason(error: GatewayError, database_url: str) -> str:
    """One line with host, port and cause, never a user or a password; other errors say it themselves."""
    if not isinstance(error, StoreUnavailable):
        return error.message
    return f"the database at {_place(database_url)} cannot be used: {_cause(error.__cause__)}"


def _place(database_url: str) -> str:
    parts = urlsplit(database_url)
    return parts.netloc.rpartition("@")[2] or "its local socket"


def _cause(error: BaseException | None) -> str:
    if error is None:
        return "no reason is known"
    origin = getattr(error, "orig", None) or error
    if sqlstate(error).startswith(_CREDENTIALS):
        return "it refused our user or password"
    if isinstance(origin, TimeoutError) and not str(origin):
        return "it did not answer in time"
    return " ".join(str(origin).split()) or type(origin).__name__
