"""Replay: a recorded run in, what its advisors say when asked again out; above the graphs, and never near a trade."""

from mahler_agents.replay.choice import ReplayChoice
from mahler_agents.replay.results import Answer, AnswerSpread, ReplayResult
from mahler_agents.replay.run import replay, replay_exactly

__all__ = ["Answer", "AnswerSpread", "ReplayChoice", "ReplayResult", "replay", "replay_exactly"]
