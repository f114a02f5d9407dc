"""What the bodies, paths and answers of the admin API are made of."""

from __future__ import annotations

import re
from datetime import MINYEAR, UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Path
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema
from typing_extensions import TypeAliasType

from gateway.api.admin.network_schema import NETWORK_SCHEMA
from gateway.networks import parse_network, written
from gateway.stores.paging import CURSOR_PATTERN, LIMIT_MAX
from policies.windows import zone_names

NAME_CHARACTERS_MAX = 200
MODEL_CHARACTERS_MAX = 500
MODELS_MAX = 1000
NETWORKS_MAX = 1000
ID_CHARACTERS_MAX = 200
_NETWORK_CHARACTERS_MAX = 64


# NUL is what Postgres cannot hold; other control characters, writing directions, zero-width characters and spaces that
# are not the space only serve to deceive readers of logs and terminals.
_DECEIVING = (
    r"\x00-\x1f\x7f-\x9f\xa0\xad\u061c\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f"
)
_HAS_DECEIVING = re.compile(f"[{_DECEIVING}]")
# ... as OpenAPI says it: anything but those, and not spaces alone.
PRINTABLE_PATTERN = f"^[^{_DECEIVING}]*$"
NAME_PATTERN = f"^ *[^ {_DECEIVING}][^{_DECEIVING}]*$"


def printable(value: str) -> str:
    """The text, if people see all of it. Raises ValueError."""
    if _HAS_DECEIVING.search(value):
        raise ValueError("must hold printable characters only")
    return value


def _named(value: str) -> str:
    name = printable(value).strip(" ")
    if not name:
        raise ValueError("must not be empty")
    return name


# A text of one line that somebody chose; spaces around it are no part of it.
Name = Annotated[
    str,
    StringConstraints(min_length=1, max_length=NAME_CHARACTERS_MAX, strict=True),
    AfterValidator(_named),
    Field(json_schema_extra={"pattern": NAME_PATTERN}),
]
ModelName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MODEL_CHARACTERS_MAX, strict=True),
    AfterValidator(_named),
    Field(json_schema_extra={"pattern": NAME_PATTERN}),
]
Models = Annotated[list[ModelName], Field(min_length=1, max_length=MODELS_MAX)]


def _canonical(text: str) -> str:
    return written(parse_network(text))


_AllowedIp = Annotated[
    str,
    StringConstraints(strict=True, max_length=_NETWORK_CHARACTERS_MAX),
    AfterValidator(_canonical),
    WithJsonSchema(NETWORK_SCHEMA),
]
# They are kept in their one canonical spelling.
AllowedIps = Annotated[
    list[_AllowedIp],
    Field(min_length=1, max_length=NETWORKS_MAX),
]


_CALENDAR_BEGINS, _CALENDAR_ENDS = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:  # within a day of where the calendar ends
        return _CALENDAR_BEGINS if value.year == MINYEAR else _CALENDAR_ENDS


def _is_text(value: object) -> object:
    # Pydantic would take seconds since 1970, too.
    if not isinstance(value, str) or re.fullmatch(r"[-+.\d]*", value):
        raise ValueError("must be an RFC 3339 time with its zone, such as 2030-01-31T12:00:00Z")
    return value


# A time without a zone is refused: one reader's midnight is another's afternoon. One in the past makes a key that was
# never valid, which scripts that copy keys may want.
Instant = Annotated[AwareDatetime, BeforeValidator(_is_text), AfterValidator(_in_utc)]


class _ZoneNames:
    """Says in OpenAPI which time zones there are. They are looked up when the document is asked for."""

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _next: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "enum": sorted(zone_names())}


# The name of a time zone; ``zone_of`` reads it. OpenAPI has its own entry for the many that there are.
TimeZone = TypeAliasType("TimeZone", Annotated[str, _ZoneNames()])

# Ids are ours to choose and of no form that others should rely on: only what Postgres cannot hold is refused.
PathId = Annotated[str, Path(pattern=r"^[^\x00]+$", max_length=ID_CHARACTERS_MAX)]


def _whole(value: object) -> object:
    # 480.0 is an integer in JSON, "480" and true are none, though Pydantic would take them.
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueError("must be a whole number")  # noqa: TRY004 - Pydantic names the field for a ValueError alone
    return value


# ``Annotated[int, Field(ge=0), WHOLE]``: in this order, else OpenAPI does not tell the bounds.
WHOLE = BeforeValidator(_whole)


def _number(value: object) -> object:
    # "0.02" and true are no numbers in JSON, though Pydantic would take them.
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueError("must be a number")  # noqa: TRY004 - Pydantic names the field for a ValueError alone
    return value


# A part of a whole that is never all of it.
Share = Annotated[float, Field(ge=0, lt=1), BeforeValidator(_number)]


class Body(BaseModel):
    """A request's body: fields that we do not know are refused, so that a typing error is not a silent default."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _is_no_number(cls, value: object) -> object:
        # FastAPI reads bodies off the attributes of any object, and Decimal is one that has none of ours: as if empty.
        if isinstance(value, Decimal):
            raise ValueError("must be an object")  # noqa: TRY004 - what pydantic takes for a finding
        return value


def unchanged() -> Any:
    """The default of a field of a PATCH that may be left out but not be null. It is never looked at."""
    return Field(default_factory=str)


class ChangeBody(Body):
    """A PATCH: what it names is set, what it leaves out stays."""

    def changes(self) -> dict[str, Any]:
        return self.model_dump(exclude_unset=True)


# A filter by what others chose: any text that Postgres can hold. Empty is none.
FilterText = Annotated[str | None, WithJsonSchema({"type": "string", "pattern": r"^[^\x00]*$"})]


class PageQuery(BaseModel):
    """The parameters of every list. One that we do not know is refused: a misspelled filter would show everything."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[
        str | None,
        WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1, "maximum": LIMIT_MAX}, {"const": ""}]}),
        Field(description="100 unless told otherwise."),
    ] = None
    cursor: Annotated[
        str | None,
        WithJsonSchema(
            {"type": "string", "pattern": CURSOR_PATTERN, "description": "The next_cursor of the page before."}
        ),
    ] = None


T = TypeVar("T")


class Page(BaseModel, Generic[T]):
    """Newest first; ``next_cursor`` is null on the last page."""

    data: list[T]
    next_cursor: str | None


class Deleted(BaseModel):
    """What a deletion answers."""

    id: str
    deleted: bool = True
