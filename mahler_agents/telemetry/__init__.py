"""Telemetry: a run of the record as OpenTelemetry spans, sent once the run has ended; off unless asked for."""

from mahler_agents.telemetry.exporter import Telemetry, telemetry_from

__all__ = ["Telemetry", "telemetry_from"]
