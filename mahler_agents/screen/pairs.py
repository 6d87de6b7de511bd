"""Stage 2, screen, second half: eligible legs in, scored credit spreads out, and why the other pairs are none."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np

from mahler_agents.market.snapshot import Floats
from mahler_agents.screen.contracts import PRICE_TOLERANCE, Codes, Legs, Rows
from mahler_agents.screen.types import PairRejection, ScoreWeights, ScreenParams


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Short and long legs as columns; dollars per share."""

    short: Rows
    """Position in `Legs`."""
    long: Rows
    width: Floats
    credit: Floats
    """Short mid less long mid."""

    def __len__(self) -> int:
        return len(self.short)

    def take(self, positions: Rows) -> "Pairs":
        """Return the pairs at the positions."""
        return Pairs(
            short=self.short[positions],
            long=self.long[positions],
            width=self.width[positions],
            credit=self.credit[positions],
        )


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Scores of pairs and their components, as columns; each in [0, 1]."""

    score: Floats
    delta: Floats
    credit: Floats
    ev: Floats


def build_pairs(legs: Legs, params: ScreenParams) -> Pairs:
    """Return all pairs of one type and expiration whose short delta and width are in range.

    The long leg of a put spread is below the short leg, that of a call spread above. `legs` are sorted by type,
    expiration and strike, so each short leg's long legs are one run of rows: two binary searches find it.
    """
    size = np.abs(legs.delta)
    shorts = np.flatnonzero((size >= params.min_short_delta) & (size <= params.max_short_delta))
    if not shorts.size:
        nothing = np.empty(0, dtype=np.intp)
        return Pairs(short=nothing, long=nothing, width=np.empty(0), credit=np.empty(0))
    # One number that sorts like (type, expiration, strike): groups lie further apart than any width reaches.
    gap = legs.strike.max() + 2 * params.max_width
    changes = (legs.is_put[1:] != legs.is_put[:-1]) | (legs.expiration[1:] != legs.expiration[:-1])
    place = np.concatenate(([0], np.cumsum(changes))) * gap + legs.strike
    nearest, furthest = params.min_width - PRICE_TOLERANCE, params.max_width + PRICE_TOLERANCE
    put = legs.is_put[shorts]
    start = np.searchsorted(place, place[shorts] + np.where(put, -furthest, nearest), side="left")
    stop = np.searchsorted(place, place[shorts] + np.where(put, -nearest, furthest), side="right")
    count = stop - start
    short = np.repeat(shorts, count)
    within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    long = np.repeat(start, count) + within
    return Pairs(
        short=short,
        long=long,
        width=np.abs(legs.strike[short] - legs.strike[long]),
        credit=legs.mid[short] - legs.mid[long],
    )


def reject_pairs(
    legs: Legs, pairs: Pairs, params: ScreenParams, open_groups: AbstractSet[tuple[bool, np.datetime64]]
) -> Codes:
    """Return for each pair an index into `tuple(PairRejection)`, -1 where it passed.

    `open_groups` are (is put, expiration) of the underlying's open positions and pending orders.
    """
    duplicate = np.zeros(len(pairs), dtype=np.bool_)
    for is_put, expiration in open_groups:
        duplicate |= (legs.is_put[pairs.short] == is_put) & (legs.expiration[pairs.short] == expiration)
    failed = {
        PairRejection.CREDIT_NOT_POSITIVE: pairs.credit <= PRICE_TOLERANCE,
        PairRejection.CREDIT_NOT_BELOW_WIDTH: pairs.credit >= pairs.width - PRICE_TOLERANCE,
        PairRejection.CREDIT: pairs.credit < params.min_credit_to_width * pairs.width - PRICE_TOLERANCE,
        PairRejection.DUPLICATE_POSITION: duplicate,
    }
    codes = np.full(len(pairs), -1, dtype=np.int8)
    for code, reason in reversed(list(enumerate(PairRejection))):  # so that the first reason is the one that stays
        codes[failed[reason]] = code
    return codes


def score_pairs(legs: Legs, pairs: Pairs, weights: ScoreWeights, iv: float | None) -> Scores:
    """Return the scores; `iv` is the underlying's IV percentile / 100, None if unknown: its weight is shared out.

    Scores are rounded to 9 decimals, so that a tie is a tie on every machine.
    """
    delta = np.abs(legs.delta[pairs.short])
    delta_part = np.clip(1 - 10 * np.abs(delta - 0.10), 0, 1)
    credit_part = 2 * np.minimum(pairs.credit / pairs.width, 0.5)
    expected_value = (1 - delta) * pairs.credit - delta * (pairs.width - pairs.credit)
    ev_part = np.maximum(0, expected_value) / pairs.width
    total = weights.delta * delta_part + weights.credit * credit_part + weights.ev * ev_part
    present = weights.delta + weights.credit + weights.ev
    if iv is not None:
        total, present = total + weights.iv * iv, present + weights.iv
    return Scores(score=np.round(total / present, 9), delta=delta_part, credit=credit_part, ev=ev_part)
