"""Below the sample market, headlines: a date and the moves of its sessions in, made-up news out.

Templated, from a newswire that does not exist; what a headline says of a move is what the made-up prices did.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from mahler_agents.market.sample.noise import Topic, uniform
from mahler_agents.market.sample.world import SYMBOLS
from mahler_agents.market.snapshot import Headline

SOURCE = "Harbour Wire (synthetic)"

_MOST_A_DAY = 3
_DAY_SHARE = 0.55
"""Chance of each of a day's headlines."""

_THEMES: dict[str, tuple[str, ...]] = {
    "SPY": (
        "Analysts trim S&P 500 earnings estimates ahead of reporting season",
        "Payrolls land close to forecasts, index futures little changed",
        "Buyback announcements pick up among large S&P 500 members",
        "Fund managers report higher cash levels in monthly survey",
        "S&P 500 breadth narrows as the largest members lead",
    ),
    "QQQ": (
        "Chip makers guide above expectations on data-centre orders",
        "Regulators open inquiry into app-store fees",
        "Cloud providers raise capital spending plans again",
        "Software shares lag as buyers delay renewals",
        "Nasdaq 100 options volume climbs before index rebalance",
    ),
    "IWM": (
        "Regional lenders report steadier deposits",
        "Small companies face higher refinancing costs, survey says",
        "Small-business optimism edges up from a low base",
        "Russell 2000 members lean on domestic demand",
        "Credit spreads of smaller borrowers widen slightly",
    ),
    "TLT": (
        "Treasury leaves long-bond auction sizes unchanged",
        "Thirty-year auction draws average demand",
        "Rate setters repeat that policy depends on incoming inflation figures",
        "Core inflation matches forecasts, long yields steady",
        "Pension funds seen extending duration into quarter end",
    ),
    "GLD": (
        "Central banks add to gold reserves for another month",
        "Bullion holdings of exchange-traded funds edge lower",
        "Jewellery demand softens at current gold prices",
        "Dollar firms, gold gives up early gains",
        "Miners hedge more output as gold volatility rises",
    ),
}
_RISES = ("{symbol} gains {move:.1%} as buyers return", "{symbol} closes {move:.1%} higher in broad advance")
_FALLS = ("{symbol} slips {move:.1%} as sellers press", "{symbol} ends {move:.1%} lower, hedging demand rises")
_NEWSWORTHY_MOVE = 0.008


@dataclass(frozen=True, kw_only=True)
class SessionMove:
    """A completed session and its return."""

    close: dt.datetime
    change: float
    """Close over close before, less 1."""


def headlines(seed: int, index: int, at: dt.datetime, moves: Iterable[SessionMove]) -> tuple[Headline, ...]:
    """Return one instrument's headlines of the days of `moves` and after, none later than `at`, newest first."""
    moves = tuple(moves)
    days = sorted({move.close.date() for move in moves} | {at.date()})
    found = [*(h for move in moves for h in _of_move(index, move)), *_of_days(seed, index, days)]
    return tuple(sorted((h for h in found if h.at <= at), key=lambda h: (h.at, h.text), reverse=True))


def _of_move(index: int, move: SessionMove) -> Iterable[Headline]:
    """Yield the report of a session, a quarter of an hour after its close, if its move is news."""
    if abs(move.change) < _NEWSWORTHY_MOVE:
        return
    texts = _RISES if move.change > 0 else _FALLS
    text = texts[move.close.day % len(texts)].format(symbol=SYMBOLS[index], move=abs(move.change))
    yield Headline(at=move.close + dt.timedelta(minutes=15), text=text, source=SOURCE)


def _of_days(seed: int, index: int, days: Sequence[dt.date]) -> Iterable[Headline]:
    """Yield up to `_MOST_A_DAY` headlines of each day, between 11:00 and 21:00 UTC: the American day."""
    themes = _THEMES[SYMBOLS[index]]
    ordinals = np.array([day.toordinal() for day in days])[:, None]
    chance, theme, minute = (
        uniform(seed, Topic.HEADLINE, index, ordinals, np.arange(_MOST_A_DAY), use).tolist() for use in range(3)
    )
    for row, day in enumerate(days):
        opening = dt.datetime.combine(day, dt.time(11), dt.UTC)
        for number in range(_MOST_A_DAY):
            if chance[row][number] < _DAY_SHARE:
                at = opening + dt.timedelta(minutes=int(minute[row][number] * 600))
                yield Headline(at=at, text=themes[int(theme[row][number] * len(themes))], source=SOURCE)
