"""Which objects an actor may see and change: the one place that knows what a role and its scope mean.

Outside its scope an actor finds nothing (404, so that nobody learns what others have). Inside, a viewer's write is
refused (403), and so is what only a wider scope may do.
"""

from __future__ import annotations

from gateway.domain import Actor, Role, Scope
from gateway.errors import Forbidden, NotFound
from gateway.stores.records import Place


def visible(actor: Actor) -> Place:
    """What bounds the lists that the actor may see."""
    return Place(actor.organization_id, actor.team_id)


def sees(actor: Actor, organization_id: str | None, team_id: str | None = None) -> bool:
    """Whether an object of that organization (and team, None: of no team) lies in the actor's scope."""
    if actor.organization_id is not None and organization_id != actor.organization_id:
        return False
    return actor.team_id is None or team_id == actor.team_id


def must_read(actor: Actor, organization_id: str | None, team_id: str | None, missing: NotFound) -> None:
    """Raises ``missing``, which is what an object that does not exist raises, for one outside the actor's scope."""
    if not sees(actor, organization_id, team_id):
        raise missing


def must_write(actor: Actor, organization_id: str | None, team_id: str | None, missing: NotFound) -> None:
    """Raises ``missing`` for an object outside the actor's scope, Forbidden (403) for a viewer's change inside it.

    A team's admin is told 403, not 404, about objects of its whole organization: it knows that this exists.
    """
    if actor.team_id is not None and team_id is None and organization_id == actor.organization_id:
        raise not_allowed(actor, "change what belongs to the whole organization")
    must_read(actor, organization_id, team_id, missing)  # first: to a viewer, too, what others have does not exist
    may_change(actor)


def must_rule(actor: Actor, scope: Scope, team_id: str | None, missing: NotFound) -> None:
    """Raises as ``must_write`` does, and Forbidden where a team's admin would set what the whole team may do.

    It divides among keys, members and end users what its organization gives; ``team_id``: whose team the scope is of.
    """
    must_write(actor, scope.organization_id, team_id, missing)
    is_part = scope.member_id or scope.key_id or scope.end_user or scope.each
    if actor.team_id is not None and not is_part:
        raise not_allowed(actor, "set what its whole team may spend or ask")


def may_change(actor: Actor) -> None:
    """Raises Forbidden (403) for a viewer, whatever it wants to change."""
    if actor.role is Role.VIEWER:
        raise not_allowed(actor, "change anything")


def must_outrank(actor: Actor, organization_id: str, team_id: str | None, missing: NotFound) -> None:
    """Raises as ``must_write`` does, and Forbidden for what is the actor's whole scope: none ends that from within."""
    must_write(actor, organization_id, team_id, missing)
    if actor.organization_id is not None and (actor.organization_id, actor.team_id) == (organization_id, team_id):
        raise not_allowed(actor, "delete its own scope")


def must_cap(actor: Actor) -> None:
    """Raises Forbidden (403) for a team's admin: what a call of its team may cost is set above it."""
    if actor.team_id is not None:
        raise not_allowed(actor, "set what a call of its whole team may cost")


def must_screen(actor: Actor) -> None:
    """Raises Forbidden (403) for a team's admin: what looks at its team's requests is set above it."""
    if actor.team_id is not None:
        raise not_allowed(actor, "set what guards the requests of its whole team")


def must_own(actor: Actor, what: str) -> None:
    """Raises Forbidden (403) for everyone but owners; ``what`` completes "may not ..."."""
    if actor.role is not Role.OWNER:
        raise not_allowed(actor, what)


def not_allowed(actor: Actor, what: str) -> Forbidden:
    """The refusal of what a role may not do."""
    return Forbidden(f"The admin key {actor.name!r} ({actor.role}) may not {what}.", code="role_not_allowed")
