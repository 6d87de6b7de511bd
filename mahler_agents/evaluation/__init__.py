"""Evaluation: prompts, models and stored briefs in, what each variant says of the same briefs out, and how they differ.

It stands above replay and reads the record; it never sees a market, and what it asks is retrospective: never advice.
"""
