"""Command line, `mahler trace show`: a recorded run in, a tree of what happened in it out."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.text import Text
from rich.tree import Tree

from mahler_agents.cli.trace.sums import attempts, calls_of, known_cost, seconds, tokens
from mahler_agents.record.trace_rows import (
    CallRow,
    CandidateTrace,
    EventRow,
    FailureRow,
    GroundingRow,
    OrderRow,
    RunRow,
    RunTrace,
    SpanRow,
)
from mahler_agents.telling import phrases
from mahler_agents.telling.risk_lines import RiskLine, run_risk_lines
from mahler_agents.text import count, counts, instant, per_share, plain, shortened, size

_REPLY_SHOWN = 300
_VERSION_SHOWN = 8
_STYLES = {"ok": "", "failed": "yellow", "error": "red", "unfinished": "red", "running": "yellow", "warning": "yellow"}


def run_tree(trace: RunTrace) -> Tree:
    """Return the tree: run, candidates, nodes, and under each node what it said, failed at or did."""
    run = trace.run
    tree = Tree(Text.assemble(("run ", "bold"), (run.id, "bold"), "  ", (run.status, _style(run.status))))
    for line in _run_lines(trace):
        tree.add(line)
    reviewed = [candidate for candidate in trace.candidates if candidate.reviewed]
    open_end = "asked again" if trace.run.kind == "replay" else "unfinished"
    for candidate in reviewed:
        _add_candidate(tree, candidate, open_end=open_end)
    if ranked_out := len(trace.candidates) - len(reviewed):
        tree.add(Text(f"{count(ranked_out, 'candidate')} more passed the screen: ranked_out", style="dim"))
    if untold := _untold(trace):
        events = tree.add(Text("events, in UTC", style="bold"))
        for event in untold:
            events.add(_event(event, run.id))
    return tree


def _untold(trace: RunTrace) -> list[EventRow]:
    """Return the events that stand nowhere else in the tree: advice, failures of advisors, what the run's lines say."""
    told = {(one.id, one.advice.code) for one in trace.candidates if one.advice}
    told |= {(one.id, "advisor_failed") for one in trace.candidates if one.failures}
    told |= {(None, code) for code in _codes_of_run(trace.run)}
    return [event for event in trace.events if (event.candidate_id, event.code) not in told]


def _codes_of_run(run: RunRow) -> Iterator[str]:
    """Yield the codes of the events that the run's own lines say."""
    if run.regime is not None:
        yield run.regime["regime"] if run.regime["known"] else "regime_unknown"
    if run.breaker is not None:
        yield "vix_not_evaluated"
    if run.size_multiplier is not None:
        yield "size_multiplier"


def _run_lines(trace: RunTrace) -> list[Text]:
    run = trace.run
    synthetic = ", SYNTHETIC" if run.synthetic else ""
    toy = f" ({phrases.TOY})" if run.toy_model else ""
    took = f", took {seconds(run.started_at, run.ended_at):.1f} s" if run.ended_at else ""
    lines = [
        f"market: {plain(run.market)}{synthetic}: {plain(run.source)}",
        f"as of {instant(run.as_of)} New York, orders decided at {instant(run.decision_at)}",
        f"started {instant(run.started_at)} New York{took}, version {plain(run.version)}",
        f"broker: {plain(run.broker)} ({run.environment} trading), account {plain(run.account_id)}",
        f"model: {plain(run.model)}{toy}",
    ]
    if run.screen is not None:
        lines.append(f"screen: {_screen(run.screen)}")
    if trace.raw is not None:
        kept, stored = size(trace.raw.bytes), size(trace.raw.stored_bytes)
        lines.append(f"raw answers: {count(trace.raw.answers, 'answer')} kept, {kept} ({stored} stored)")
    if told := calls_of(trace):
        lines.append(f"LLM: {told}")
    shown = [*(Text(line) for line in lines), *(_risk(line) for line in run_risk_lines(run))]
    if run.error:
        shown.append(Text(f"error: {plain(run.error)}", style="red"))
    return shown


def _risk(line: RiskLine) -> Text:
    return Text(f"{line.note}: {line.text}" if line.note else f"  {line.text}", style="yellow" if line.alarming else "")


def _screen(screen: Mapping[str, Any]) -> str:
    found = phrases.screened(
        contracts=screen["contracts"],
        eligible=screen["eligible_contracts"],
        pairs=screen["pairs"],
        passed=screen["passed"],
    )
    rejected = counts({**screen["rejected_contracts"], **screen["rejected_pairs"]})
    return f"{found}; rejected: {rejected}" if rejected else found


def _add_candidate(tree: Tree, candidate: CandidateTrace, *, open_end: str) -> None:
    """Add a candidate; `open_end` is what to say of one on which nothing was decided."""
    ended = f"{candidate.decision} ({candidate.reason})" if candidate.decision else open_end
    facts = f"credit {per_share(candidate.credit)}, {candidate.dte} DTE, score {candidate.score:.2f}"
    branch = tree.add(Text.assemble((f"{candidate.rank}  {candidate.label}", "bold"), f"  {facts}: ", ended))
    said = _said(candidate)
    for span in candidate.spans:
        node = branch.add(_span(span))
        for call in _troubled(span.calls):
            node.add(_call(call))
        for line in said.pop(span.name, ()):
            node.add(line)
    # What is recorded of a node that never wrote its span: the process died in it.
    for lines in said.values():
        for line in lines:
            branch.add(line)


def _said(candidate: CandidateTrace) -> dict[str, list[Text]]:
    """Return what each node left behind, by the node's name."""
    said: dict[str, list[Text]] = {}
    for opinion in candidate.opinions:
        details = [Text(f"{plain(name)}: {plain(value)}", style="dim") for name, value in opinion.details.items()]
        said[opinion.analyst] = [Text(phrases.opinion(opinion)), *_ungrounded(opinion.grounding), *details]
    for turn in candidate.arguments:
        said[turn.node] = [Text(phrases.argument(turn)), *_ungrounded(turn.grounding)]
    for failed in candidate.failures:
        said[failed.role] = _failure(failed)
    if candidate.verdict is not None:
        verdict = candidate.verdict
        said["fund_manager"] = [Text(phrases.verdict(verdict)), *_ungrounded(verdict.grounding)]
    if (advice := candidate.advice) is not None:
        veto = ["would have been vetoed in live trading"] if advice.would_veto else []
        said["advisory"] = [Text(line) for line in (f"{advice.code}: {plain(advice.message)}", *veto)]
    if candidate.sizing is not None:
        said["size"] = [Text(phrases.sizing(candidate.sizing))]
    if candidate.orders:
        said["execute"] = [line for order in candidate.orders for line in _order(order)]
    return said


def _ungrounded(found: GroundingRow | None) -> list[Text]:
    return [Text(line, style="yellow") for line in phrases.ungrounded(found)]


def _failure(failed: FailureRow) -> list[Text]:
    lines = [Text(phrases.failure(failed), style="yellow")]
    if failed.raw_reply:
        lines.append(Text(f"reply: {shortened(failed.raw_reply, _REPLY_SHOWN)}", style="dim"))
    return lines


def _order(order: OrderRow) -> list[Text]:
    lines = [
        phrases.order(
            state=order.state,
            reason=order.reason,
            contracts=order.contracts,
            limit_credit=order.limit_credit,
            lowest_asked=order.lowest_asked,
            detail=order.detail,
        )
    ]
    lines += [phrases.fill(fill) for fill in order.fills]
    if order.short_bid is not None and order.long_bid is not None:
        short, long = f"{order.short_bid:g}/{order.short_ask:g}", f"{order.long_bid:g}/{order.long_ask:g}"
        lines.append(f"quotes at {instant(order.decided_at)}: short {short}, long {long}")
    lines.append(f"client order id {plain(order.client_order_id)}")
    return [Text(line) for line in lines]


def _span(span: SpanRow) -> Text:
    facts = [] if span.milliseconds is None else [f"{span.milliseconds:,.1f} ms"]
    if span.calls:
        facts += [attempts(span.calls), tokens(span.calls), *known_cost(span.calls)]
        facts += [f"prompt {version[:_VERSION_SHOWN]}" for version in {call.prompt_hash: None for call in span.calls}]
    if span.status != "ok":
        facts.append(f"{span.status}{f': {plain(span.detail)}' if span.detail else ''}")
    return Text.assemble((span.name, "bold"), "  ", (", ".join(facts), _style(span.status) or "dim"))


def _troubled(calls: Sequence[CallRow]) -> Sequence[CallRow]:
    """Return the attempts worth a line each: all, unless there was one and it went well."""
    return calls if len(calls) > 1 or any(call.outcome != "replied" for call in calls) else ()


def _call(call: CallRow) -> Text:
    outcome = plain(call.outcome or "no reply recorded")
    facts = [
        f"HTTP {call.http_status}" if call.http_status else "",
        f"finish reason {plain(call.finish_reason)}" if call.finish_reason else "",
        f"{seconds(call.started_at, call.ended_at):.1f} s" if call.ended_at else "",
        plain(call.error) if call.error else "",
    ]
    return Text(", ".join([f"attempt {call.attempt}: {outcome}", *filter(None, facts)]), style="dim")


def _event(event: EventRow, run_id: str) -> Text:
    rank = event.candidate_id.removeprefix(f"{run_id}.") if event.candidate_id else ""
    where = f"[{rank}] " if rank else ""
    line = f"{plain(event.at)}  {event.level:<7}  {where}{plain(event.code)}: {plain(event.message)}"
    return Text(line, style=_style(event.level))


def _style(status: str) -> str:
    return _STYLES.get(status, "")
