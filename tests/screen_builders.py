"""Chains of a few puts, for tests of the screen that change one figure at a time."""

import dataclasses

import numpy as np
from builders import make_account, make_chain, make_snapshot

PUTS = (530.0, 525.0)


def put_chain(strikes=PUTS, *, mids=(1.00, 0.40), delta=-0.10):
    """Return the puts at these strikes, quoted a cent around these mids, the first of them with this delta."""
    chain = make_chain(strikes=strikes)
    puts = np.flatnonzero(chain.is_put)
    chain = dataclasses.replace(
        chain, **{name: column[puts] for name, column in vars(chain).items() if isinstance(column, np.ndarray)}
    )
    deltas = np.full(len(strikes), -0.03)
    deltas[0] = delta
    mid = np.array(mids)
    return dataclasses.replace(chain, bid=mid - 0.01, ask=mid + 0.01, delta=deltas)


def snapshot_of(*chains, exposures=()):
    """Return a snapshot of these chains, without volatility history."""
    names = tuple(chain.underlying for chain in chains)
    base = make_snapshot(names, account=make_account(*exposures))
    markets = {
        chain.underlying: dataclasses.replace(base.underlyings[chain.underlying], chain=chain, volatility_history=None)
        for chain in chains
    }
    return dataclasses.replace(base, underlyings=markets)


def first_row(chain, **changes):
    """Return the chain with the first row's columns changed."""
    columns = {name: getattr(chain, name).copy() for name in changes}
    for name, value in changes.items():
        columns[name][0] = value
    return dataclasses.replace(chain, **columns)
