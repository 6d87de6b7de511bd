"""Command line, `mahler trace export`: a spread in, the drawing of its profit and loss at expiration out.

Dollars of one contract against the underlying's price. At a price S a short spread has earned its credit, less what
the short leg is worth, plus what the long leg is.
"""

from dataclasses import dataclass

from mahler_agents.record.trace_rows import CandidateTrace
from mahler_agents.units import CONTRACT_MULTIPLIER

WIDTH, HEIGHT = 480.0, 220.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 12.0, 12.0, 30.0, 40.0
_MARGIN = 0.12
"""Of the range of prices, left free on either side."""


@dataclass(frozen=True, kw_only=True)
class Payoff:
    """A spread's figures, dollars of one contract unless said, and where they stand in the drawing, in its units."""

    credit: float
    """Per share: as filled, else as screened."""
    filled: bool
    max_profit: float
    max_loss: float
    """Above zero."""
    breakeven: float
    """Price of the underlying."""
    spot: float | None
    """Price of the underlying when it was screened; None if the record has none."""
    line: str
    """Points of the line, as SVG has them."""
    profit: str
    loss: str
    """Points of the areas above and below zero."""
    zero_y: float
    x_of: dict[str, float]
    """`short`, `long`, `breakeven` and, if known, `spot`."""
    profit_at: "Label"
    loss_at: "Label"
    """Where the largest profit and loss are written."""


@dataclass(frozen=True, kw_only=True)
class Label:
    """Where a label stands, and which end of it."""

    x: float
    y: float
    anchor: str


def payoff_of(candidate: CandidateTrace) -> Payoff:
    """Return the drawing of a candidate's spread."""
    fills = [fill for order in candidate.orders if order.purpose == "entry" for fill in order.fills]
    contracts = sum(fill.contracts for fill in fills)
    credit = sum(fill.credit * fill.contracts for fill in fills) / contracts if contracts else candidate.credit
    width = abs(candidate.short_strike - candidate.long_strike)
    side = 1.0 if candidate.spread_type == "bull_put" else -1.0
    breakeven = candidate.short_strike - side * credit
    spot = candidate.facts.get("spot")
    prices = {"short": candidate.short_strike, "long": candidate.long_strike, "breakeven": breakeven}
    scale = _Scale.around([*prices.values(), *([spot] if spot is not None else [])], low=credit - width, high=credit)
    safe, lost = (scale.last, scale.first) if side > 0 else (scale.first, scale.last)
    corners = [
        (lost, credit - width),
        (candidate.long_strike, credit - width),
        (breakeven, 0.0),
        (candidate.short_strike, credit),
        (safe, credit),
    ]
    zero = [(breakeven, 0.0)]
    return Payoff(
        credit=credit,
        filled=contracts > 0,
        max_profit=credit * CONTRACT_MULTIPLIER,
        max_loss=(width - credit) * CONTRACT_MULTIPLIER,
        breakeven=breakeven,
        spot=spot,
        line=scale.points([one for one in corners if one != zero[0]]),
        profit=scale.points([*zero, *corners[3:], (safe, 0.0)]),
        loss=scale.points([(lost, 0.0), *corners[:2], *zero]),
        zero_y=scale.y(0.0),
        profit_at=Label(x=scale.x((candidate.short_strike + safe) / 2), y=scale.y(credit), anchor="middle"),
        # Beside the foot of the slope, where the drawing is empty.
        loss_at=Label(
            x=scale.x(breakeven) + 8 * side, y=scale.y(credit - width), anchor="start" if side > 0 else "end"
        ),
        x_of={name: scale.x(price) for name, price in {**prices, **({} if spot is None else {"spot": spot})}.items()},
    )


@dataclass(frozen=True, kw_only=True)
class _Scale:
    """Prices and dollars a share to places in the drawing."""

    first: float
    last: float
    low: float
    high: float

    @classmethod
    def around(cls, prices: list[float], *, low: float, high: float) -> "_Scale":
        free = (max(prices) - min(prices)) * _MARGIN
        return cls(first=min(prices) - free, last=max(prices) + free, low=min(low, 0.0), high=max(high, 0.0))

    def x(self, price: float) -> float:
        share = (price - self.first) / (self.last - self.first)
        return round(_LEFT + share * (WIDTH - _LEFT - _RIGHT), 2)

    def y(self, dollars: float) -> float:
        share = (self.high - dollars) / (self.high - self.low)
        return round(_TOP + share * (HEIGHT - _TOP - _BOTTOM), 2)

    def points(self, corners: list[tuple[float, float]]) -> str:
        return " ".join(f"{self.x(price):g},{self.y(dollars):g}" for price, dollars in corners)
