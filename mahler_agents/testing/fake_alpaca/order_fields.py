"""The fake Alpaca's first check of an order: the fields of its body, by themselves, before any contract is looked up.

Sources, cited by their tag where a check stands:
[overview]  docs.alpaca.markets/us/docs/options-trading-overview, "Error Responses": codes and messages.
[options]   docs.alpaca.markets/us/docs/options-trading, "Placing an Order".
[level 3]   docs.alpaca.markets/us/docs/options-level-3-trading.
[orders]    docs.alpaca.markets/docs/orders-at-alpaca.
[client]    alpaca-py 0.44, alpaca/trading/requests.py and enums.py.
[ours]      Stricter than the vendor is known to be, on purpose: what is refused is never meant.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from math import gcd
from typing import Any

from mahler_agents.testing.fake_alpaca.http import RefusedError

LONGEST_ID = 48

# [client] OrderRequest and LimitOrderRequest; OptionLegRequest.
_FIELDS = frozenset(
    {
        "symbol", "qty", "notional", "side", "type", "time_in_force", "order_class", "extended_hours",
        "client_order_id", "legs", "take_profit", "stop_loss", "position_intent", "limit_price", "stop_price",
        "trail_price", "trail_percent",
    }
)  # fmt: skip
_LEG_FIELDS = frozenset({"symbol", "ratio_qty", "side", "position_intent"})
_NOT_OF_MULTI_LEG = ("symbol", "side", "position_intent")
_INTENTS = frozenset({"buy_to_open", "buy_to_close", "sell_to_open", "sell_to_close"})


@dataclass(frozen=True, kw_only=True)
class AskedLeg:
    """A leg as it was asked for."""

    symbol: str
    buys: bool
    ratio: int
    intent: str
    """Empty if none was given."""


@dataclass(frozen=True, kw_only=True)
class AskedOrder:
    """An order whose fields are well-formed."""

    client_order_id: str
    is_multi_leg: bool
    legs: tuple[AskedLeg, ...]
    units: int
    limit: Decimal | None
    """Dollars per share as it was given: of a simple order above 0 on both sides."""

    @property
    def net_limit_cents(self) -> int | None:
        """The limit as a net price: below zero where it receives."""
        if self.limit is None:
            return None
        cents = int(self.limit * 100)
        return cents if self.is_multi_leg or self.legs[0].buys else -cents


def malformed(message: str) -> RefusedError:
    """Return the refusal of a body that is no order: 422, code 40010001 [orders]."""
    return RefusedError(422, 40010001, message)


def invalid(message: str) -> RefusedError:
    """Return the refusal of an order that breaks a rule: 422, code 42210000 [overview]."""
    return RefusedError(422, 42210000, message)


def read_order(body: Any) -> AskedOrder:
    """Return the order that the body of a POST asks for; raises `RefusedError`."""
    fields = _object(body, _FIELDS, "")
    is_multi_leg = _order_class(fields)
    _refuse_what_options_have_not(fields)
    client_order_id = read_client_order_id(fields)
    kind = _kind(fields)
    _check_time_in_force(fields, is_multi_leg=is_multi_leg)
    units = whole(fields.get("qty"), "qty")
    limit = _limit(fields, kind, is_multi_leg=is_multi_leg)
    legs = _legs(fields) if is_multi_leg else (_only_leg(fields),)
    return AskedOrder(client_order_id=client_order_id, is_multi_leg=is_multi_leg, legs=legs, units=units, limit=limit)


def read_client_order_id(fields: Mapping[str, Any]) -> str:
    """Return the client's own id of an order."""
    given = fields.get("client_order_id")
    # [ours] The vendor makes one up where none is given; such an order cannot be asked for if its answer is lost.
    if not isinstance(given, str) or not given:
        raise malformed("client_order_id is required: without it an order whose answer is lost cannot be found")
    # [orders] At most 48 characters on the vendor's order page (later pages of theirs say 128).
    if len(given) > LONGEST_ID:
        raise malformed(f"client_order_id must be no more than {LONGEST_ID} characters")
    return given


def whole(value: Any, name: str) -> int:
    """Return a quantity; [options] a whole number, [client] above 0."""
    if value is None:
        raise malformed(f"{name} is required")
    number = decimal(value, name)
    if number <= 0:
        raise malformed(f"{name} must be > 0")
    if number != number.to_integral_value():
        raise invalid(f"{name} must be integer for options trading")  # [overview]
    return int(number)


def price(value: Any) -> Decimal:
    """Return a limit price in whole cents; [overview] `invalid limit price`, [orders] sub-penny increments."""
    found = decimal(value, "limit_price")
    if found != found.quantize(Decimal("0.01")):
        raise invalid(f"invalid limit_price {found}. sub-penny increment does not fulfill minimum pricing criteria")
    return found


def decimal(value: Any, name: str) -> Decimal:
    """Return a number that was sent as one, or as a string of one; [client] has floats for all of them."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise malformed(f"{name} must be a number")
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        raise malformed(f"{name} must be a number") from None
    if not found.is_finite() or abs(found) > 10**9:
        raise malformed(f"{name} must be a number")
    return found


def _object(value: Any, known: frozenset[str], where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise malformed(f"{where or 'request body'} must be an object")  # [client] OrderRequest, OptionLegRequest
    # [ours] The vendor leaves fields that it does not know out of account, and with them what they were meant for.
    if unknown := sorted(set(value) - known):
        raise malformed(f"unknown field {f'{where}.' if where else ''}{unknown[0]}")
    return {name: one for name, one in value.items() if one is not None}


def _order_class(fields: Mapping[str, Any]) -> bool:
    """Return whether it is a multi-leg order."""
    order_class = fields.get("order_class", "simple") or "simple"
    if order_class == "mleg":
        for name in _NOT_OF_MULTI_LEG:
            if name in fields:
                raise malformed(
                    f"{name} is not allowed for mleg order"
                )  # [level 3]; worded as the vendor does for symbol
        return True
    if "legs" in fields:
        raise malformed("legs are only allowed for mleg orders")  # [client] OrderRequest.legs
    if order_class != "simple" or {"take_profit", "stop_loss"} & set(fields):
        raise invalid("complex orders not supported for options trading")  # [overview]
    return False


def _refuse_what_options_have_not(fields: Mapping[str, Any]) -> None:
    if "notional" in fields:
        raise invalid("notional orders are not supported for options trading")  # [overview]
    if fields.get("extended_hours"):
        raise invalid("extended hours is not supported for options trading")  # [overview]


def _kind(fields: Mapping[str, Any]) -> str:
    kind = fields.get("type")
    if kind not in {"market", "limit"}:  # [client] _validate_mleg_order_type; stops of simple orders: not here
        raise invalid("invalid order type for options trading")  # [overview]
    return str(kind)


def _check_time_in_force(fields: Mapping[str, Any], *, is_multi_leg: bool) -> None:
    # [client] enums.py: of options, day only. ([options] names gtc too, which multi-leg orders have not.)
    if fields.get("time_in_force") != "day":
        raise invalid("invalid time in force" if is_multi_leg else "invalid option time_in_force")  # [overview]


def _limit(fields: Mapping[str, Any], kind: str, *, is_multi_leg: bool) -> Decimal | None:
    """Return the limit price of a limit order, which alone has one [overview]."""
    for name in ("stop_price", "trail_price", "trail_percent"):
        if name in fields:
            raise invalid(f"{name} is not valid for {kind} orders")  # [client] _raise_for_unsupported_price_fields
    if kind == "market":
        if "limit_price" in fields:
            raise invalid("limit price is only valid for limit orders")
        return None
    if "limit_price" not in fields:
        raise invalid("limit price is required for limit orders")
    limit = price(fields["limit_price"])
    if limit <= 0 and not is_multi_leg:
        raise invalid("limit price must be > 0")
    return limit


def _only_leg(fields: Mapping[str, Any]) -> AskedLeg:
    symbol = fields.get("symbol")
    if not isinstance(symbol, str) or not symbol:
        raise malformed("symbol is required")  # [client] OrderRequest
    side = fields.get("side")
    if side not in {"buy", "sell"}:
        raise malformed("side must be buy or sell")  # [client] OrderRequest
    return AskedLeg(symbol=symbol, buys=side == "buy", ratio=1, intent=_intent(fields, side, "position_intent"))


def _legs(fields: Mapping[str, Any]) -> tuple[AskedLeg, ...]:
    given = fields.get("legs")
    if not isinstance(given, list) or not given:
        raise malformed("legs is required for mleg order")  # [client] OrderRequest
    if not 2 <= len(given) <= 4:
        raise malformed("mleg order must have 2 to 4 legs")  # [client] OrderRequest
    legs = tuple(_leg(one, f"leg.{number}") for number, one in enumerate(given))
    if len({leg.symbol for leg in legs}) < len(legs):
        raise malformed("all legs must have unique symbols")  # [client] OrderRequest
    ratios = [leg.ratio for leg in legs]
    if (divisor := gcd(*ratios)) > 1:  # [level 3] "GCD ratio_qty requirement"
        shown = " ".join(str(ratio) for ratio in ratios)
        raise invalid(f"leg ratio quantities should be relatively prime: GCD[{shown}] = {divisor}")
    return legs


def _leg(value: Any, where: str) -> AskedLeg:
    fields = _object(value, _LEG_FIELDS, where)
    symbol = fields.get("symbol")
    if not isinstance(symbol, str) or not symbol:
        raise malformed(f"{where} symbol is required")  # [client] OptionLegRequest
    if "position_intent" not in fields:
        raise invalid(f"{where} position intent is required")  # [overview]
    intent = _intent(fields, fields.get("side"), f"{where} position intent")
    side = fields.get("side", intent.split("_")[0])  # [client] OptionLegRequest: either may be left out
    return AskedLeg(
        symbol=symbol, buys=side == "buy", ratio=whole(fields.get("ratio_qty"), f"{where} ratio_qty"), intent=intent
    )


def _intent(fields: Mapping[str, Any], side: Any, where: str) -> str:
    intent = fields.get("position_intent", "")
    if intent and intent not in _INTENTS:
        raise malformed(f"{where} must be one of {', '.join(sorted(_INTENTS))}")  # [client] PositionIntent
    if side is not None and side not in {"buy", "sell"}:
        raise malformed(f"{where}: side must be buy or sell")  # [client] OrderSide
    if intent and side is not None and not intent.startswith(f"{side}_"):
        raise invalid(f"{where} {intent} does not match side {side}")  # [overview], position intent mismatch
    return intent
