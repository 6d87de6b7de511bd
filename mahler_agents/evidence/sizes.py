"""Evidence: advised and allowed contracts in, whether the advised sizes would have earned more for the risk out."""

from dataclasses import dataclass

import numpy as np

from mahler_agents.evidence.cases import Columns
from mahler_agents.evidence.inference import Estimate, Inference


@dataclass(frozen=True, kw_only=True)
class SizeLine:
    """Cases that the rules sized, at their size and at the advised one."""

    cases: int
    rule_contracts: int
    advised_contracts: int
    rule_pnl_dollars: float
    advised_pnl_dollars: float
    rule_return: float | None
    """P&L over the sum of max losses, at the rules' sizes."""
    advised_return: float | None
    gain: Estimate | None
    """Advised return less the rules': whether the advice puts the larger sizes on the better trades."""


def size_line(cases: Columns, inference: Inference) -> SizeLine:
    """Return what the advised sizes would have done; cases that the rules gave no contract are left out."""
    sized = np.nan_to_num(cases.contracts) > 0
    rule = np.where(sized, np.nan_to_num(cases.contracts), 0.0)
    advised = np.where(sized, np.nan_to_num(cases.advised_contracts), 0.0)
    by_rule = inference.ratio(rule * cases.pnl, rule * cases.max_loss)
    by_advice = inference.ratio(advised * cases.pnl, advised * cases.max_loss)
    gain = None if by_rule is None or by_advice is None else by_advice.minus(by_rule)
    return SizeLine(
        cases=int(sized.sum()),
        rule_contracts=int(rule.sum()),
        advised_contracts=int(advised.sum()),
        rule_pnl_dollars=round(float((rule * cases.pnl).sum()), 2),
        advised_pnl_dollars=round(float((advised * cases.pnl).sum()), 2),
        rule_return=by_rule and by_rule.estimate,
        advised_return=by_advice and by_advice.estimate,
        gain=inference.judged(gain, family=1),
    )
