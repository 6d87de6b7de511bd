"""Evidence: the record in, whether the advice was worth anything out."""
