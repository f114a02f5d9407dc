"""Work beside the requests: shipping the journal, sweeping up after the dead, and whatever runs every few seconds."""

from gateway.jobs.runner import Job, JobRunner
from gateway.jobs.shipper import Shipper
from gateway.jobs.sweeper import SWEEP_INTERVAL_S, Sweeper

HEARTBEAT_INTERVAL_S = 2.0

__all__ = ["HEARTBEAT_INTERVAL_S", "SWEEP_INTERVAL_S", "Job", "JobRunner", "Shipper", "Sweeper"]
