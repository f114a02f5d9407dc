"""Probes reach the servers that can be probed, and what they say reaches the circuits."""

from __future__ import annotations

from pipeline_parts import Catalog, deployment
from scripted_upstream import ScriptedUpstream

from backends.registry import create_backends
from gateway.domain import Deployment, Provider
from gateway.jobs.prober import Prober
from policies.breaker import HealthBoard


async def test_a_vllm_that_is_gone_is_left_alone_and_others_are_not_asked():
    async with ScriptedUpstream() as upstream:
        tariff = deployment("x", 1, 1).tariff
        alive = Deployment("alive", Provider("here", "vllm", upstream.base_url), "m", tariff=tariff)
        gone = Deployment("gone", Provider("there", "vllm", "http://127.0.0.1:9/v1"), "m", tariff=tariff)
        other = Deployment("other", Provider("api", "openai", upstream.base_url), "m", tariff=tariff)
        catalog, backends, health = Catalog(alive, gone, other), create_backends(), HealthBoard()
        catalog.names = lambda: [(name, "") for name in catalog.deployments]

        await Prober(lambda: catalog, backends.probes, health, lambda: 0.0).probe()
        await backends.close()

    assert [health.why_unavailable(name, 1.0) is None for name in ("alive", "gone", "other")] == [True, False, True]
