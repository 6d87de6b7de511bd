"""Real parts that ship for tests: a scripted model and a clock that costs no time."""
