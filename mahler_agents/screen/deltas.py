"""Stage 2, screen, beside it: the deltas of contracts that are held, as the screen would have them of a leg."""

from collections.abc import Iterable, Mapping

from mahler_agents.market.snapshot import Snapshot
from mahler_agents.screen.contracts import deltas
from mahler_agents.screen.ranking import chain_context
from mahler_agents.screen.types import ScreenParams


def leg_deltas(snapshot: Snapshot, symbols: Iterable[str], params: ScreenParams | None = None) -> Mapping[str, float]:
    """Return the delta of each long option, whatever its expiration or moneyness, by OCC symbol.

    It is the source's, or where that has none computed as for a leg, which takes a fresh and possible quote. A symbol
    without either, or that the snapshot does not list, is left out.
    """
    wanted = sorted(set(symbols))
    found: dict[str, float] = {}
    for underlying in snapshot.underlyings if wanted else ():
        found |= deltas(chain_context(snapshot, underlying, params or ScreenParams()), wanted)
    return found
