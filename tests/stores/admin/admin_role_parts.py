"""What tests of roles share: a clock, and tenants whose admins are tried."""

from __future__ import annotations

from uuid import uuid4


class Time:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Tenants:
    """An organization with two teams, each with a member and a key."""

    async def made_by(self, owner):
        self.organization = (await owner.post("organizations", name=uuid4().hex))["id"]
        self.scope = {"organization": self.organization}
        self.ids = {"organizations": [self.organization], "teams": [], "members": [], "keys": []}
        for name in ("first", "second"):
            team = (await owner.post("teams", name=name, organization=self.organization))["id"]
            member = (await owner.post("members", name=name, team=team))["id"]
            key = (await owner.post("keys", name=name, team=team, member=member))["id"]
            for kind, made in (("teams", team), ("members", member), ("keys", key)):
                self.ids[kind].append(made)
        self.team_scope = {"team": self.ids["teams"][0]}
        return self
