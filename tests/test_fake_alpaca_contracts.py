"""The fake Alpaca's list of option contracts, through alpaca-py's trading client."""

import datetime as dt
from typing import Any

import pytest
from alpaca.common.exceptions import APIError
from alpaca.trading.enums import AssetStatus, ContractType
from alpaca.trading.requests import GetOptionContractsRequest
from fake_alpaca_clients import Clients, ask, new_york, pages, sample_at, world_at

from mahler_agents.market.occ import parse_symbol
from mahler_agents.market.sample import DEFAULT_AS_OF
from mahler_agents.market.sample.listing import is_listed
from mahler_agents.market.sample.world import SYMBOLS
from mahler_agents.testing.fake_alpaca import FakeAlpaca, MarketDataSettings

LIST = "/v2/options/contracts"
LAST = "2026-12-31"


def listed(world: Any, **params: Any) -> dict[str, Any]:
    return {one["symbol"]: one for page in pages(world, LIST, "option_contracts", **params) for one in page}


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_contracts_have_the_terms_and_the_open_interest_of_the_sample_s_chain(symbol: str) -> None:
    chain = sample_at(DEFAULT_AS_OF).underlyings[symbol].chain
    found = listed(
        world_at(DEFAULT_AS_OF), underlying_symbols=symbol, root_symbol=symbol, expiration_date_lte=LAST, limit=10_000
    )
    assert list(found) == sorted(chain.symbol.tolist())
    for row, name in enumerate(chain.symbol.tolist()):
        contract, terms = found[name], parse_symbol(name)
        assert contract["expiration_date"] == terms.expiration.isoformat()
        assert (contract["type"], float(contract["strike_price"])) == (terms.right, terms.strike)
        assert float(contract.get("open_interest", 0)) == chain.open_interest[row]
        assert contract.get("open_interest_date", "2026-03-16") == "2026-03-16"  # yesterday's
        assert (contract["multiplier"], contract["size"]) == ("100", "100")


def test_alpaca_py_s_models_read_a_page_and_its_token() -> None:
    asked = {"underlying_symbols": ["TLT", "GLD"], "expiration_date_lte": dt.date(2026, 6, 1), "type": ContractType.PUT}
    with FakeAlpaca() as fake:
        client = Clients(fake, raw=False).trading
        first = client.get_option_contracts(GetOptionContractsRequest(**asked))
        second = client.get_option_contracts(
            GetOptionContractsRequest(**asked, limit=10_000, page_token=first.next_page_token)
        )
    assert len(first.option_contracts) == 100  # by default
    assert second.next_page_token is None
    symbols = [one.symbol for one in (*first.option_contracts, *second.option_contracts)]
    assert symbols == sorted(set(symbols))
    assert {one.underlying_symbol for one in (*first.option_contracts, *second.option_contracts)} == {"TLT", "GLD"}
    assert isinstance(first.option_contracts[50].open_interest, str)


@pytest.mark.parametrize(("cap", "limit"), [(None, 37), (50, 10_000), (1000, 1000)])
def test_any_page_size_gives_every_contract_once(cap: int | None, limit: int) -> None:
    market_data = MarketDataSettings(page_cap=cap)
    found = listed(world_at(DEFAULT_AS_OF, market_data), expiration_date_lte="2026-04-30", limit=limit)
    assert found == listed(world_at(DEFAULT_AS_OF), expiration_date_lte="2026-04-30", limit=10_000)


def test_without_a_last_date_only_contracts_up_to_the_weekend_are_listed() -> None:
    found = listed(world_at(DEFAULT_AS_OF), underlying_symbols="SPY")
    assert {one["expiration_date"] for one in found.values()} == {"2026-03-20"}
    assert listed(world_at(DEFAULT_AS_OF), underlying_symbols="SPY", expiration_date_gte="2026-04-01") == {}


def test_adjusted_contracts_deliver_something_else_than_100_shares() -> None:
    found = listed(
        world_at(DEFAULT_AS_OF), root_symbol="SPY1", expiration_date_lte=LAST, show_deliverables="True", limit=100
    )
    assert found
    for symbol, contract in found.items():
        assert symbol.startswith("SPY1")
        assert (contract["underlying_symbol"], contract["root_symbol"]) == ("SPY", "SPY1")
        assert (contract["size"], contract["deliverables"][0]["amount"]) == ("110", "110")


def test_a_contract_comes_by_its_symbol_also_when_it_has_expired() -> None:
    live, past, none = "SPY260417P00540000", "SPY260313P00600000", "SPY260417P00541000"
    with FakeAlpaca() as fake:
        client = Clients(fake, raw=False).trading
        assert client.get_option_contract(live).status is AssetStatus.ACTIVE
        expired = client.get_option_contract(past)
        with pytest.raises(APIError, match=f"option contract {none} not found") as missing:
            client.get_option_contract(none)
        with pytest.raises(APIError, match="option contract SPY not found"):
            client.get_option_contract("SPY")
    assert (expired.status, expired.tradable) == (AssetStatus.INACTIVE, False)
    assert missing.value.status_code == 404


def test_expired_contracts_are_listed_as_inactive_around_where_the_price_was() -> None:
    found = listed(
        world_at(DEFAULT_AS_OF),
        underlying_symbols="IWM",
        status="inactive",
        expiration_date_gte="2026-02-01",
        expiration_date_lte="2026-03-17",
        limit=10_000,
    )
    days = sorted({one["expiration_date"] for one in found.values()})
    assert days == ["2026-02-06", "2026-02-13", "2026-02-20", "2026-02-27", "2026-03-06", "2026-03-13"]
    assert all(is_listed(parse_symbol(s), dt.date.fromisoformat(one["expiration_date"])) for s, one in found.items())
    strikes = [float(one["strike_price"]) for one in found.values()]
    closes = sample_at(DEFAULT_AS_OF).underlyings["IWM"].bars.close[-60:]
    assert min(strikes) < 0.8 * closes.min()
    assert max(strikes) > 1.2 * closes.max()


def test_a_contract_that_expires_today_is_active_to_the_end_of_the_day() -> None:
    symbol = "SPY260320P00600000"
    for at, status in (("2026-03-20T18:00", "active"), ("2026-03-21T12:00", "inactive")):
        assert ask(world_at(new_york(at)), f"{LIST}/{symbol}").json["status"] == status


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"limit": 10_001}, "invalid limit"),
        ({"underlying_symbol": "SPY"}, "unexpected query parameter(s): underlying_symbol"),
        ({"expiration_date_gte": "17.3.2026"}, "invalid expiration_date_gte"),
        ({"status": "expired"}, "invalid status"),
        ({"underlying_symbols": "spy"}, "invalid symbol: spy"),
        ({"show_deliverables": "yes"}, "invalid show_deliverables"),
        ({"page_token": "%%"}, "invalid page_token"),
    ],
)
def test_what_the_trading_host_does_not_take_is_refused_with_422_and_a_code(params: Any, words: str) -> None:
    response = ask(world_at(DEFAULT_AS_OF), LIST, **params)
    assert (response.status, response.json["code"]) == (422, 42210000)
    assert words in response.json["message"]


def test_the_close_price_is_yesterday_s_last_trade() -> None:
    contract = ask(world_at(DEFAULT_AS_OF), f"{LIST}/SPY260417P00540000").json
    bars = ask(
        world_at(DEFAULT_AS_OF),
        "/v1beta1/options/bars",
        symbols="SPY260417P00540000",
        timeframe="1Day",
        start="2026-03-16",
        end="2026-03-16",
    ).json["bars"]["SPY260417P00540000"]
    assert (float(contract["close_price"]), contract["close_price_date"]) == (bars[-1]["c"], "2026-03-16")
