"""Record: the portfolio's beta-weighted delta before and after each run."""

STATEMENTS = ("ALTER TABLE runs ADD COLUMN portfolio_delta TEXT",)
