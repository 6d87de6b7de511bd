"""The fake's VIX: the delayed quotes and the daily history that Cboe serves to everyone, of the sample's two indices.

Shapes: `https://cdn.cboe.com/api/global/delayed_quotes/quotes/_VIX.json`, whose `timestamp` is in UTC and whose
`last_trade_time` is in New York time, 15 minutes behind it; and
`https://cdn.cboe.com/api/global/us_indices/daily_prices/VIX_History.csv`, which gets a session's row the day after.
"""

import datetime as dt
from functools import lru_cache

import numpy as np

from mahler_agents.clock import NEW_YORK
from mahler_agents.market import calendar
from mahler_agents.market.sample.moment import open_moment
from mahler_agents.market.sample.paths import GRID_MINUTES, simulate_paths
from mahler_agents.market.sample.surface import VIX_3_MONTH_DAYS, VIX_DAYS, Floats, index_points
from mahler_agents.testing.fake_alpaca.http import Request, Response, Route
from mahler_agents.testing.fake_alpaca.market_data.horizon import DELAY, last_instant, session_date
from mahler_agents.testing.fake_alpaca.world import World

DAYS = {"VIX": VIX_DAYS, "VIX3M": VIX_3_MONTH_DAYS}
_DENIED = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>'
)


def delayed_quote(request: Request, world: World) -> Response:
    """Answer with an index as it was 15 minutes ago, or at the last close before that."""
    name = request.args["file"].removeprefix("_").removesuffix(".json")
    if request.args["file"] != f"_{name}.json" or name not in DAYS:
        return _denied()
    at = last_instant(world.now - DELAY)
    date = session_date(at)
    values = [*_session(world.seed, name, date, at), _value(world.seed, name, at)]
    before = calendar.previous_session(date)
    closed = _value(world.seed, name, calendar.session_close(before))
    change = round(values[-1] - closed, 4)
    return Response(
        json={
            "timestamp": f"{world.now:%Y-%m-%d %H:%M:%S}",
            "data": {
                "symbol": f"^{name}",
                "security_type": "index",
                "exchange_id": 5,
                "current_price": values[-1],
                "price_change": change,
                "price_change_percent": round(100 * change / closed, 4),
                "bid": 0.0,
                "ask": 0.0,
                "bid_size": 0,
                "ask_size": 0,
                "open": values[0],
                "high": max(values),
                "low": min(values),
                "close": values[-1],
                "prev_day_close": closed,
                "volume": 0,
                "iv30": 0.0,
                "iv30_change": 0.0,
                "iv30_change_percent": 0.0,
                "seqno": int(at.timestamp()),
                "last_trade_time": f"{at.astimezone(NEW_YORK):%Y-%m-%dT%H:%M:%S}",
                "tick": "up" if change > 0 else "down",
            },
            "symbol": f"_{name}",
        }
    )


def history(request: Request, world: World) -> Response:
    """Answer with the daily history of an index up to the day before, oldest first."""
    name = request.args["file"].removesuffix("_History.csv")
    if request.args["file"] != f"{name}_History.csv" or name not in DAYS:
        return _denied()
    rows = _history(world.seed, name)
    past = calendar.sessions(simulate_paths(world.seed).dates[0], session_date(world.now) - dt.timedelta(days=1))
    text = "\n".join(["DATE,OPEN,HIGH,LOW,CLOSE", *rows[: len(past)], ""])
    return Response(raw=text.encode(), content_type="text/csv")


def _session(seed: int, name: str, date: dt.date, until: dt.datetime) -> list[float]:
    """Return an index on the grid of a session, up to an instant."""
    paths = simulate_paths(seed)
    points = int((until - calendar.session(date).open) / dt.timedelta(minutes=GRID_MINUTES)) + 1
    return index_points(paths.factors[paths.rows[date], :points], DAYS[name]).tolist()


def _value(seed: int, name: str, at: dt.datetime) -> float:
    return float(index_points(open_moment(seed, at).state.factors, DAYS[name]))


@lru_cache(maxsize=4)
def _history(seed: int, name: str) -> tuple[str, ...]:
    """Return the rows of all sessions of a seed, with six decimals as Cboe writes them."""
    paths = simulate_paths(seed)
    points: Floats = index_points(paths.factors, DAYS[name])
    columns = np.column_stack([points[:, 0], points.max(axis=1), points.min(axis=1), points[:, -1]])
    return tuple(
        f"{date:%m/%d/%Y}," + ",".join(f"{value:.6f}" for value in row)
        for date, row in zip(paths.dates, columns.tolist(), strict=True)
    )


def _denied() -> Response:
    return Response(status=403, raw=_DENIED, content_type="application/xml")


ROUTES = (
    Route(method="GET", path="/api/global/delayed_quotes/quotes/{file}", handler=delayed_quote, keyless=True),
    Route(method="GET", path="/api/global/us_indices/daily_prices/{file}", handler=history, keyless=True),
)
