"""What the bodies, paths and answers of the admin API are made of."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Path
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

NAME_CHARACTERS_MAX = 200
MODEL_CHARACTERS_MAX = 500
MODELS_MAX = 1000
ID_CHARACTERS_MAX = 200


def _printable(value: str) -> str:
    # NUL is what Postgres cannot hold; other control characters only serve to deceive readers of logs and terminals.
    if not value.isprintable():
        raise ValueError("must hold printable characters only")
    return value


Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=NAME_CHARACTERS_MAX, strict=True),
    AfterValidator(_printable),
]
ModelName = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MODEL_CHARACTERS_MAX, strict=True),
    AfterValidator(_printable),
]
Models = Annotated[list[ModelName], Field(min_length=1, max_length=MODELS_MAX)]


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


class Deleted(BaseModel):
    """What a deletion answers."""

    id: str
    deleted: bool = True
