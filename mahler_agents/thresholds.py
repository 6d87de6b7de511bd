"""Below all stages: a filled credit and the shares of it that a position is held to in, costs to close out.

All are dollars per share; the shares are those of `exits.ExitParams`, which the record keeps with each position.
"""


def target_cost(credit: float, profit_target: float) -> float:
    """Return the cost to close at which profit is taken: 0.175 for a credit of 0.50 and a target of 0.65."""
    return credit * (1 - profit_target)


def stop_cost(credit: float, stop_loss: float) -> float:
    """Return the cost to close at which the trade is stopped: 1.125 for a credit of 0.50 and a stop of 1.25."""
    return credit * (1 + stop_loss)
