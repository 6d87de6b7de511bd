"""The archive of snapshots: what is packed comes back bit for bit, and equal snapshots are equal bytes."""

import dataclasses
import datetime as dt
import io
import json
from typing import Any

import numpy as np
import pytest
from builders import AS_OF, EXPIRATION, make_account, make_bars, make_chain, make_snapshot
from hypothesis import given
from hypothesis import strategies as st

from mahler_agents.clock import NEW_YORK
from mahler_agents.market.archive import content_hash, pack, unpack
from mahler_agents.market.snapshot import Dividend, Exposure, Headline, MarketData, Snapshot, chain_from_columns
from mahler_agents.types import SpreadType

EXPOSURE = Exposure(
    underlying="SPY",
    spread_type=SpreadType.BULL_PUT,
    expiration=EXPIRATION,
    contracts=4,
    max_loss_dollars=420.0,
    pending=True,
    short_symbol="SPY260417P00540000",
    long_symbol="SPY260417P00535000",
)

DIVIDENDS = (
    Dividend(ex_date=dt.date(2026, 3, 20), dollars=1.7),
    Dividend(ex_date=dt.date(2026, 6, 18), dollars=None),
)


def a_full_snapshot() -> Snapshot:
    """Return a snapshot in which every field holds something that is not its default."""
    account = make_account(EXPOSURE).model_copy(update={"stale_marks": {"SPY260417P00540000": AS_OF}})
    snapshot = make_snapshot(("SPY", "TLT"), account=account, missing={"underlyings.GLD": "not in the file"})
    with_dividends = dataclasses.replace(snapshot.underlyings["SPY"], dividends=DIVIDENDS)
    return dataclasses.replace(snapshot, underlyings={**snapshot.underlyings, "SPY": with_dividends})


def an_empty_snapshot() -> Snapshot:
    """Return a snapshot in which everything that may be absent is."""
    columns = {"symbol": [], "is_put": [], "expiration": []}
    bare = MarketData(chain=chain_from_columns("SPY", np.nan, columns), bars=make_bars(0))
    return dataclasses.replace(
        make_snapshot(()), underlyings={"SPY": bare}, vix=None, vix_3_month=None, account=None, synthetic=False
    )


def assert_same(left: Any, right: Any) -> None:
    """Assert that two parts of a snapshot are the same in type, shape and every bit; NaN is NaN, None is None."""
    if dataclasses.is_dataclass(left):
        assert type(left) is type(right)
        for field in dataclasses.fields(left):
            assert_same(getattr(left, field.name), getattr(right, field.name))
    elif isinstance(left, np.ndarray):
        assert left.dtype == right.dtype
        assert left.shape == right.shape
        assert left.tobytes() == right.tobytes()
    elif isinstance(left, dict):
        assert list(left) == list(right)
        for key, value in left.items():
            assert_same(value, right[key])
    elif isinstance(left, float) and np.isnan(left):
        assert np.isnan(right)
    else:
        assert left == right


@pytest.mark.parametrize("snapshot", [a_full_snapshot(), an_empty_snapshot()], ids=["full", "empty"])
def test_a_snapshot_comes_back_as_it_was(snapshot: Snapshot) -> None:
    assert_same(unpack(pack(snapshot)), snapshot)


def test_the_full_snapshot_of_this_test_leaves_no_field_at_its_default() -> None:
    full = a_full_snapshot()
    defaults = {"vix": None, "vix_3_month": None, "account": None, "missing": {}}
    defaults |= {"volatility_history": None, "headlines": None, "dividends": None}
    parts: list[Any] = [full, full.underlyings["SPY"]]
    for part in parts:
        for field in dataclasses.fields(part):
            if field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING:
                assert getattr(part, field.name) != defaults[field.name], field.name
    assert full.account is not None
    assert full.account.model_fields_set == set(type(full.account).model_fields)


def test_absent_is_not_empty() -> None:
    for headlines, dividends in ((None, None), ((), ())):
        base = make_snapshot()
        spy = dataclasses.replace(base.underlyings["SPY"], headlines=headlines, dividends=dividends)
        back = unpack(pack(dataclasses.replace(base, underlyings={"SPY": spy}))).underlyings["SPY"]
        assert (back.headlines, back.dividends) == (headlines, dividends)


def test_an_archive_packed_before_there_were_amounts_opens_with_the_ex_dates_alone() -> None:
    for dates, dividends in ((["2026-03-20"], (Dividend(ex_date=dt.date(2026, 3, 20)),)), ([], ()), (None, None)):
        with np.load(io.BytesIO(pack(make_snapshot()))) as archive:
            arrays = dict(archive)
        header = json.loads(str(arrays["header"]))
        del header["underlyings"]["SPY"]["dividends"]
        header["underlyings"]["SPY"]["ex_dividend_dates"] = dates
        old = an_archive(**arrays | {"header": np.array(json.dumps(header))})
        assert unpack(old).underlyings["SPY"].dividends == dividends


def test_underlyings_keep_their_order() -> None:
    names = ("TLT", "SPY", "GLD")
    assert tuple(unpack(pack(make_snapshot(names))).underlyings) == names


def test_equal_snapshots_are_equal_bytes() -> None:
    assert pack(a_full_snapshot()) == pack(a_full_snapshot())
    packed = pack(a_full_snapshot())
    assert pack(unpack(packed)) == packed
    assert content_hash(packed) == content_hash(bytes(packed))
    assert len(content_hash(packed)) == 64


def test_a_thousandth_of_a_cent_makes_other_bytes() -> None:
    chain = make_chain()
    other = dataclasses.replace(chain, bid=np.where(np.arange(len(chain)) == 3, chain.bid + 1e-5, chain.bid))
    packed = []
    for one in (chain, other):
        snapshot = make_snapshot()
        spy = dataclasses.replace(snapshot.underlyings["SPY"], chain=one)
        packed.append(pack(dataclasses.replace(snapshot, underlyings={"SPY": spy})))
    assert content_hash(packed[0]) != content_hash(packed[1])


def test_an_instant_is_the_same_instant_in_any_zone() -> None:
    local = dataclasses.replace(make_snapshot(), as_of=AS_OF.astimezone(NEW_YORK))
    assert unpack(pack(local)).as_of == AS_OF


def test_a_spot_of_numpy_comes_back_as_a_number() -> None:
    snapshot = make_snapshot()
    chain = dataclasses.replace(make_chain(), spot=np.float64(560.25))
    spy = dataclasses.replace(snapshot.underlyings["SPY"], chain=chain)
    back = unpack(pack(dataclasses.replace(snapshot, underlyings={"SPY": spy})))
    assert back.underlyings["SPY"].chain.spot == 560.25


@given(
    st.lists(st.floats(width=64), min_size=1, max_size=30),
    st.lists(st.text(st.characters(codec=None), max_size=40), max_size=4),
    st.text(max_size=20),
)
def test_any_figure_and_any_text_comes_back(figures: list[float], texts: list[str], source: str) -> None:
    count = len(figures)
    columns = {
        "symbol": [f"S{row}" for row in range(count)],
        "is_put": [True] * count,
        "expiration": [EXPIRATION] * count,
        "bid": figures,
    }
    spy = MarketData(
        chain=chain_from_columns("SPY", figures[0], columns),
        bars=make_bars(0),
        headlines=tuple(Headline(at=AS_OF, text=text, source=source) for text in texts),
    )
    snapshot = dataclasses.replace(make_snapshot(()), underlyings={"SPY": spy}, source=source)
    assert_same(unpack(pack(snapshot)), snapshot)


def an_archive(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK",
        b"not a snapshot",
        b"\x93NUMPY\x01\x00",
        pack(make_snapshot())[:-200],
        pack(make_snapshot())[:1000],
        an_archive(bid=np.zeros(3)),
        an_archive(header=np.array("not json")),
        an_archive(header=np.array([None], dtype=object)),
        an_archive(header=np.array(json.dumps({"as_of": "2026-03-16"}))),
    ],
    ids=["empty", "two bytes", "text", "npy", "cut", "cut short", "no header", "no json", "pickle", "half a header"],
)
def test_other_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"snapshot|allow_pickle|Expecting value"):
        unpack(content)
