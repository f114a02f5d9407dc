"""Keyset pages, newest first: a cursor names the last row seen, so inserts move nothing under the reader."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from gateway.errors import BadRequest

LIMIT_DEFAULT = 100
LIMIT_MAX = 1000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_POSITION = re.compile(r"([0-9]{1,17})\.([0-9A-Za-z_-]{1,64})")
# ... as OpenAPI says it: empty for the first page.
CURSOR_PATTERN = f"^({_POSITION.pattern})?$"


def parse_limit(limit: int | str | None) -> int:
    """How many rows a page may have. Raises BadRequest outside 1 to 1000."""
    if limit is None or limit == "":
        return LIMIT_DEFAULT
    # Plain ASCII digits only: int() would also take " 5", "+5", "5_0" and other scripts' digits.
    if isinstance(limit, int) or re.fullmatch(r"[0-9]{1,9}", limit):
        number = int(limit)
        if 1 <= number <= LIMIT_MAX:
            return number
    raise BadRequest(f"limit is a whole number from 1 to {LIMIT_MAX}", param="limit")


def encode_cursor(created_at: datetime, row_id: str) -> str:
    """The name of a row's place in the order (created_at, id). Readers pass it on as it is."""
    return f"{(created_at - _EPOCH) // _MICROSECOND}.{row_id}"


def decode_cursor(cursor: str | None) -> tuple[datetime, str] | None:
    """The place that a cursor names, None for the first page. Raises BadRequest for what we never issued."""
    if not cursor:
        return None
    if match := _POSITION.fullmatch(cursor):
        return _EPOCH + int(match[1]) * _MICROSECOND, match[2]
    raise BadRequest("cursor is not one that this list returned", param="cursor")


def filter_value(value: str | None, param: str) -> str | None:
    """A text filter, None when it is empty. Raises BadRequest for a NUL, which Postgres cannot compare with."""
    if value and "\0" in value:
        raise BadRequest(f"{param} holds a NUL character", param=param)
    return value or None
