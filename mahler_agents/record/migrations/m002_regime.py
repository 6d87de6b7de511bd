"""Record: the regime of each run."""

STATEMENTS = ("ALTER TABLE runs ADD COLUMN regime TEXT",)
