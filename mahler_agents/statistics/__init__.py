"""Statistics: arrays in, figures out; pure, and nothing here knows what a trade or a prompt is."""
