"""For tests and users: an HTTP server on loopback that behaves like Alpaca, over the synthetic sample market.

with FakeAlpaca(seed=22) as fake:
    desk = Desk(market="alpaca", broker="alpaca", environ=fake.environ)
"""

from mahler_agents.testing.fake_alpaca.control import FakeControl
from mahler_agents.testing.fake_alpaca.fake import FakeAlpaca
from mahler_agents.testing.fake_alpaca.faults import FAULTS
from mahler_agents.testing.fake_alpaca.settings import MarketDataSettings

__all__ = ["FAULTS", "FakeAlpaca", "FakeControl", "MarketDataSettings"]
