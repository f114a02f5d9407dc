"""How a budget that downgrades moves a route to cheaper deployments while it burns.

The dearest deployment of a route may be called while less than half of the budget is used, the cheapest until all of it
is, and those between step down evenly: a team notices that answers change long before they stop.
"""

from __future__ import annotations

from collections.abc import Sequence

DEAREST_UNTIL_PCT = 50  # the first half is spent as if there were no budget
LAST_STEP_PCT = 95  # the last part is the cheapest one's alone, so that it lasts
CHEAPEST_UNTIL_PCT = 100


def ladder_pcts(holds: Sequence[int]) -> Sequence[int]:
    """For each candidate by its hold: the share of the budget, in percent, below which it may be called.

    Equal holds share a rung; a single one is the cheapest.
    """
    rungs = sorted(set(holds), reverse=True)
    between = max(1, len(rungs) - 2)
    until = {
        hold: DEAREST_UNTIL_PCT + (LAST_STEP_PCT - DEAREST_UNTIL_PCT) * rung // between
        for rung, hold in enumerate(rungs[:-1])
    }
    return [until.get(hold, CHEAPEST_UNTIL_PCT) for hold in holds]
