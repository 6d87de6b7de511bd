"""Stage 1, market: a made-up market of the five underlyings, a pure function of seed and instant."""

from mahler_agents.market.sample.market import DEFAULT_AS_OF, DEFAULT_SEED, SampleMarket

__all__ = ["DEFAULT_AS_OF", "DEFAULT_SEED", "SampleMarket"]
