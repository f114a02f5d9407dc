"""What a client says of an answer."""

from __future__ import annotations

from typing import Annotated

import msgspec

_STORABLE = r"^[^\x00]*$"  # Postgres holds no NUL


class Feedback(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How good the answer of a request was, in the client's own words: at least one of ``score`` and ``label``.

    ``who``: whose judgement it is, as the client names them.
    """

    request_id: Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=_STORABLE)]
    score: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    label: Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=_STORABLE)] | None = None
    who: Annotated[str, msgspec.Meta(max_length=200, pattern=_STORABLE)] | None = None
    comment: Annotated[str, msgspec.Meta(max_length=2000, pattern=_STORABLE)] | None = None
