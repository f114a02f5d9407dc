"""Which entries of the ledger are wanted: the same words for its pages and for reports."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gateway.stores.paging import filter_value

# What a client may filter by, and the column that must be equal.
COLUMNS = {
    "organization": "organization_id",
    "team": "team_id",
    "member": "member_id",
    "key": "key_id",
    "end_user": "end_user",
    "request": "request_id",
    "route": "route",
    "deployment": "deployment",
    "model": "model",
    "provider": "provider",
    "purpose": "purpose",
    "source": "source",
    "deflector": "deflector",
    "basis": "basis",
    "status": "status",
}


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """Entries for which everything that is named holds; None and the empty string name nothing.

    ``model`` is the provider's name for it. ``from_at`` is inclusive, ``to_at`` exclusive. ``within_organization`` and
    ``within_team`` are the bounds of what the reader may see, whatever else is asked for.
    """

    organization: str | None = None
    team: str | None = None
    member: str | None = None
    key: str | None = None
    end_user: str | None = None
    request: str | None = None
    route: str | None = None
    deployment: str | None = None
    model: str | None = None
    provider: str | None = None
    purpose: str | None = None
    source: str | None = None
    deflector: str | None = None
    basis: str | None = None
    status: str | None = None
    tag: str | None = None
    from_at: datetime | None = None
    to_at: datetime | None = None
    within_organization: str | None = None
    within_team: str | None = None

    def conditions(self) -> dict[str, tuple[str, object]]:
        """By the name of its parameter: an SQL condition, and the parameter's value. Raises BadRequest for a NUL."""
        found: dict[str, tuple[str, object]] = {}
        for name, column in COLUMNS.items():
            if value := filter_value(getattr(self, name), name):
                found[name] = (f"{column} = :{name}", value)
        if tag := filter_value(self.tag, "tag"):
            found["tag"] = (":tag = ANY(tags)", tag)
        for name, condition in (
            ("from_at", "created_at >= :from_at"),
            ("to_at", "created_at < :to_at"),
            ("within_organization", "organization_id = :within_organization"),
            ("within_team", "team_id = :within_team"),
        ):
            if (bound := getattr(self, name)) is not None:
                found[name] = (condition, bound)
        return found


EVERYTHING = EntryFilter()


def page_conditions(
    chosen: EntryFilter, place: tuple[datetime, object] | None, id_column: str = "id"
) -> tuple[str, dict[str, object]]:
    """The WHERE of a page in the order (created_at, id) descending, and its parameters. Raises BadRequest for a NUL.

    ``place``: the last row of the page before. Nothing else is put into the text than names of our own.
    """
    wanted = chosen.conditions()
    conditions = [condition for condition, _ in wanted.values()]
    parameters: dict[str, object] = {name: value for name, (_, value) in wanted.items()}
    if place is not None:
        # The first half lets Postgres skip the months that are newer than the cursor.
        conditions.append(f"created_at <= :instant AND (created_at, {id_column}) < (:instant, :last)")
        parameters |= {"instant": place[0], "last": place[1]}
    return f"WHERE {' AND '.join(conditions)}" if conditions else "", parameters
