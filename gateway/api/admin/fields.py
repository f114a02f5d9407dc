"""What the bodies, paths and answers of the admin API are made of."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Path
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
)

from gateway.networks import parse_network, written
from gateway.stores.paging import LIMIT_MAX

NAME_CHARACTERS_MAX = 200
MODEL_CHARACTERS_MAX = 500
MODELS_MAX = 1000
NETWORKS_MAX = 1000
ID_CHARACTERS_MAX = 200


def printable(value: str) -> str:
    # NUL is what Postgres cannot hold; other control characters only serve to deceive readers of logs and terminals.
    if not value.isprintable():
        raise ValueError("must hold printable characters only")
    return value


Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=NAME_CHARACTERS_MAX, strict=True),
    AfterValidator(printable),
]
ModelName = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MODEL_CHARACTERS_MAX, strict=True),
    AfterValidator(printable),
]
Models = Annotated[list[ModelName], Field(min_length=1, max_length=MODELS_MAX)]


def _canonical(text: str) -> str:
    return written(parse_network(text))


# IPv4 and IPv6 addresses and networks (192.0.2.7, 2001:db8::/32), in their one canonical spelling.
AllowedIps = Annotated[
    list[Annotated[str, StringConstraints(strip_whitespace=True, strict=True), AfterValidator(_canonical)]],
    Field(min_length=1, max_length=NETWORKS_MAX),
]


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("lies beyond the calendar") from None


# A time without a zone is refused: one reader's midnight is another's afternoon. One in the past makes a key that was
# never valid, which scripts that copy keys may want.
Instant = Annotated[AwareDatetime, AfterValidator(_in_utc)]

# Ids are ours to choose and of no form that others should rely on: only what Postgres cannot hold is refused.
PathId = Annotated[str, Path(pattern=r"^[^\x00]+$", max_length=ID_CHARACTERS_MAX)]


class Body(BaseModel):
    """A request's body: fields that we do not know are refused, so that a typing error is not a silent default."""

    model_config = ConfigDict(extra="forbid")


def unchanged() -> Any:
    """The default of a field of a PATCH that may be left out but not be null. It is never looked at."""
    return Field(default_factory=str)


class ChangeBody(Body):
    """A PATCH: what it names is set, what it leaves out stays."""

    def changes(self) -> dict[str, Any]:
        return self.model_dump(exclude_unset=True)


class PageQuery(BaseModel):
    """The parameters of every list. One that we do not know is refused: a misspelled filter would show everything."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[
        str | None, WithJsonSchema({"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": 100})
    ] = None
    cursor: Annotated[str | None, Field(description="The next_cursor of the page before.")] = None


T = TypeVar("T")


class Page(BaseModel, Generic[T]):
    """Newest first; ``next_cursor`` is null on the last page."""

    data: list[T]
    next_cursor: str | None


class Deleted(BaseModel):
    """What a deletion answers."""

    id: str
    deleted: bool = True
