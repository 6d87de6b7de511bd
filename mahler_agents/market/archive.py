"""Stage 1, market: a `Snapshot` as bytes and back, so that a run can be looked at again on what it saw."""

import datetime as dt
import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from mahler_agents.market.snapshot import (
    Account,
    Bars,
    Chain,
    Dividend,
    Headline,
    MarketData,
    Snapshot,
    VolatilityHistory,
)
from mahler_agents.types import Frozen

_PLAIN = ("market", "source", "synthetic", "risk_free_rate", "vix", "vix_3_month")


def pack(snapshot: Snapshot) -> bytes:
    """Return a snapshot as a compressed NumPy archive; equal snapshots give equal bytes."""
    arrays: dict[str, NDArray[Any]] = {}
    parts: dict[str, Any] = {}
    for name, market_data in snapshot.underlyings.items():
        parts[name] = {
            "spot": repr(float(market_data.chain.spot)),  # JSON has no NaN
            "headlines": _dumped(market_data.headlines),
            "dividends": _dumped(market_data.dividends),
            "has_volatility_history": market_data.volatility_history is not None,
        }
        for part in ("chain", "bars", "volatility_history"):
            arrays |= {f"{name}/{part}/{key}": column for key, column in _columns(getattr(market_data, part)).items()}
    header = {
        "as_of": snapshot.as_of.isoformat(),
        **{name: getattr(snapshot, name) for name in _PLAIN},
        "missing": dict(snapshot.missing),
        "account": snapshot.account.model_dump(mode="json") if snapshot.account else None,
        "underlyings": parts,
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, header=np.array(json.dumps(header)), **arrays)  # pyright: ignore[reportArgumentType]
    return buffer.getvalue()


def unpack(content: bytes) -> Snapshot:
    """Return the snapshot that `pack` packed. Raises `ValueError` for other bytes."""
    arrays = _arrays(content)
    try:
        return _snapshot(json.loads(str(arrays["header"])), arrays)
    except KeyError as error:
        raise ValueError(f"the archive lacks a part of a snapshot: {error}") from error


def content_hash(content: bytes) -> str:
    """Return the SHA-256 of packed bytes, 64 hex characters."""
    return hashlib.sha256(content).hexdigest()


def _arrays(content: bytes) -> dict[str, NDArray[Any]]:
    try:
        # NpzFile and not np.load: bytes that are no archive must not be taken for another of NumPy's formats.
        with NpzFile(io.BytesIO(content), allow_pickle=False) as archive:
            arrays: dict[str, NDArray[Any]] = {name: archive[name] for name in archive.files}
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise ValueError(f"these {len(content)} bytes are not a whole snapshot: {error}") from error
    return arrays


def _snapshot(header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Snapshot:
    account = header["account"]
    return Snapshot(
        as_of=dt.datetime.fromisoformat(header["as_of"]),
        **{name: header[name] for name in _PLAIN},
        missing=header["missing"],
        account=Account.model_validate(account) if account else None,
        underlyings={name: _market_data(name, part, arrays) for name, part in header["underlyings"].items()},
    )


def _market_data(name: str, part: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> MarketData:
    def columns(kind: type) -> dict[str, Any]:
        folder = {Chain: "chain", Bars: "bars", VolatilityHistory: "volatility_history"}[kind]
        names = (field.name for field in fields(kind))
        return {key: arrays[f"{name}/{folder}/{key}"] for key in names if f"{name}/{folder}/{key}" in arrays}

    headlines, dividends = part["headlines"], _dividends(part)
    history = VolatilityHistory(**columns(VolatilityHistory)) if part["has_volatility_history"] else None
    return MarketData(
        chain=Chain(underlying=name, spot=float(part["spot"]), **columns(Chain)),
        bars=Bars(**columns(Bars)),
        volatility_history=history,
        headlines=None if headlines is None else tuple(Headline.model_validate(one) for one in headlines),
        dividends=None if dividends is None else tuple(Dividend.model_validate(one) for one in dividends),
    )


def _dividends(part: Mapping[str, Any]) -> Sequence[Mapping[str, Any]] | None:
    """Return the dividends of one underlying; archives packed before there were amounts hold the ex-dates alone."""
    if "dividends" in part:
        return part["dividends"]
    ex_dates = part["ex_dividend_dates"]
    return None if ex_dates is None else [{"ex_date": ex_date} for ex_date in ex_dates]


def _columns(part: Chain | Bars | VolatilityHistory | None) -> dict[str, NDArray[Any]]:
    return {} if part is None else {name: value for name, value in vars(part).items() if isinstance(value, np.ndarray)}


def _dumped(parts: tuple[Frozen, ...] | None) -> list[Any] | None:
    return None if parts is None else [one.model_dump(mode="json") for one in parts]
