"""Models without a price, from the path to the outbox in a real Valkey."""

from __future__ import annotations

from gateway.background import Tasks
from gateway.jobs.unpriced import MODELS_MAX, UnpricedModels
from gateway.stores.alert_outbox import AlertOutbox, Taken

DAY_S = 86_400


class Process:
    def __init__(self, link):
        self.now_s = 1_790_000_000.0
        self.announced = []
        self.tasks = Tasks()
        self.outbox = AlertOutbox(link)
        self.models = UnpricedModels(self.outbox, self.tasks, unix_s=lambda: self.now_s, announce=self.announced.append)

    async def notices(self, *models, organization="org"):
        for model in models:
            self.models.noticed(organization, model)
        await self.tasks.drain()

    async def told(self, organization="org"):
        found = []
        while isinstance(taken := await self.outbox.take(organization), Taken):
            found.append(taken.alert.model)
        return sorted(found)


async def test_a_model_is_told_of_once_a_day_and_organization_by_all_processes_together(link):
    one, other = Process(link), Process(link)
    await one.notices("a", "a", "b")
    await other.notices("a", "c")
    await one.notices("a", organization="org_2")
    assert await one.told() == ["a", "b", "c"]
    assert await one.told("org_2") == ["a"]
    assert one.announced == ["org", "org", "org_2"]
    assert other.announced == ["org"]
    one.now_s += DAY_S
    await one.notices("a")
    taken = [one.announced[-1], len(one.announced)]
    assert taken == ["org", 4]


async def test_names_that_clients_make_up_do_not_flood_anybody(link):
    process = Process(link)
    await process.notices(*(f"model-{number}" for number in range(MODELS_MAX * 2)))
    assert len(await process.told()) == MODELS_MAX


async def test_what_redis_could_not_take_is_told_with_a_later_request(valkey, link):
    process = Process(link)
    valkey.kill()
    await process.notices("a")
    valkey.start()
    await link._keep_trying()
    await process.notices("a")
    assert await process.told() == ["a"]
