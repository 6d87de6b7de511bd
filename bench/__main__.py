"""`make bench`: every measurement with its target, met or not, in one run of a few minutes."""

import os
import platform
from dataclasses import dataclass

from bench import (
    alpaca_market,
    evaluations,
    evidence,
    ledger,
    llm_call,
    many_calls,
    pricing,
    recording,
    replays,
    review_graph,
    screen_chain,
    simulation,
    start_up,
)


@dataclass(frozen=True, kw_only=True)
class Target:
    """A figure and the most it should be."""

    figure: str
    at_most: float
    unit: str


def _show(title: str, figures: dict[str, float], *targets: Target) -> None:
    print(f"\n{title}")
    for name, value in figures.items():
        print(f"  {name:<22} {value:>10,g}")
    for target in targets:
        value = figures[target.figure]
        verdict = "met" if value <= target.at_most else "NOT MET"
        print(f"  target: {target.figure} at most {target.at_most:g} {target.unit}: {value:g}, {verdict}")


def main() -> None:
    """Measure and print."""
    cores, load = os.cpu_count(), os.getloadavg()[0]
    print(f"Python {platform.python_version()}, {cores} cores, load {load:.1f} before the run")
    _show(
        "(a) one review with instant models, medians: recorded, unrecorded in LangGraph, bare asyncio.gather",
        review_graph.run(),
        Target(figure="recorded_to_plain", at_most=2.5, unit="times"),
    )
    _show(
        "(b) 200 candidates x 5 LLM calls of 1 s, 50 in flight, recorded",
        many_calls.run(),
        Target(figure="to_ideal", at_most=1.15, unit="times"),
    )
    _show(
        "(c) screening a chain of 10,000 contracts",
        screen_chain.run(),
        Target(figure="given_greeks_ms", at_most=10, unit="ms"),
        Target(figure="computed_greeks_ms", at_most=10, unit="ms"),
    )
    _show(
        "(d) start-up as whole processes",
        start_up.run(),
        Target(figure="help_ms", at_most=150, unit="ms"),
        Target(figure="trace_list_ms", at_most=250, unit="ms"),
    )
    _show(
        "(e) price and 8 greeks, and implied volatility, of 100,000 contracts, beside pyvolr (which has 5 greeks)",
        pricing.run(),
        Target(figure="price_8_greeks_ms", at_most=20, unit="ms"),
        Target(figure="greeks_to_pyvolr", at_most=1.5, unit="times"),
        Target(figure="implied_to_pyvolr", at_most=1.5, unit="times"),
    )
    _show(
        "(f) CPU of one LLM call with an instant provider, in turn: this layer, bind + model_validate_json,"
        " with_structured_output, AsyncOpenAI",
        llm_call.run(),
        Target(figure="above_bind_ms", at_most=1.5, unit="ms"),
        Target(figure="to_structured", at_most=1, unit="times"),
    )
    _show("(g) simulated sessions through the real graphs, a pass every 5 minutes, LLM off", simulation.run())

    _show(
        "(h) one review of a scan with instant models, recorded, and its exact replay: loaded, served, compared",
        replays.run(),
        Target(figure="replayed_to_scanned", at_most=1.25, unit="times (80 % of the rate)"),
    )
    _show(
        "(i) what recording adds to one review with instant models, ten at once, in turn with no writer",
        recording.run(),
        Target(figure="added_ms", at_most=2, unit="ms"),
    )
    _show(
        "(j) from the first request to a fake Alpaca, 50 ms away, to the candidates of five chains; large: 10,000 each",
        alpaca_market.run(),
        Target(figure="ours_percent", at_most=15, unit="% of it"),
        Target(figure="large_ours_percent", at_most=15, unit="% of it"),
    )
    _show("(k) the order ledger, every commit confirmed by the disk, beside bare writes that are", ledger.run())
    _show(
        "(l) evidence on 100,000 advised trades of ten years, 10,000 draws of the bootstrap",
        evidence.run(),
        Target(figure="seconds", at_most=10, unit="s"),
    )
    _show(
        "(m) evaluations whose answers are on record: served, recorded, loaded again and scored",
        evaluations.run(),
        Target(figure="scored_too_ms", at_most=6, unit="ms (10,000 a minute)"),
    )


if __name__ == "__main__":
    main()
