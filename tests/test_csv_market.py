"""The market of an end-of-day chain file: what it shows, what it names as absent, and the files it refuses."""

import asyncio
import csv
import datetime as dt
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from mahler_agents import pricing
from mahler_agents.clock import NEW_YORK
from mahler_agents.errors import InputError
from mahler_agents.market import Snapshot, calendar
from mahler_agents.market.csv import CsvMarket
from mahler_agents.market.csv_file import COLUMNS
from mahler_agents.market.occ import format_symbol
from mahler_agents.types import UNIVERSE

SHARED = Path(__file__).parents[2] / "shared" / "data" / "spy_eod_2021.csv"
needs_shared = pytest.mark.skipif(not SHARED.exists(), reason=f"the real quotes are not beside the project: {SHARED}")

Row = dict[str, str]
Write = Callable[..., Path]


def a_row(**changes: str) -> Row:
    row = {
        "underlying": "SPY",
        "underlying_last": "368.79",
        "type": "put",
        "expiration": "2021-02-19",
        "quotedate": "2021-01-04",
        "strike": "345.0",
        "last": "2.71",
        "bid": "2.76",
        "ask": "2.78",
        "volume": "7424",
        "openinterest": "48199",
        "impliedvol": "0.28804",
        "delta": "-0.17798",
        "gamma": "0.00937",
        "theta": "-0.1447",
        "vega": "0.25147",
    } | changes
    try:
        symbol = format_symbol(
            row["underlying"], dt.date.fromisoformat(row["expiration"]), row["type"], float(row["strike"])
        )
    except (ValueError, InputError):
        symbol = "SPY210219P00345000"
    return {"optionroot": symbol, "optionalias": symbol} | row


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_rows(*rows: Row, columns: tuple[str, ...] = COLUMNS) -> Path:
        path = tmp_path / "chain.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
        return path

    return write_rows


def at(date: str, hour: int = 16) -> dt.datetime:
    return dt.datetime.combine(dt.date.fromisoformat(date), dt.time(hour), NEW_YORK)


def look(market: CsvMarket, date: str, underlyings: tuple[str, ...] = ("SPY",)) -> Snapshot:
    return asyncio.run(market.snapshot(at(date), underlyings))


def ask(market: CsvMarket, date: str, *symbols: str) -> dict:
    return dict(asyncio.run(market.quotes(symbols, at(date, 16))))


@pytest.fixture(scope="module")
def real() -> CsvMarket:
    return CsvMarket(SHARED)


@needs_shared
class TestRealQuotes:
    def test_a_snapshot_holds_the_rows_of_its_date_at_the_close(self, real: CsvMarket) -> None:
        snapshot = look(real, "2021-03-15", UNIVERSE)
        chain = snapshot.underlyings["SPY"].chain
        assert snapshot.as_of == dt.datetime(2021, 3, 15, 20, tzinfo=dt.UTC)
        assert len(chain) == 20
        assert set(chain.quote_age_seconds) == {0}
        assert set(chain.multiplier) == {100}
        assert not snapshot.synthetic
        assert "2021-03-15" in snapshot.source

    def test_bars_are_the_closes_up_to_and_including_the_date(self, real: CsvMarket) -> None:
        bars = look(real, "2021-03-15").underlyings["SPY"].bars
        chain = look(real, "2021-03-15").underlyings["SPY"].chain
        assert bars.date[0] == np.datetime64("2021-01-04")
        assert bars.date[-1] == np.datetime64("2021-03-15")
        assert len(bars) == 49
        assert bars.close[-1] == chain.spot
        assert np.isnan([bars.open, bars.high, bars.low, bars.volume]).all()

    def test_every_session_of_the_year_can_be_asked_for_and_the_last_is_the_default(self, real: CsvMarket) -> None:
        assert len(real.dates) == 252
        assert real.default_as_of() == dt.datetime(2021, 12, 31, 21, tzinfo=dt.UTC)

    def test_what_the_file_does_not_hold_is_absent_and_named(self, real: CsvMarket) -> None:
        snapshot = look(real, "2021-03-15", UNIVERSE)
        spy = snapshot.underlyings["SPY"]
        assert (snapshot.vix, snapshot.vix_3_month, spy.headlines, spy.volatility_history) == (None,) * 4
        assert set(snapshot.underlyings) == {"SPY"}
        assert {"vix", "vix_3_month", "headlines", "volatility_history", "bars.volume"} <= set(snapshot.missing)
        assert snapshot.missing["underlyings.QQQ"] == "not in the file on 2021-03-15"

    def test_theta_is_per_calendar_day_and_vega_per_volatility_point(self, real: CsvMarket) -> None:
        theta_ratios, vega_ratios = [], []
        for date in real.dates[::10]:
            snapshot = look(real, date.isoformat())
            chain = snapshot.underlyings["SPY"].chain
            ours = pricing.value(
                is_put=chain.is_put,
                spot=chain.spot,
                strike=chain.strike,
                years=pricing.years_to_expiry(snapshot.as_of, chain.expiration),
                rate=snapshot.risk_free_rate,
                volatility=chain.implied_volatility,
                dividend_yield=0.013,
            )
            theta_ratios.extend(chain.theta_per_day / ours.theta_per_day)
            vega_ratios.extend(chain.vega_per_vol_point / ours.vega_per_vol_point)
        assert np.median(theta_ratios) == pytest.approx(1, abs=0.1)  # 1.45 if it were per trading day
        assert np.median(vega_ratios) == pytest.approx(1, abs=0.05)

    def test_quotes_are_those_of_the_chain_of_the_same_day(self, real: CsvMarket) -> None:
        chain = look(real, "2021-03-15").underlyings["SPY"].chain
        quotes = ask(real, "2021-03-15", *chain.symbol.tolist(), "SPY210416P00001000")
        assert [quotes[symbol].bid for symbol in chain.symbol] == chain.bid.tolist()
        assert [quotes[symbol].ask for symbol in chain.symbol] == chain.ask.tolist()
        assert "SPY210416P00001000" not in quotes

    def test_options_settle_at_the_close_of_the_underlying(self, real: CsvMarket) -> None:
        def prices(instant: dt.datetime) -> Mapping[str, float]:
            return asyncio.run(real.prices(["SPY", "QQQ"], instant))

        close = calendar.session_close(dt.date(2021, 1, 4))
        assert prices(close) == {"SPY": 368.79}
        assert prices(close - dt.timedelta(seconds=1)) == {}  # it would be of the future
        assert prices(dt.datetime(2021, 1, 3, 21, tzinfo=dt.UTC)) == {}  # not in the file

    @pytest.mark.parametrize(
        ("date", "nearest"),
        [
            ("2020-12-31", "2021-01-04"),
            ("2021-07-05", "2021-07-02 and 2021-07-06"),
            ("2022-01-03", "2021-12-31"),
        ],
    )
    def test_a_date_outside_the_file_is_refused_with_its_range_and_the_nearest(
        self, real: CsvMarket, date: str, nearest: str
    ) -> None:
        with pytest.raises(InputError, match=f"{date} is not in the file .*2021-01-04 to 2021-12-31.* {nearest}$"):
            look(real, date)


def test_several_underlyings_stand_in_one_file(write: Write) -> None:
    market = CsvMarket(
        write(
            a_row(),
            a_row(underlying="QQQ", underlying_last="309.31", strike="290.0"),
            a_row(strike="350.0"),
            a_row(quotedate="2021-01-05", underlying_last="371.33"),
        )
    )
    snapshot = look(market, "2021-01-04", ("SPY", "QQQ"))
    assert snapshot.underlyings["SPY"].chain.strike.tolist() == [345, 350]
    assert snapshot.underlyings["QQQ"].chain.spot == 309.31
    later = look(market, "2021-01-05", ("SPY", "QQQ"))
    assert set(later.underlyings) == {"SPY"}
    assert later.underlyings["SPY"].bars.close.tolist() == [368.79, 371.33]


def test_a_files_world_is_its_name_and_its_first_day_so_that_it_may_grow_and_move(tmp_path: Path, write: Write) -> None:
    first, second = a_row(), a_row(quotedate="2021-01-05", bid="2.50")
    world = CsvMarket(write(first)).world
    assert re.fullmatch("csv-chain-[0-9a-f]{6}", world)
    assert CsvMarket(write(first, second)).world == world
    assert CsvMarket(write(second, first)).world == world
    elsewhere = tmp_path / "elsewhere" / "chain.csv"
    elsewhere.parent.mkdir()
    assert CsvMarket(shutil.copy(write(first), elsewhere)).world == world
    for other in (second, a_row(ask="2.79"), a_row(underlying_last="368.80"), a_row(strike="350.0")):
        assert CsvMarket(write(other)).world != world


def test_beyond_the_end_of_the_table_of_rates_the_rate_is_said_to_be_stale(write: Write) -> None:
    market = CsvMarket(
        write(
            a_row(quotedate="2026-01-20", expiration="2026-02-20"),
            a_row(quotedate="2026-01-21", expiration="2026-02-20", bid="2.50"),
        )
    )
    assert "risk_free_rate" not in look(market, "2026-01-20").missing
    later = look(market, "2026-01-21")
    assert later.missing["risk_free_rate"] == (
        "the table ends with the 3.625% of 2025-12-11, 41 days before: it may have changed since"
    )
    assert later.risk_free_rate == 0.03625


def test_no_dividends_are_known_and_it_is_said(write: Write) -> None:
    market = CsvMarket(write(a_row()))
    snapshot = look(market, "2021-01-04")
    assert snapshot.underlyings["SPY"].dividends is None
    assert asyncio.run(market.dividends(("SPY",), at("2021-01-04"))) == {}
    assert "computed without dividends" in snapshot.all_missing["dividends.SPY"]


def test_a_file_with_none_of_the_underlyings_is_refused(write: Write) -> None:
    with pytest.raises(InputError, match="none of QQQ, IWM on 2021-01-04: it holds SPY"):
        look(CsvMarket(write(a_row())), "2021-01-04", ("QQQ", "IWM"))


def test_empty_figures_are_absent_and_a_row_without_a_quote_has_none(write: Write) -> None:
    market = CsvMarket(write(a_row(bid="", delta="", impliedvol="nan"), a_row(strike="350.0", bid="0", ask="0.01")))
    chain = look(market, "2021-01-04").underlyings["SPY"].chain
    assert np.isnan([chain.bid[0], chain.delta[0], chain.implied_volatility[0]]).all()
    quotes = ask(market, "2021-01-04", *chain.symbol.tolist())
    assert [quote.bid for quote in quotes.values()] == [0]


def test_an_adjusted_contract_has_no_known_multiplier(write: Write) -> None:
    market = CsvMarket(write(a_row(), a_row(optionroot="SPY1210219P00350000", strike="350.0")))
    multiplier = look(market, "2021-01-04").underlyings["SPY"].chain.multiplier
    assert multiplier[0] == 100
    assert np.isnan(multiplier[1])


@pytest.mark.parametrize(
    ("later", "reason"),
    [
        (a_row(quotedate="2021-01-18"), "is not a session"),  # Martin Luther King's day
        (a_row(quotedate="2021-01-05"), "repeats the quotes of the date before it"),
    ],
)
def test_a_holiday_and_a_day_that_repeats_the_one_before_are_left_out_and_named(
    write: Write, later: Row, reason: str
) -> None:
    market = CsvMarket(write(a_row(), later, a_row(quotedate="2021-01-19", bid="2.50", theta="-0.15")))
    assert [date.isoformat() for date in market.dates] == ["2021-01-04", "2021-01-19"]
    with pytest.raises(InputError, match=f"{reason}.* 2021-01-04 and 2021-01-19"):
        look(market, later["quotedate"])
    missing = look(market, "2021-01-19").missing
    assert reason in missing[f"dates.{later['quotedate']}"]
    assert not any(name.startswith("dates") for name in look(market, "2021-01-04").missing)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.csv cannot be read: No such file"):
        CsvMarket(tmp_path / "none.csv")
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        CsvMarket(tmp_path)


def test_missing_columns_are_named_with_the_list_of_needed_ones(write: Write) -> None:
    columns = tuple(name for name in COLUMNS if name not in {"bid", "vega"})
    with pytest.raises(InputError, match="lacks the column bid, vega: it needs underlying, underlying_last, "):
        CsvMarket(write(a_row(), columns=columns))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty: it needs the columns underlying"),
        (",".join(COLUMNS).encode(), "has a header but no rows"),
        (",".join(COLUMNS).encode() + b"\r\nSPY,1\r\n", "line 2: 2 fields, the header has 18"),
        (b"\xff\xfe\x00\x01", "is not a CSV file"),
    ],
)
def test_a_file_without_rows_or_of_another_kind_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "chain.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        CsvMarket(path)


@pytest.mark.parametrize(
    ("column", "text", "why"),
    [
        ("bid", "2.7x", "is not a number"),
        ("ask", "inf", "is not a finite number"),
        ("strike", "0", "is not a price above 0"),
        ("strike", "", "is not a price above 0"),
        ("underlying_last", "-1", "is not a price above 0"),
        ("expiration", "19/02/2021", "is not a date"),
        ("quotedate", "", "is not a date"),
        ("type", "P", "is neither put nor call"),
        ("optionroot", "SPY", "is not an OCC option symbol"),
        ("optionroot", "SPY210219C00345000", "does not agree with the row's type, expiration and strike"),
    ],
)
def test_a_malformed_field_is_named_by_line_and_column(write: Write, column: str, text: str, why: str) -> None:
    path = write(a_row(strike="350.0"), a_row(**{column: text}))
    with pytest.raises(InputError, match=f"line 3, column {column}: '{text}' {why}") as caught:
        CsvMarket(path)
    assert "\n" not in str(caught.value)


def test_a_contract_that_stands_twice_on_a_date_is_refused(write: Write) -> None:
    with pytest.raises(InputError, match="line 4, column optionroot: 'SPY210219P00345000' stands twice"):
        CsvMarket(write(a_row(), a_row(strike="350.0"), a_row(bid="2.70")))


def test_columns_may_stand_in_any_order_with_others_between(write: Write) -> None:
    path = write(a_row(), columns=("note", *reversed(COLUMNS)))
    assert look(CsvMarket(path), "2021-01-04").underlyings["SPY"].chain.strike.tolist() == [345]


def test_a_date_is_its_close_and_a_time_before_that_is_refused(write: Write) -> None:
    market = CsvMarket(write(a_row()))
    close = market.instant_of(dt.date(2021, 1, 4))
    assert close == dt.datetime(2021, 1, 4, 21, tzinfo=dt.UTC)
    assert asyncio.run(market.snapshot(close, ("SPY",))).as_of == close
    message = r"2021-01-04 15:59 is before the close \(16:00 New York\)"
    early = close - dt.timedelta(minutes=1)
    with pytest.raises(InputError, match=message):
        asyncio.run(market.snapshot(early, ("SPY",)))
    with pytest.raises(InputError, match=message):
        asyncio.run(market.quotes(("SPY210219P00345000",), early))
    with pytest.raises(InputError, match="2021-01-05 is not in the file"):
        market.instant_of(dt.date(2021, 1, 5))


def test_a_time_without_a_zone_is_refused(write: Write) -> None:
    naive = dt.datetime(2021, 1, 4, 10)  # noqa: DTZ001
    with pytest.raises(InputError, match="no time zone"):
        asyncio.run(CsvMarket(write(a_row())).snapshot(naive, ("SPY",)))
