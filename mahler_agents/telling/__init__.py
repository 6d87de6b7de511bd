"""Telling: values, reviews, risk and exits in, words out: the same in a terminal and in a notification."""
