"""Evidence: how it is judged; the same for every record, so that nobody picks the test that suits."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How evidence is judged."""

    thresholds: tuple[float, ...] = (0.3, 0.4, 0.5, 0.6, 0.7)
    """A trade with less confidence counts as vetoed."""
    draws: int = 10_000
    mean_block_weeks: float = 5.0
    """Mean length of the bootstrap's blocks: trades that overlap lie within it."""
    first_look_blocks: int = 60
    """With fewer independent blocks nothing is judged."""
    level: float = 0.95
    seed: int = 0

    @property
    def first_look_weeks(self) -> float:
        """Weeks with entries, before which nothing is judged."""
        return self.first_look_blocks * self.mean_block_weeks

    @property
    def alpha(self) -> float:
        """The chance of a false verdict over all comparisons of a family and all weekly looks."""
        return 1 - self.level
