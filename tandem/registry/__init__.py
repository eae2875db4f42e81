"""The registry of workloads: loads and validates them."""

from tandem.registry.errors import LoadError
from tandem.registry.loading import load, load_and_verify
from tandem.registry.programs import of_workloads as programs
from tandem.registry.rates import rates
from tandem.registry.schedules import schedule_definitions

__all__ = ["LoadError", "load", "load_and_verify", "programs", "rates", "schedule_definitions"]
