"""Stage 2, screen, the whole: a `Snapshot` in, ranked `Candidate`s and a `ScreenReport` out; pure and vectorised."""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Sequence
from enum import StrEnum

import numpy as np

from mahler_agents.clock import NEW_YORK
from mahler_agents.market.snapshot import Exposure, MarketData, Snapshot
from mahler_agents.screen.contracts import FACTS, ChainContext, Codes, Legs, Rows, eligible_legs
from mahler_agents.screen.misses import ScreenedChain, nearest_miss, spread_at
from mahler_agents.screen.pairs import Scores, build_pairs, reject_pairs, score_pairs
from mahler_agents.screen.types import (
    Candidate,
    ContractRejection,
    LegFacts,
    PairRejection,
    ScoreParts,
    ScoreWeights,
    ScreenParams,
    ScreenReport,
)
from mahler_agents.types import UNIVERSE, MarketRegime, Quote, SpreadQuote, SpreadType
from mahler_agents.volatility import VolatilityStanding, at_the_money_volatility, standing

_TERM_DAYS = 30  # of the implied volatility that a market's history holds


def screen(
    snapshot: Snapshot,
    params: ScreenParams | None = None,
    *,
    regime: MarketRegime | None = None,
    open_exposures: Iterable[Exposure] | None = None,
) -> tuple[tuple[Candidate, ...], ScreenReport]:
    """Return the best credit spreads of the snapshot, ranked, and what was rejected for which reason.

    `regime` chooses the weights of the score (None: `params.weights`). `open_exposures` are what a candidate must not
    duplicate, by default those of the snapshot's account. Volatilities and greeks that the source lacks are computed
    from the mid and the dividends to come. Candidates are the `params.max_listed` best of each underlying and
    direction; ties go by the order of `UNIVERSE`, expiration, spread type, short strike, long strike.
    """
    params = params or ScreenParams()
    weights = params.regime_weights.get(regime, params.weights) if regime else params.weights
    if open_exposures is None:
        open_exposures = snapshot.account.exposures if snapshot.account else ()
    exposures = tuple(open_exposures)
    chains: list[ScreenedChain] = []
    candidates: list[Candidate] = []
    for underlying in sorted(snapshot.underlyings, key=_universe_order):
        screened = _screen_chain(chain_context(snapshot, underlying, params), exposures)
        chains.append(screened)
        candidates += _candidates(screened, weights, snapshot.underlyings[underlying])
    return _ranked(candidates), _report(chains)


def chain_context(snapshot: Snapshot, underlying: str, params: ScreenParams) -> ChainContext:
    """Return one underlying's chain and what its contracts are judged by."""
    market = snapshot.underlyings[underlying]
    return ChainContext(
        chain=market.chain,
        as_of=snapshot.as_of,
        params=params,
        rate=snapshot.risk_free_rate,
        dividends=market.dividends,
    )


def select_for_review(
    candidates: Sequence[Candidate], max_candidates: int = 10, *, only: str | None = None
) -> tuple[tuple[Candidate, ...], tuple[Candidate, ...]]:
    """Return the candidates to review, the best of each underlying and direction, and the others, both in rank order.

    At most `max_candidates` are reviewed, and none but those of `only` if that names an underlying.
    """
    reviewed: list[Candidate] = []
    others: list[Candidate] = []
    seen: set[tuple[str, SpreadType]] = set()
    for candidate in sorted(candidates, key=lambda candidate: candidate.rank):
        direction = (candidate.spread.underlying, candidate.spread.spread_type)
        wanted = only in {None, candidate.spread.underlying}
        chosen = wanted and direction not in seen and len(reviewed) < max_candidates
        (reviewed if chosen else others).append(candidate)
        seen.add(direction)
    return tuple(reviewed), tuple(others)


def _screen_chain(context: ChainContext, exposures: Sequence[Exposure]) -> ScreenedChain:
    """Return one chain with its eligible legs, its pairs and their rejections."""
    open_groups = {
        (exposure.spread_type is SpreadType.BULL_PUT, np.datetime64(exposure.expiration, "D"))
        for exposure in exposures
        if exposure.underlying == context.chain.underlying
    }
    legs, codes = eligible_legs(context)
    pairs = build_pairs(legs, context.params)
    return ScreenedChain(
        context=context,
        codes=codes,
        legs=legs,
        pairs=pairs,
        pair_codes=reject_pairs(legs, pairs, context.params, open_groups),
    )


def _candidates(screened: ScreenedChain, weights: ScoreWeights, market: MarketData) -> list[Candidate]:
    """Return the best candidates of each direction of one chain, not yet ranked."""
    passed = screened.pairs.take(np.flatnonzero(screened.pair_codes == -1))
    if not len(passed):
        return []
    context, legs = screened.context, screened.legs
    place = _volatility_standing(context, market)
    iv = place.percentile / 100 if place else None
    scores = score_pairs(legs, passed, weights, iv)
    candidates: list[Candidate] = []
    for is_put in (True, False):
        mine = np.flatnonzero(legs.is_put[passed.short] == is_put)
        short, long = passed.short[mine], passed.long[mine]
        order = np.lexsort((legs.strike[long], legs.strike[short], legs.expiration[short], -scores.score[mine]))
        for pair in mine[order[: context.params.max_listed]]:
            score, parts = _score(scores, pair, iv)
            candidates.append(
                _candidate(
                    context,
                    legs,
                    short=int(passed.short[pair]),
                    long=int(passed.long[pair]),
                    score=score,
                    parts=parts,
                    iv_rank=place.rank if place else None,
                )
            )
    return candidates


def _volatility_standing(context: ChainContext, market: MarketData) -> VolatilityStanding | None:
    """Return where the chain's 30-day volatility stands in its year of history; None if either is not known."""
    if market.volatility_history is None:
        return None
    now = at_the_money_volatility(
        context.chain, context.as_of, days=_TERM_DAYS, rate=context.rate, dividends=context.dividends
    )
    return standing(market.volatility_history, now, context.as_of.astimezone(NEW_YORK).date())


def _score(scores: Scores, pair: np.intp, iv: float | None) -> tuple[float, ScoreParts]:
    """Return one pair's score and its components."""
    parts = ScoreParts(
        iv=iv, delta=float(scores.delta[pair]), credit=float(scores.credit[pair]), ev=float(scores.ev[pair])
    )
    return float(scores.score[pair]), parts


def _candidate(
    context: ChainContext,
    legs: Legs,
    *,
    short: int,
    long: int,
    score: float,
    parts: ScoreParts,
    iv_rank: float | None,
) -> Candidate:
    """Return the candidate of two positions in `legs`, with rank 1 until it is ranked."""
    quote = SpreadQuote(short=_quote(context, int(legs.row[short])), long=_quote(context, int(legs.row[long])))
    return Candidate(
        spread=spread_at(legs, context, short, long),
        as_of=context.as_of,
        dte=int(legs.dte[short]),
        spot=float(context.chain.spot),
        short_leg=_leg_facts(context, legs, short),
        long_leg=_leg_facts(context, legs, long),
        quote=quote,
        credit=quote.mid_credit,
        score=score,
        parts=parts,
        rank=1,
        iv_rank=iv_rank,
    )


def _quote(context: ChainContext, row: int) -> Quote:
    """Return the quote of one row."""
    chain = context.chain
    at = context.as_of - dt.timedelta(seconds=float(chain.quote_age_seconds[row]))
    return Quote(bid=float(chain.bid[row]), ask=float(chain.ask[row]), at=at)


def _leg_facts(context: ChainContext, legs: Legs, position: int) -> LegFacts:
    """Return what the screen knows of one leg."""
    chain, row = context.chain, int(legs.row[position])
    facts = dict(zip(FACTS, legs.facts[:, position].tolist(), strict=True))
    return LegFacts(
        symbol=str(chain.symbol[row]),
        strike=float(chain.strike[row]),
        bid=float(chain.bid[row]),
        ask=float(chain.ask[row]),
        open_interest=float(chain.open_interest[row]),
        volume=float(chain.volume[row]),
        **facts,
        computed=tuple(name for name, was in zip(FACTS, legs.computed[:, position], strict=True) if was),
    )


def _ranked(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Return the candidates best first, numbered from 1."""

    def order(candidate: Candidate) -> tuple[object, ...]:
        spread = candidate.spread
        place = (_universe_order(spread.underlying), spread.expiration, _TYPES.index(spread.spread_type))
        return (-candidate.score, *place, spread.short_strike, spread.long_strike)

    ranked = sorted(candidates, key=order)
    return tuple(candidate.model_copy(update={"rank": rank}) for rank, candidate in enumerate(ranked, start=1))


_TYPES = tuple(SpreadType)


def _universe_order(underlying: str) -> tuple[int, str]:
    """Return what sorts the universe in its own order, and all others after it by name."""
    return (UNIVERSE.index(underlying) if underlying in UNIVERSE else len(UNIVERSE), underlying)


def _report(chains: Sequence[ScreenedChain]) -> ScreenReport:
    """Return the counts over all chains, and the nearest miss of each direction in which nothing passed."""
    passed = {screened.context.chain.underlying: int((screened.pair_codes == -1).sum()) for screened in chains}
    misses = [nearest_miss(screened, spread_type) for screened in chains for spread_type in SpreadType]
    return ScreenReport(
        contracts=sum(len(screened.codes) for screened in chains),
        eligible_contracts=sum(len(screened.legs) for screened in chains),
        pairs=sum(len(screened.pairs) for screened in chains),
        passed=sum(passed.values()),
        rejected_contracts=_counts([screened.codes for screened in chains], tuple(ContractRejection)),
        rejected_pairs=_counts([screened.pair_codes for screened in chains], tuple(PairRejection)),
        nearest_misses=tuple(miss for miss in misses if miss is not None),
        by_underlying=passed,
    )


def _counts(codes: Sequence[Codes], reasons: Sequence[StrEnum]) -> dict[str, int]:
    """Return how often each reason was the first that failed, in the order of the checks; only those that occurred."""
    counted: Counter[int] = Counter()
    for chain_codes in codes:
        found: Rows = chain_codes[chain_codes >= 0].astype(np.intp)
        counted.update(dict(enumerate(np.bincount(found, minlength=len(reasons)).tolist())))
    return {reason.value: counted[code] for code, reason in enumerate(reasons) if counted[code]}
