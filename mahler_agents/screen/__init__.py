"""Stage 2, screen: a `Snapshot` in, ranked `Candidate`s and a `ScreenReport` out; pure and vectorised."""

from mahler_agents.screen.deltas import leg_deltas
from mahler_agents.screen.ranking import screen, select_for_review
from mahler_agents.screen.types import (
    REGIME_WEIGHTS,
    Candidate,
    ContractRejection,
    LegFacts,
    NearestMiss,
    PairRejection,
    ScoreParts,
    ScoreWeights,
    ScreenParams,
    ScreenReport,
    SpreadGreeks,
)

__all__ = [
    "REGIME_WEIGHTS",
    "Candidate",
    "ContractRejection",
    "LegFacts",
    "NearestMiss",
    "PairRejection",
    "ScoreParts",
    "ScoreWeights",
    "ScreenParams",
    "ScreenReport",
    "SpreadGreeks",
    "leg_deltas",
    "screen",
    "select_for_review",
]
