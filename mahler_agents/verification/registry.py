"""Verification: every check, in the order in which `mahler verify` shows them; docs/verify.md's table is made of it."""

from mahler_agents.verification import advice, books, exits, overshoot, schedule, sizes
from mahler_agents.verification.finding import Check

CHECKS: tuple[Check, ...] = (
    Check(
        name="scheduled_slots",
        asks="Every slot of the schedule was run, from a job's first one on record until now.",
        judge=schedule.slots_run,
    ),
    Check(name="scans_ended", asks="Every scan came to its end.", judge=schedule.scans_ended),
    Check(
        name="scans_on_time",
        asks="Scheduled scans were at their time in New York, on both sides of daylight saving.",
        judge=schedule.scans_on_time,
    ),
    Check(
        name="regime_bypassed",
        asks="Every paper scan says `[bypassed - paper trading]`, and no size was made smaller by the regime.",
        judge=advice.regime_bypassed,
    ),
    Check(
        name="zero_sizes_named",
        asks="Every size of 0 names the limit that binds, as the candidate's reason.",
        judge=sizes.zero_sizes_named,
    ),
    Check(
        name="sizes_bound",
        asks="Every size is the least that any limit allows, and names that limit.",
        judge=sizes.sizes_bound,
    ),
    Check(
        name="low_confidence",
        asks="In paper, no low confidence and no missing approval or verdict stopped a trade; in live, vetoes did.",
        judge=advice.low_confidence,
    ),
    Check(
        name="trades_placed",
        asks="All that was sized was ordered; that nothing was ordered at all has one excuse: a full book or a halt.",
        judge=sizes.trades_placed,
    ),
    Check(
        name="advice_first",
        asks="Advice was on record before the order was decided.",
        judge=advice.advice_first,
    ),
    Check(
        name="advice_moves_nothing",
        asks="Every entry order has its sizing's contracts and lowest credit, whatever was advised.",
        judge=advice.advice_moves_nothing,
    ),
    Check(
        name="shadows_followed",
        asks="Every reviewed candidate is followed as a shadow, traded or not.",
        judge=advice.shadows_followed,
    ),
    Check(
        name="analyst_failures",
        asks="At most 10 % of the questions to the panel had no answer.",
        judge=advice.analyst_failures,
    ),
    Check(
        name="risk_within_limits",
        asks="At every entry, the risk at max loss, recomputed from fills and orders, was within the limits.",
        judge=sizes.risk_within_limits,
    ),
    Check(
        name="no_duplicates",
        asks="No two positions of one underlying, type and expiration were open at once.",
        judge=sizes.no_duplicates,
    ),
    Check(
        name="entries_in_session",
        asks="Entries were decided, sent and filled while the exchange was open.",
        judge=schedule.entries_in_session,
    ),
    Check(
        name="halts_hold",
        asks="No entry was sent while the desk was halted, by you or by the circuit breaker.",
        judge=schedule.halts_hold,
    ),
    Check(
        name="positions_marked",
        asks="Every monitor pass looked at every open position, and had a quote of it in at least half of the passes.",
        judge=exits.positions_marked,
    ),
    Check(
        name="exits_at_thresholds",
        asks="No position was closed before its threshold, its expiration or the breaker's word.",
        judge=exits.exits_at_thresholds,
    ),
    Check(
        name="closed_within_one_pass",
        asks="A mark beyond a threshold was followed by a closing order in that pass or the next.",
        judge=exits.closed_within_one_pass,
    ),
    Check(
        name="overshoot",
        asks="What a stop cost beyond its threshold is gap (first mark) or slippage (fill), within the order's limit.",
        judge=overshoot.overshoot,
    ),
    Check(name="expired_settled", asks="Nothing is open past its expiration.", judge=exits.expired_settled),
    Check(name="orders_ended", asks="The end of every order is known within a day.", judge=books.orders_ended),
    Check(
        name="fills_booked_once",
        asks="Every fill is booked once: broker, order, position and outcomes agree.",
        judge=books.fills_booked_once,
    ),
    Check(
        name="profit_from_fills",
        asks="P&L follows from the fills of entry and exit, less fees, never from limits.",
        judge=books.profit_from_fills,
    ),
    Check(
        name="equity_adds_up",
        asks="The recorded equity follows from deposits, fills and marks: to the cent, or 0.25 % where others mark.",
        judge=books.equity_adds_up,
    ),
)
