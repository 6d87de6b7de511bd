"""Below all stages: what a figure is of; nothing to import."""

CONTRACT_MULTIPLIER = 100
"""Shares per option contract; contracts with another multiplier are not screened."""
