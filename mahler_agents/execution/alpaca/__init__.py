"""Stage 8, execute: Alpaca as a broker.

`mahler_agents.execution.alpaca.broker.AlpacaBroker` is imported from its module, where it is used: alpaca-py takes half
a second.
"""
