"""Record: what each LLM call cost, in US dollars at list price; NULL is unknown."""

STATEMENTS = ("ALTER TABLE llm_calls ADD COLUMN cost_dollars REAL",)
