"""Stage 4, LLM calls: render, send, retry, read and record, in one place."""
