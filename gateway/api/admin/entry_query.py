"""How the query of an address says which entries of the ledger are wanted."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, tzinfo
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.config import JsonDict

from gateway.api.admin.access import visible
from gateway.api.admin.fields import FilterText
from gateway.domain import Actor, Purpose, Source
from gateway.errors import BadRequest
from gateway.stores.entry_filter import EntryFilter

# Nothing was spent before the first; both lie far from where calendars and time zones end.
_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
_MOMENT = "A date (its midnight) or an RFC 3339 time with a zone, %s."
_FORMATS: JsonDict = {
    "anyOf": [
        {"type": "string", "format": "date"},
        {"type": "string", "format": "date-time"},
        {"type": "string", "maxLength": 0},
    ]
}
# Python reads more than RFC 3339 as times: weeks, days without dashes.
_DATED = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ].+)?")
FROM = Field(alias="from", description=_MOMENT % "inclusive", json_schema_extra=_FORMATS)
TO = Field(description=_MOMENT % "exclusive", json_schema_extra=_FORMATS)


def none_if_empty(value: object) -> object:
    """An empty parameter is one that is not given."""
    return None if value == "" else value


def or_empty(words: Iterable[str]) -> Any:
    """The schema of a parameter that is one of these words, or empty."""
    return Field(json_schema_extra={"anyOf": [{"type": "string", "enum": [*map(str, words), ""]}]})


class EntryQuery(BaseModel):
    """The filters that pages of the ledger and reports share.

    A parameter that we do not know is refused: a misspelled filter would silently show everything. So is a word of our
    own vocabulary that does not exist: a misspelled one would silently show nothing.
    """

    model_config = ConfigDict(extra="forbid")

    organization: FilterText = None
    team: FilterText = None
    member: FilterText = None
    key: FilterText = None
    end_user: FilterText = None
    route: FilterText = None
    deployment: FilterText = None
    model: Annotated[FilterText, Field(description="The provider's name for it.")] = None
    provider: FilterText = None
    source: Annotated[Source | None, BeforeValidator(none_if_empty), or_empty(Source)] = None
    deflector: FilterText = None
    purpose: Annotated[Purpose | None, BeforeValidator(none_if_empty), or_empty(Purpose)] = None
    tag: FilterText = None
    from_: Annotated[str | None, FROM] = None
    to: Annotated[str | None, TO] = None


def chosen_entries(
    query: EntryQuery, actor: Actor, from_at: datetime | None, to_at: datetime | None, **more: str | None
) -> EntryFilter:
    """What the query wants of that which its sender may see; ``more`` are filters that not every address has."""
    bounds = visible(actor)
    return EntryFilter(
        organization=query.organization,
        team=query.team,
        member=query.member,
        key=query.key,
        end_user=query.end_user,
        route=query.route,
        deployment=query.deployment,
        model=query.model,
        provider=query.provider,
        source=query.source,
        deflector=query.deflector,
        purpose=query.purpose,
        tag=query.tag,
        from_at=from_at,
        to_at=to_at,
        within_organization=bounds.organization_id,
        within_team=bounds.team_id,
        **more,
    )


def moment(text: str | None, param: str, zone: tzinfo = UTC) -> datetime | None:
    """A date's midnight in ``zone``, or an instant, in UTC; None for nothing. Raises BadRequest naming ``param``.

    Times before 1970 or after 9000 are those years: there is no entry that this would take in or leave out.
    """
    if not text:
        return None
    if form := _DATED.fullmatch(text):
        try:
            if form[1] is None:
                value = datetime.combine(date.fromisoformat(text), time(), tzinfo=zone)
            else:
                value = datetime.fromisoformat(text)
            if value.tzinfo is not None:
                if _FIRST.year <= value.year < _LAST.year:
                    return value.astimezone(UTC)
                return _FIRST if value.year < _FIRST.year else _LAST
        except ValueError:
            pass  # said below, once
    raise BadRequest(
        f"{param} is a date (2026-11-01) or a time with its zone (2026-11-01T12:00:00Z); a plus sign"
        " in an address is written %2B",
        param=param,
    )
