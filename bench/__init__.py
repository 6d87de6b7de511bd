"""Measurements, side by side in one run: `make bench`. Figures and what they mean are in `bench/README.md`."""
