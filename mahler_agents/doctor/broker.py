"""Doctor, broker: the account, what it may trade, and which spreads its equity is too small for."""

from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from mahler_agents.alpaca import AlpacaRefused, AlpacaUnsure
from mahler_agents.doctor.equity import account_of_desk
from mahler_agents.doctor.findings import Said, fail, ok, warn
from mahler_agents.doctor.situation import Situation
from mahler_agents.execution.alpaca.account import BLOCKS, SPREADS_LEVEL, account_of
from mahler_agents.execution.identity import live_phrase
from mahler_agents.market.snapshot import Account
from mahler_agents.risk import size
from mahler_agents.risk.multiplier import SizeMultiplier
from mahler_agents.types import Reason, Spread, SpreadType

_NEW_KEYS = "make a new pair of keys in Alpaca's dashboard (API Keys > Regenerate), and put both where the old ones are"


async def account(situation: Situation) -> Sequence[Said]:
    """The account: whether the keys are taken, its status, blocks, equity and buying power.

    Warn: its buying power is spent.
    Fail: the keys are refused, the account is not active or is blocked, is not in dollars, or has no equity.
    """
    if not situation.trades_at_alpaca:
        if situation.uses_alpaca:
            with suppress(AlpacaRefused, AlpacaUnsure):
                await situation.alpaca.clock()  # any answer says whose figures these are: the account is named by it
        found = account_of_desk(situation)
        return [ok(f"embedded, account {found.account.account_id}: {_money(found.account)}, {found.source}")]
    try:
        answer = await situation.alpaca.account()
    except AlpacaRefused as error:
        known = error.status in {401, 403}
        text = "Alpaca does not take these keys" if known else "Alpaca does not tell of the account"
        return [fail(f"{text}: {error.message} (HTTP {error.status})", fix=_NEW_KEYS if known else _again(error))]
    except AlpacaUnsure as error:
        return [fail(str(error), fix=_again(error))]
    number, status, currency = (answer.text(name) for name in ("account_number", "status", "currency"))
    if status != "ACTIVE":
        return [
            fail(f"{number}: its status is {status}, not ACTIVE", fix="see Alpaca's dashboard for what it waits for")
        ]
    blocks = [f"{meaning} (`{name}`)" for name, meaning in BLOCKS.items() if answer.flag(name)]
    if blocks:
        return [
            fail(
                f"{number} cannot trade: it is {', '.join(blocks)}",
                fix="lift it in Alpaca's dashboard, or ask their support",
            )
        ]
    if currency != "USD":
        return [fail(f"{number} is kept in {currency}", fix="use an account in US dollars: the desk counts in them")]
    return _funds(account_of(answer))


def _funds(account: Account) -> Sequence[Said]:
    shown = f"{account.account_id} is active: {_money(account)}"
    if account.equity <= 0:
        return [fail(shown, fix="pay money in, or reset the paper account in Alpaca's dashboard: nothing is opened")]
    if account.buying_power <= 0:
        return [warn(f"{shown}; nothing new can be opened", fix="wait until positions close, or pay money in")]
    return [ok(shown)]


async def options_level(situation: Situation) -> Said:
    """Whether the account may trade spreads.

    Fail: its options level is below 3.
    """
    level = (await situation.alpaca.account()).whole("options_trading_level")
    if level < SPREADS_LEVEL:
        return fail(
            f"the account's options level is {level}, and spreads need {SPREADS_LEVEL}",
            fix=f"ask for level {SPREADS_LEVEL} in Alpaca's dashboard, under Account > Configure",
        )
    return ok(f"the account's options level is {level}: it may trade spreads")


async def confirmation(situation: Situation) -> Said:
    """Your word that real money is meant, which live trading at Alpaca needs.

    Fail: it is not set, or is of another account.
    """
    number = (await situation.alpaca.account()).text("account_number")
    phrase, said = live_phrase(number), situation.desk_config.live_confirmation
    if said != phrase:
        return fail(
            f"account {number} is real money, and your confirmation"
            f" {'is not set' if said is None else 'says something else'}",
            fix=f"set MAHLER_LIVE_CONFIRMATION={phrase!r} if that is what you want, else MAHLER_ENVIRONMENT=paper",
        )
    return ok(f"account {number} is real money, and you have confirmed that it is meant")


class _Width(NamedTuple):
    """How a spread of one width fits."""

    dollars: int
    """Between the strikes."""
    risk: float
    """Of one contract at the least credit, dollars."""
    contracts: int
    binding: Reason
    limit: float | None
    """Dollars of risk that the binding limit allows."""


async def spread_widths(situation: Situation) -> Sequence[Said]:
    """Which widths this equity affords: one contract at the least credit, with nothing else open, under the limits.

    Warn: the wider spreads do not fit.
    Fail: not even the narrowest does.
    """
    if situation.trades_at_alpaca:
        account = account_of(await situation.alpaca.account())
    else:
        account = account_of_desk(situation).account
    by_outcome: dict[tuple[_Width, ...], list[str]] = {}
    for underlying in situation.desk_config.universe:
        by_outcome.setdefault(tuple(_widths(situation, account, underlying)), []).append(underlying)
    several = len(by_outcome) > 1
    return [
        _said(widths, account.equity, f"{', '.join(names)}: " if several else "")
        for widths, names in by_outcome.items()
    ]


def _widths(situation: Situation, account: Account, underlying: str) -> Sequence[_Width]:
    params = situation.screening
    found: list[_Width] = []
    for width in range(round(params.min_width), round(params.max_width) + 1):
        credit = params.min_credit_to_width * width
        spread = _spread(situation, underlying, width)
        sizing = size(
            spread=spread,
            limit_credit=credit,
            account=account,
            exposures=(),
            limits=situation.desk_limits,
            trades_left=1,
            multiplier=SizeMultiplier(),
        )
        limit = next((one.limit_dollars for one in sizing.constraints if one.code is sizing.binding), None)
        found.append(_Width(width, sizing.max_loss_dollars, sizing.contracts, sizing.binding, limit))
    return found


def _spread(situation: Situation, underlying: str, width: int) -> Spread:
    strike = 100.0
    return Spread(
        underlying=underlying,
        spread_type=SpreadType.BULL_PUT,
        expiration=situation.today(),
        short_strike=strike,
        long_strike=strike - width,
        short_symbol="short",
        long_symbol="long",
    )


def _said(widths: Sequence[_Width], equity: float, whose: str) -> Said:
    narrowest, widest = widths[0], widths[-1]
    fitting = [one for one in widths if one.contracts > 0]
    if len(fitting) == len(widths):
        return ok(
            f"{whose}one contract of every width from ${narrowest.dollars} to ${widest.dollars} fits:"
            f" ${narrowest.risk:,.0f} to ${widest.risk:,.0f} at risk, and {_limit(widest, equity)}"
        )
    first = next(one for one in widths if one.contracts == 0)
    if not fitting:
        return fail(
            f"{whose}not even one contract of ${first.dollars} fits: it risks ${first.risk:,.0f}, and"
            f" {_limit(first, equity)}",
            fix=_more(first, equity),
        )
    return warn(
        f"{whose}one contract fits up to a width of ${fitting[-1].dollars}; from ${first.dollars} to ${widest.dollars}"
        f" it risks ${first.risk:,.0f} to ${widest.risk:,.0f}, and {_limit(first, equity)}",
        fix=f"nothing, if narrow spreads will do: wider ones end as `{first.binding}`; else {_more(widest, equity)}",
    )


def _limit(width: _Width, equity: float) -> str:
    if width.limit is None:
        return f"`{width.binding}` allows none"
    share = f", {100 * width.limit / equity:.3g} % of ${equity:,.0f}" if equity > 0 else ""
    return f"`{width.binding}` allows ${width.limit:,.0f}{share}"


def _more(width: _Width, equity: float) -> str:
    """Return what makes a width fit: equity, of which the binding limit is a share."""
    if not width.limit or width.limit <= 0:
        return f"pay money in: one contract of ${width.dollars} risks ${width.risk:,.0f}"
    needed = equity * width.risk / width.limit
    return f"have an equity of ${needed:,.0f}, or raise that limit"


def _money(account: Account) -> str:
    return f"equity ${account.equity:,.0f}, buying power for options ${account.buying_power:,.0f}"


def _again(error: AlpacaRefused | AlpacaUnsure) -> str:
    del error
    return "try again in a minute; https://status.alpaca.markets says whether Alpaca is out"
